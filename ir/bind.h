// SPDX-License-Identifier: Apache-2.0
// Binding: PolicyIR + model shape -> numbers that a decision engine runs on.
#pragma once
#include <optional>

#include "ir/diagnostics.h"
#include "ir/policy.h"

namespace moe::ir {

struct ModelShape {
  uint32_t num_layers = 0;    ///< 1..4096
  uint32_t num_experts = 0;   ///< per layer, 1..65534
  uint32_t top_k = 0;         ///< 1..num_experts
  uint64_t expert_bytes = 0;  ///< 0: unknown
};

struct BindOptions {
  std::optional<uint32_t> capacity_slots;  ///< overrides cache.capacity
  uint64_t fast_bytes = 0;                 ///< what `capacity = auto` fills; 0: unknown
  uint32_t streaming_slots = 2;            ///< what `auto` leaves for streaming
};

/// A policy bound to a shape. Everything the interpreter and the code generator need, and nothing of the source.
struct BoundPolicy {
  std::string name;
  ModelShape shape;
  // cache
  Scope scope = Scope::global;
  Eviction eviction = Eviction::lru;
  Admit admit = Admit::always;
  uint32_t capacity = 0;  ///< slots of one cache instance: of the whole cache, or of each layer's (scope = layer)
  std::vector<uint32_t>
      pins;  ///< keys (layer * num_experts + expert), ascending, no repeats; at most `capacity` per instance
  double frequency_decay = 0.95;
  uint64_t decay_interval = 100;
  double score_ema_alpha = 0.3;
  double freq_threshold = 0.05;
  uint64_t freq_window = 100;
  uint64_t ttl = 0;             ///< 0: none
  double memory_threshold = 0;  ///< 0: none
  double memory_headroom = 0.7;
  double memory_budget_gb = 16;
  double expert_size_gb = 1.2;  ///< the model's when it is known, in 10^9 bytes
  bool protect_selected = true;
  // prefetch
  Strategy strategy = Strategy::none;
  uint32_t budget = 4;
  uint32_t lookahead = 1;
  uint32_t history_window = 50;
  double min_probability = 0;
  double bandwidth = 1;
  bool cancel_stale = true;
  // schedule
  MissAction miss = MissAction::load;  ///< resolved: hybrid's choice is constant without a cost model
  bool overlap = true;
  bool priority_routing = false;
  // monitor
  std::vector<std::string> metrics;
  uint32_t monitor_window = 100;
  uint32_t log_interval = 50;
  // classification
  Exactness exactness = Exactness::exact;
  bool timing_free = true;

  uint32_t num_keys() const { return shape.num_layers * shape.num_experts; }
  uint32_t num_instances() const { return scope == Scope::layer ? shape.num_layers : 1; }
  /// Slots of all instances together.
  uint64_t total_capacity() const { return uint64_t{capacity} * num_instances(); }
};

/// Binds `policy`; findings go to `diagnostics`. nullopt when one of them is an error.
std::optional<BoundPolicy> bind(const Policy& policy, const ModelShape& shape, const BindOptions& options,
                                Diagnostics& diagnostics);

/// As verify(Policy), for the bound form.
std::vector<std::string> verify(const BoundPolicy& policy);
std::string print_json(const BoundPolicy& policy);

}  // namespace moe::ir
