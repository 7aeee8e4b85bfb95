// SPDX-License-Identifier: Apache-2.0
// The baseline: the same kernels as the JIT's, compiled ahead of time by clang -O3 -march=native with the policy's
// constants in the source.
#pragma once
#include "runtime/decision/abi.h"

namespace moe::bench {

inline constexpr uint32_t kLayers = 27;
inline constexpr uint32_t kExperts = 64;
inline constexpr uint32_t kTopK = 6;
inline constexpr uint32_t kCapacity = kLayers * kExperts / 2;

/// DeepSeek-V2-Lite's shape, half of the experts resident, every default of the language.
constexpr decision::Params bench_params(decision::Eviction eviction) {
  decision::Params p{};
  p.num_layers = kLayers;
  p.num_experts = kExperts;
  p.top_k = kTopK;
  p.eviction = static_cast<uint32_t>(eviction);
  p.admit = 1;
  p.capacity = kCapacity;
  p.protect_selected = 1;
  p.decay_interval = 100;
  p.freq_window = 100;
  p.frequency_decay = 0.95;
  p.score_ema_alpha = 0.3;
  p.freq_threshold = 0.05;
  p.memory_headroom = 0.7;
  p.memory_budget_gb = 16;
  p.expert_size_gb = 1.2;
  p.bandwidth = 1;
  p.budget = 4;
  p.lookahead = 1;
  p.history_window = 50;
  p.cancel_stale = 1;
  p.overlap = 1;
  p.monitor_window = 100;
  p.log_interval = 50;
  return p;
}

extern "C" uint32_t bench_static_lru(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_lfu(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_score(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_sieve(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_s3_fifo(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_arc(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_lirs(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_w_tinylfu(void* state, const decision::Input* input, decision::Output* output);
extern "C" uint32_t bench_static_random(void* state, const decision::Input* input, decision::Output* output);

}  // namespace moe::bench
