// SPDX-License-Identifier: Apache-2.0
// Binding: PolicyIR + model shape -> numbers that a decision engine runs on.
#pragma once
#include <memory>
#include <optional>

#include "ir/allocate.h"
#include "ir/diagnostics.h"
#include "ir/policy.h"
#include "ir/profile.h"

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
  std::shared_ptr<const Profile> profile;  ///< what hottest(N), affinity and learn start from; null: none
  uint64_t seed = 1;                       ///< of `random` and `choose`
};

/// What holds in a dispatch: the three blocks with everything a model fixes filled in.
struct BoundRules {
  // cache
  EvictionRule eviction = Eviction::lru;
  AdmitRule admit = Admit::always;
  uint32_t capacity = 0;  ///< slots of one cache instance: of the whole cache, or of each layer's (scope = layer)
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
  bool one_by_one = false;
  // prefetch
  StrategyChain strategy = Strategy::none;
  uint32_t budget = 4;
  uint32_t lookahead = 1;  ///< kAllLayers resolved
  uint32_t history_window = 50;
  double affinity_threshold = 0.3;
  double min_probability = 0;
  double bandwidth = 1;
  bool cancel_stale = true;
  uint32_t store = 64;
  uint32_t top = 0xFFFFFFFF;
  bool side_buffer = false;
  Expr prefetch_when;  ///< empty: always
  AdmitRule prefetch_admit = Admit::always;
  std::optional<EvictionRule> prefetch_evict;  ///< nullopt: the cache's
  // schedule
  MissAction miss = MissAction::load;  ///< of every miss, where `arms` is empty and there is no cost model
  bool hybrid = false;                 ///< with a cost model: `cpu` where that is sooner, else `load`
  bool balance = false;                ///< mode balance
  std::vector<Arm> arms;
  double deadline_ms = 0;           ///< 0: none
  uint32_t max_loads = 0xFFFFFFFF;  ///< per dispatch
  bool loads_in_order = false;
  uint32_t arrival = 0;
  Expr order;  ///< empty: as they appear
  Expr drop;   ///< empty: nothing is dropped
  Expr gpu_time;
  Expr cpu_time;
  Expr cpu_setup;
  Expr load_time;
  bool overlap = true;
  bool priority_routing = false;

  friend bool operator==(const BoundRules&, const BoundRules&) = default;
};

/// A policy bound to a shape. Everything the interpreter and the code generator need.
struct BoundPolicy : BoundRules {
  std::string name;
  ModelShape shape;
  Scope scope = Scope::global;
  std::vector<uint32_t> pins;  ///< keys (layer * num_experts + expert), ascending, no repeats; at most the capacity of
                               ///< each instance
  std::vector<uint32_t> preload;  ///< keys in order of loading, no repeats, none pinned; they fit with the pins
  // monitor
  std::vector<std::string> metrics;
  uint32_t monitor_window = 100;
  uint32_t log_interval = 50;
  // what changes decisions over time
  std::optional<LearnRule> learn;
  std::optional<PerLayerRule> per_layer;  ///< scope is layer then
  uint64_t total_budget = 0;              ///< of per_layer, slots
  std::vector<AdaptRule> adapt;           ///< the policy's rules, then those of `memory`
  /// The unbound policy that bands, phases, overrides and alternatives are taken from. Null: the rules above hold
  /// always.
  std::shared_ptr<const Policy> source;
  BindOptions options;
  // classification
  Exactness exactness = Exactness::exact;
  bool timing_free = true;

  uint32_t num_keys() const { return shape.num_layers * shape.num_experts; }
  uint32_t num_instances() const { return scope == Scope::layer ? shape.num_layers : 1; }
  /// Slots of all instances together, at start.
  uint64_t total_capacity() const;
  /// Slots of the instance of `layer` at start.
  uint32_t capacity_of(uint32_t layer) const;
  /// Of one expert under `rules`: the model's own size, else what the policy says.
  double expert_bytes(const BoundRules& rules) const {
    return shape.expert_bytes != 0 ? static_cast<double>(shape.expert_bytes) : rules.expert_size_gb * 1e9;
  }
};

/// Which rules are asked for.
struct RulesQuery {
  uint32_t layer = 0;
  Phase phase = Phase::decode;
  std::optional<size_t> alternative;         ///< place in Policy::alternatives; nullopt: the policy itself
  std::vector<const Assignment*> overrides;  ///< of the active rules, in order of text
};

/// The rules in force: the blocks, then the layer's band, then the phase, then the overrides; the later wins. Of a
/// policy that bind() accepted nothing can fail: what an override asks beyond the model is lowered to what there is.
BoundRules rules_in_force(const BoundPolicy& policy, const RulesQuery& query);

/// Binds `policy`; findings go to `diagnostics`. nullopt when one of them is an error. Whatever a phase, band, rule or
/// alternative can put in force is checked too.
std::optional<BoundPolicy> bind(const Policy& policy, const ModelShape& shape, const BindOptions& options,
                                Diagnostics& diagnostics);

/// What per_layer may give: of a policy that has it.
AllocationLimits limits_of(const BoundPolicy& policy);

/// As verify(Policy), for the bound form.
std::vector<std::string> verify(const BoundPolicy& policy);
std::string print_json(const BoundPolicy& policy);

}  // namespace moe::ir
