// SPDX-License-Identifier: Apache-2.0
// AdapMoE (PKU-SEC-Lab/AdapMoE at 2cfe8df): src/linear_cache.py, src/custom_layers.py, src/build_model.py, run.py.
//
// mixtral-offloading's cache with a size for each layer (src/dp.py finds the sizes; the last experts of a layer are on
// the device at start). When one token is decoded, its second expert is dropped if its share of the two weights is
// below the layer's threshold; and of the two experts that the next layer's gate would choose now, the first that is
// absent is copied into a spare buffer. At the next layer a buffered expert that is not selected is given up; one that
// is selected takes the place of the least recently used, after the residents were marked as used and before the
// absent ones are loaded.
#include <deque>
#include <optional>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class AdapMoe : public System {
 public:
  AdapMoe(const Shape& shape, const std::vector<uint32_t>& sizes, std::vector<double> thresholds)
      : thresholds_(std::move(thresholds)), main_(shape.num_layers), buffered_(shape.num_layers) {
    const uint32_t num_experts =
        std::min(shape.num_experts, 8U);  // Mixtral's; a larger model's others begin on the host
    for (uint32_t layer = 0; layer < shape.num_layers; ++layer) {
      for (uint32_t e = num_experts - sizes[layer]; e < num_experts; ++e) main_[layer].push_back(e);
    }
  }

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    std::vector<uint32_t> active;
    for (const Selected& s : by_id(adaptive_gate(dispatch, record))) active.push_back(s.expert);
    const uint32_t layer = dispatch.layer;
    if (buffered_[layer] && !contains(active, *buffered_[layer])) buffered_[layer].reset();
    const std::optional<uint32_t> next = dispatch.ids.size() == 1 ? first_absent(dispatch) : std::nullopt;

    std::vector<uint32_t> absent;
    for (uint32_t e : active) {
      const auto found = std::find(main_[layer].begin(), main_[layer].end(), e);
      if (found == main_[layer].end()) {
        absent.push_back(e);
        continue;
      }
      main_[layer].erase(found);
      main_[layer].push_back(e);
      record.choose(e, Action::hit);
    }
    if (buffered_[layer]) {
      swap_in(layer, *buffered_[layer], record);
      record.choose(*buffered_[layer], Action::hit);
    }
    for (uint32_t e : absent) {
      if (buffered_[layer] == e) continue;
      swap_in(layer, e, record);
      record.choose(e, Action::load);
    }
    buffered_[layer].reset();
    if (next) {
      buffered_[layer + 1] = next;
      record.ahead(layer + 1, *next);
    }
    return record.done();
  }

 private:
  Dispatch adaptive_gate(const Dispatch& dispatch, Record& record) const {
    Dispatch kept = dispatch;
    if (kept.ids.size() != 1 || kept.ids[0].size() != 2) return kept;
    const double second = kept.weights[0][1] / (kept.weights[0][0] + kept.weights[0][1]);
    if (second < thresholds_[kept.layer]) {
      record.choose(kept.ids[0][1], Action::skip);
      kept.ids[0].pop_back();
      kept.weights[0].pop_back();
    }
    return kept;
  }

  // Of the next layer's two most probable experts. A layer's buffer is empty until the layer before it has run.
  std::optional<uint32_t> first_absent(const Dispatch& dispatch) const {
    if (dispatch.layer + 1 == main_.size() || dispatch.guesses.empty()) return std::nullopt;
    for (size_t i = 0; i < std::min<size_t>(2, dispatch.guesses[0].size()); ++i) {
      const uint32_t e = dispatch.guesses[0][i].expert;
      const auto& there = main_[dispatch.layer + 1];
      if (std::find(there.begin(), there.end(), e) == there.end()) return e;
    }
    return std::nullopt;
  }

  void swap_in(uint32_t layer, uint32_t expert, Record& record) {
    record.leave(layer, main_[layer].front());
    main_[layer].pop_front();
    main_[layer].push_back(expert);
  }

  std::vector<double> thresholds_;
  std::vector<std::deque<uint32_t>> main_;  ///< least recently used first
  std::vector<std::optional<uint32_t>> buffered_;
};

}  // namespace

SystemPtr make_adapmoe(const Shape& shape, const std::vector<uint32_t>& sizes, const std::vector<double>& thresholds) {
  return std::make_unique<AdapMoe>(shape, sizes, thresholds);
}

}  // namespace moe::oracle
