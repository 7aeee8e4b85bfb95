// SPDX-License-Identifier: Apache-2.0
// KTransformers behind SGLang (kvcache-ai/sglang, python/sglang/srt/layers/moe/kt_ep_wrapper.py;
// kvcache-ai/ktransformers, kt-kernel/python/expert_placement.py). A mask says which experts the GPU has; the CPU
// computes all others.
//
// uniform    the first N experts of every layer (generate_uniform_masks).
// frequency  the N most often activated of all layers, by a recorded table (generate_gpu_experts_masks).
// dynamic    begins as uniform. A batch of at least `token_threshold` tokens computes every expert on the GPU from a
//            temporary full layer, and then the layer's mask becomes the N experts most often selected in that batch,
//            of equals the lower id (select_top_experts_from_batch).
#include <set>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Mask : public System {
 public:
  explicit Mask(std::set<Pair> on_gpu) : on_gpu_(std::move(on_gpu)) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    for (const Selected& s : by_appearance(dispatch)) {
      record.choose(s.expert, on_gpu_.contains({dispatch.layer, s.expert}) ? Action::hit : Action::cpu);
    }
    return record.done();
  }

 protected:
  std::set<Pair> on_gpu_;
};

std::set<Pair> first_of_each_layer(const Shape& shape, uint32_t per_layer) {
  std::set<Pair> mask;
  for (uint32_t layer = 0; layer < shape.num_layers; ++layer) {
    for (uint32_t e = 0; e < std::min(per_layer, shape.num_experts); ++e) mask.insert({layer, e});
  }
  return mask;
}

class Dynamic : public Mask {
 public:
  Dynamic(const Shape& shape, uint32_t per_layer, uint32_t threshold)
      : Mask(first_of_each_layer(shape, per_layer)), shape_(shape), per_layer_(per_layer), threshold_(threshold) {}

  Outcome step(const Dispatch& dispatch) override {
    if (dispatch.ids.size() < threshold_) return Mask::step(dispatch);
    std::vector<uint32_t> counts(shape_.num_experts, 0);
    for (const Selected& s : by_appearance(dispatch)) counts[s.expert] = s.tokens;
    std::vector<uint32_t> order(shape_.num_experts);
    for (uint32_t e = 0; e < shape_.num_experts; ++e) order[e] = e;
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return counts[a] > counts[b]; });
    order.resize(per_layer_);
    return replace(dispatch, order);
  }

 private:
  // What leaves is listed from the least to the most selected in this batch, of equals the higher id first.
  Outcome replace(const Dispatch& dispatch, const std::vector<uint32_t>& chosen) {
    Record record;
    std::vector<Selected> out;
    const auto selected = by_appearance(dispatch);
    for (uint32_t e = 0; e < shape_.num_experts; ++e) {
      const Pair pair{dispatch.layer, e};
      const auto known =
          std::find_if(selected.begin(), selected.end(), [&](const Selected& s) { return s.expert == e; });
      if (on_gpu_.contains(pair) && !contains(chosen, e))
        out.push_back({e, known == selected.end() ? 0 : known->tokens, 0});
      if (known == selected.end()) continue;
      const Action moved = contains(chosen, e) ? Action::load : Action::stream;
      record.choose(e, on_gpu_.contains(pair) ? Action::hit : moved);
    }
    std::sort(out.begin(), out.end(), [](const Selected& a, const Selected& b) {
      return a.tokens != b.tokens ? a.tokens < b.tokens : a.expert > b.expert;
    });
    for (const Selected& s : out) {
      on_gpu_.erase({dispatch.layer, s.expert});
      record.leave(dispatch.layer, s.expert);
    }
    for (uint32_t e : chosen) {  // a batch of few experts leaves places for ones that it did not use
      const bool is_new = on_gpu_.insert({dispatch.layer, e}).second;
      if (is_new && !is_selected(selected, e)) record.ahead(dispatch.layer, e);
    }
    return record.done();
  }

  Shape shape_;
  uint32_t per_layer_;
  uint32_t threshold_;
};

}  // namespace

SystemPtr make_ktransformers_uniform(const Shape& shape, uint32_t per_layer) {
  return std::make_unique<Mask>(first_of_each_layer(shape, per_layer));
}

SystemPtr make_ktransformers_frequency(const Shape&, uint32_t total, const std::vector<Pair>& by_frequency) {
  const auto end = by_frequency.begin() + std::min<size_t>(total, by_frequency.size());
  return std::make_unique<Mask>(std::set<Pair>(by_frequency.begin(), end));
}

SystemPtr make_ktransformers_dynamic(const Shape& shape, uint32_t per_layer, uint32_t token_threshold) {
  return std::make_unique<Dynamic>(shape, per_layer, token_threshold);
}

}  // namespace moe::oracle
