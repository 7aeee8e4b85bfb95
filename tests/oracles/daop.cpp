// SPDX-License-Identifier: Apache-2.0
// DAOP (Zhang et al., 2025, arXiv:2501.10375), from the paper's account.
//
// The prompt tells which experts a sequence likes: after a layer's prefill those that it uses more than the least used
// ones on the GPU take their places. While decoding nothing moves, and experts on the CPU are computed there, ahead of
// time if they were predicted. Simplified: swaps are made expert by expert, whenever an absent one has more
// tokens than the least used resident; the early start of the CPU and the substitution of experts show in time and
// output, not here.
#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Daop : public System {
 public:
  Daop(const Shape& shape, uint32_t slots) : layers_(shape.num_layers) {
    for (auto& layer : layers_) {
      for (uint32_t e = 0; e < slots; ++e) layer.push_back(e);
    }
  }

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    auto& on_gpu = layers_[dispatch.layer];
    const auto selected = by_appearance(dispatch);
    const auto tokens_of = [&](uint32_t expert) {
      for (const Selected& s : selected) {
        if (s.expert == expert) return s.tokens;
      }
      return 0U;
    };
    for (const Selected& s : selected) {
      if (contains(on_gpu, s.expert)) {
        record.choose(s.expert, Action::hit);
        continue;
      }
      const auto least = std::min_element(on_gpu.begin(), on_gpu.end(),
                                          [&](uint32_t a, uint32_t b) { return tokens_of(a) < tokens_of(b); });
      if (!dispatch.prefill || tokens_of(*least) >= s.tokens) {
        record.choose(s.expert, Action::cpu);
        continue;
      }
      record.leave(dispatch.layer, *least);
      on_gpu.erase(least);
      on_gpu.push_back(s.expert);
      record.choose(s.expert, Action::cpu_load);
    }
    return record.done();
  }

 private:
  std::vector<std::vector<uint32_t>> layers_;  ///< in order of arrival
};

}  // namespace

SystemPtr make_daop(const Shape& shape, uint32_t slots) { return std::make_unique<Daop>(shape, slots); }

}  // namespace moe::oracle
