// SPDX-License-Identifier: Apache-2.0
// Constants of policies, as a binder would find them.
#pragma once
#include <array>
#include <iterator>

#include "bench/static_kernels.h"
#include "runtime/decision/kernel.h"

namespace moe::bench {

struct StaticShape {
  uint32_t num_layers;
  uint32_t num_experts;
  uint32_t top_k;
};

/// Every default of the language; one cache for all layers of `capacity` slots.
constexpr decision::Params default_params(StaticShape shape, decision::Eviction eviction, uint32_t capacity) {
  decision::Params p{};
  p.num_layers = shape.num_layers;
  p.num_experts = shape.num_experts;
  p.top_k = shape.top_k;
  p.eviction = static_cast<uint32_t>(eviction);
  p.admit = decision::kAdmitAlways;
  p.capacity = capacity;
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
  p.store = 64;
  p.affinity_threshold = 0.3;
  p.entropy_window = 200;
  p.seed = 1;
  return p;
}

/// `capacity` slots in each layer, as many as it has experts at most.
constexpr decision::Params layer_params(StaticShape shape, decision::Eviction eviction, uint32_t capacity) {
  decision::Params p = default_params(shape, eviction, capacity < shape.num_experts ? capacity : shape.num_experts);
  p.scope_layer = 1;
  return p;
}

constexpr void set_prefetch(decision::Params& p, decision::Strategy strategy, uint32_t lookahead, uint32_t window) {
  p.strategy = static_cast<uint32_t>(strategy);
  p.lookahead = lookahead;
  p.history_window = window;
}

template <class Rule, const decision::Params& kParams>
uint32_t static_kernel(void* state, const decision::Input* input, decision::Output* output) {
  return decision::dispatch<Rule>(kParams, state, *input, *output);
}

}  // namespace moe::bench
