// SPDX-License-Identifier: Apache-2.0
// A bound policy as JSON: the rules that hold where no band, phase or rule says otherwise, and what can change them.
#include "ir/bind.h"
#include "ir/json.h"
#include "ir/print_value.h"

namespace moe::ir {
namespace {

Json or_null(bool is_set, Json value) { return is_set ? std::move(value) : Json(nullptr); }

Json model_json(const ModelShape& shape) {
  return {{"layers", shape.num_layers},
          {"experts", shape.num_experts},
          {"top_k", shape.top_k},
          {"expert_bytes", or_null(shape.expert_bytes != 0, shape.expert_bytes)}};
}

Json cache_json(const BoundPolicy& policy) {
  return {{"capacity", policy.capacity},
          {"scope", to_word(policy.scope)},
          {"eviction", print(policy.eviction)},
          {"admit", print(policy.admit)},
          {"pin", policy.pins},
          {"preload", policy.preload},
          {"frequency_decay", policy.frequency_decay},
          {"decay_interval", policy.decay_interval},
          {"score_ema_alpha", policy.score_ema_alpha},
          {"freq_threshold", policy.freq_threshold},
          {"freq_window", policy.freq_window},
          {"ttl", or_null(policy.ttl != 0, policy.ttl)},
          {"memory_threshold", or_null(policy.memory_threshold != 0, policy.memory_threshold)},
          {"memory_headroom", policy.memory_headroom},
          {"memory_budget_gb", policy.memory_budget_gb},
          {"expert_size_gb", policy.expert_size_gb},
          {"protect_selected", policy.protect_selected}};
}

Json prefetch_json(const BoundPolicy& policy) {
  return {{"strategy", print(policy.strategy)},
          {"budget", policy.budget},
          {"lookahead", policy.lookahead},
          {"history_window", policy.history_window},
          {"affinity_threshold", policy.affinity_threshold},
          {"min_probability", policy.min_probability},
          {"bandwidth", policy.bandwidth},
          {"cancel_stale", policy.cancel_stale},
          {"store", policy.store},
          {"when", expr_json(policy.prefetch_when)},
          {"admit", print(policy.prefetch_admit)},
          {"evict", json_or_null(policy.prefetch_evict, [](const auto& e) { return Json(print(e)); })}};
}

Json schedule_json(const BoundPolicy& policy) {
  constexpr uint32_t kNoLimit = 0xFFFFFFFF;
  return {{"miss", to_word(policy.miss)},
          {"hybrid", policy.hybrid},
          {"balance", policy.balance},
          {"on_miss", arms_json(policy.arms)},
          {"deadline_ms", or_null(policy.deadline_ms != 0, policy.deadline_ms)},
          {"max_loads", or_null(policy.max_loads != kNoLimit, policy.max_loads)},
          {"drop", expr_json(policy.drop)},
          {"gpu_time", expr_json(policy.gpu_time)},
          {"cpu_time", expr_json(policy.cpu_time)},
          {"load_time", expr_json(policy.load_time)},
          {"overlap", policy.overlap},
          {"priority_routing", policy.priority_routing}};
}

}  // namespace

std::string print_json(const BoundPolicy& policy) {
  return dump(
      {{"name", policy.name},
       {"model", model_json(policy.shape)},
       {"cache", cache_json(policy)},
       {"prefetch", prefetch_json(policy)},
       {"learn", json_or_null(policy.learn, learn_json)},
       {"schedule", schedule_json(policy)},
       {"monitor",
        {{"metrics", policy.metrics}, {"window", policy.monitor_window}, {"log_interval", policy.log_interval}}},
       {"per_layer", json_or_null(policy.per_layer, per_layer_json)},
       {"adapt", rules_json(policy.adapt)},
       {"exactness", to_word(policy.exactness)},
       {"timing_free", policy.timing_free}});
}

}  // namespace moe::ir
