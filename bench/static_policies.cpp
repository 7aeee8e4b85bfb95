// SPDX-License-Identifier: Apache-2.0
// bench/policies/*.moe for one shape: MOE_BENCH_SHAPE, "27, 64, 6", and the name of what is defined here,
// MOE_BENCH_KERNELS. What changes over time (per_layer, adapt) is not among them, and neither is `a | b`.
#include "bench/static_params.h"

namespace moe::bench {
namespace {

using namespace decision;

constexpr StaticShape kShape{MOE_BENCH_SHAPE};
constexpr uint32_t kSlots = 16;

/// The first N experts of every layer.
template <uint32_t N>
constexpr auto kPins = [] {
  std::array<uint32_t, N * kShape.num_layers> keys{};
  for (uint32_t i = 0; i < keys.size(); ++i) keys[i] = i / N * kShape.num_experts + i % N;
  return keys;
}();

template <uint32_t N>
constexpr void pin_first(Params& p) {
  p.pins = kPins<N>.data();
  p.num_pins = static_cast<uint32_t>(kPins<N>.size());
}

/// Without a cost model an expert of 1.2 GB takes longer than 40 ms: misses are computed on the host.
constexpr void set_hybrid(Params& p) {
  p.hybrid = 1;
  p.miss = static_cast<uint32_t>(MissAction::cpu);
}

constexpr void set_memory(Params& p, double threshold, double headroom) {
  p.memory_threshold = threshold;
  p.memory_headroom = headroom;
  p.memory_budget_gb = 16.0 * kShape.num_layers;
}

template <Eviction kRule>
constexpr Params kBasic = layer_params(kShape, kRule, kSlots);

template <Eviction kRule, uint32_t kWindow>
constexpr Params kHistory = [] {
  Params p = kBasic<kRule>;
  set_prefetch(p, Strategy::history, 1, kWindow);
  return p;
}();

constexpr Params kLfuHistory = [] {
  Params p = kHistory<Eviction::lfu, 60>;
  p.frequency_decay = 0.9;
  p.miss = static_cast<uint32_t>(MissAction::cpu_load);
  return p;
}();

constexpr Params kScoreAffinity = [] {
  Params p = kBasic<Eviction::score>;
  p.strategy = static_cast<uint32_t>(Strategy::affinity);
  pin_first<2>(p);
  set_hybrid(p);
  return p;
}();

constexpr Params kLookahead2 = [] {
  Params p = kBasic<Eviction::lru>;
  set_prefetch(p, Strategy::lookahead, 2, 40);
  return p;
}();

constexpr Params kTtlOnly = [] {
  Params p = kBasic<Eviction::lru>;
  p.ttl = 200;
  return p;
}();

constexpr Params kMemOnly = [] {
  Params p = kBasic<Eviction::lru>;
  set_memory(p, 0.75, 0.4);
  return p;
}();

constexpr Params kComposedFull = [] {
  Params p = kBasic<Eviction::lfu>;
  p.frequency_decay = 0.9;
  pin_first<1>(p);
  set_memory(p, 0.75, 0.4);
  p.ttl = 200;
  set_prefetch(p, Strategy::lookahead, 2, 40);
  set_hybrid(p);
  return p;
}();

constexpr Params kComposed = [] {
  Params p = kHistory<Eviction::lru, 50>;
  p.ttl = 500;
  set_memory(p, 0.9, 0.7);
  p.miss = static_cast<uint32_t>(MissAction::cpu_load);
  return p;
}();

constexpr StaticKernel kKernels[] = {
    {"lru_basic", static_kernel<Lru, kBasic<Eviction::lru>>},
    {"lfu_basic", static_kernel<Lfu, kBasic<Eviction::lfu>>},
    {"lru_history", static_kernel<Lru, kHistory<Eviction::lru, 60>>},
    {"lfu_history", static_kernel<Lfu, kLfuHistory>},
    {"score_affinity", static_kernel<Score, kScoreAffinity>},
    {"score_history", static_kernel<Score, kHistory<Eviction::score, 50>>},
    {"freq_threshold", static_kernel<FreqThreshold, kHistory<Eviction::freq_threshold, 60>>},
    {"lookahead2", static_kernel<Lru, kLookahead2>},
    {"ttl_only", static_kernel<Lru, kTtlOnly>},
    {"mem_only", static_kernel<Lru, kMemOnly>},
    {"composed_full", static_kernel<Lfu, kComposedFull>},
    {"composed", static_kernel<Lru, kComposed>},
};
constexpr StaticKernels kAll{kShape.num_layers, kShape.num_experts, kShape.top_k, kKernels, std::size(kKernels)};

}  // namespace

const StaticKernels& MOE_BENCH_KERNELS() { return kAll; }

}  // namespace moe::bench
