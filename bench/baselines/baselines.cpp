// SPDX-License-Identifier: Apache-2.0
#include "bench/baselines/baselines.h"

#include "bench/baselines/composed.h"
#include "bench/baselines/lfu_history.h"
#include "bench/baselines/lru.h"

namespace moe::bench {
namespace {

template <class M, class Policy>
constexpr Baseline baseline(std::string_view name) {
  return {name, M::kLayers, M::kExperts, M::kTopK, make_state<Policy>, free_state<Policy>, dispatch<Policy>};
}

using Mixtral = Model<32, 8, 2>;
using DeepSeekLite = Model<27, 64, 6>;
using Qwen = Model<24, 60, 4>;

constexpr Baseline kBaselines[] = {
    baseline<DeepSeekLite, Lru<DeepSeekLite, 1, 864>>("lru"),
    baseline<Mixtral, Lru<Mixtral, 32, 8>>("lru_basic"),
    baseline<DeepSeekLite, Lru<DeepSeekLite, 27, 16>>("lru_basic"),
    baseline<Qwen, Lru<Qwen, 24, 16>>("lru_basic"),
    baseline<Mixtral, LfuHistory<Mixtral>>("lfu_history"),
    baseline<DeepSeekLite, LfuHistory<DeepSeekLite>>("lfu_history"),
    baseline<Qwen, LfuHistory<Qwen>>("lfu_history"),
    baseline<Mixtral, Composed<Mixtral>>("composed"),
    baseline<DeepSeekLite, Composed<DeepSeekLite>>("composed"),
    baseline<Qwen, Composed<Qwen>>("composed"),
};

}  // namespace

const Baseline* find_baseline(std::string_view policy, uint32_t num_layers, uint32_t num_experts, uint32_t top_k) {
  for (const Baseline& b : kBaselines) {
    if (b.policy == policy && b.num_layers == num_layers && b.num_experts == num_experts && b.top_k == top_k) return &b;
  }
  return nullptr;
}

}  // namespace moe::bench
