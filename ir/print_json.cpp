// SPDX-License-Identifier: Apache-2.0
// The IR as JSON: keys in the language's order, absent optional values as null.
#include <nlohmann/json.hpp>

#include "ir/bind.h"
#include "ir/policy.h"
#include "ir/print_value.h"

namespace moe::ir {
namespace {

using Json = nlohmann::ordered_json;

// Text that is not UTF-8 is replaced, never thrown at the caller.
std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json capacity_json(const Capacity& capacity) {
  switch (capacity.kind) {
    case Capacity::Kind::slots:
      return {{"slots", capacity.amount}};
    case Capacity::Kind::ratio:
      return {{"ratio", capacity.ratio}};
    case Capacity::Kind::bytes:
      return {{"bytes", capacity.amount}};
    case Capacity::Kind::automatic:
      return "auto";
  }
  return nullptr;
}

Json range_json(const Pin::Range& range) { return Json::array({range.first, range.last}); }

Json pins_json(const std::vector<Sourced<Pin>>& pins) {
  Json array = Json::array();
  for (const Sourced<Pin>& pin : pins) {
    array.push_back({{"layers", pin.value.layers ? range_json(*pin.value.layers) : Json(nullptr)},
                     {"experts", range_json(pin.value.experts)}});
  }
  return array;
}

Json cache_json(const CacheRule& cache) {
  return {{"capacity", capacity_json(cache.capacity.value)},
          {"scope", to_word(cache.scope.value)},
          {"eviction", print(cache.eviction.value)},
          {"admit", print(cache.admit.value)},
          {"pin", pins_json(cache.pins)},
          {"frequency_decay", cache.frequency_decay.value},
          {"decay_interval", cache.decay_interval.value},
          {"score_ema_alpha", cache.score_ema_alpha.value},
          {"freq_threshold", cache.freq_threshold.value},
          {"freq_window", cache.freq_window.value},
          {"ttl", cache.ttl ? Json(cache.ttl->value) : Json(nullptr)},
          {"memory_threshold", cache.memory_threshold ? Json(cache.memory_threshold->value) : Json(nullptr)},
          {"memory_headroom", cache.memory_headroom.value},
          {"memory_budget_gb", cache.memory_budget_gb.value},
          {"expert_size_gb", cache.expert_size_gb.value},
          {"protect_selected", cache.protect_selected.value}};
}

Json prefetch_json(const PrefetchRule& prefetch) {
  return {{"strategy", print(prefetch.strategy.value)},
          {"budget", prefetch.budget.value},
          {"lookahead", prefetch.lookahead.value},
          {"history_window", prefetch.history_window.value},
          {"affinity_threshold", prefetch.affinity_threshold.value},
          {"min_probability", prefetch.min_probability.value},
          {"bandwidth", prefetch.bandwidth.value},
          {"cancel_stale", prefetch.cancel_stale.value}};
}

Json schedule_json(const ScheduleRule& schedule) {
  return {{"mode", to_word(schedule.mode.value)},
          {"offload_threshold_ms", schedule.offload_threshold_ms.value},
          {"overlap", schedule.overlap.value},
          {"priority_routing", schedule.priority_routing.value}};
}

Json monitor_json(const MonitorRule& monitor) {
  Json metrics = Json::array();
  for (const Sourced<std::string>& metric : monitor.metrics) metrics.push_back(metric.value);
  return {{"metrics", metrics}, {"window", monitor.window.value}, {"log_interval", monitor.log_interval.value}};
}

Json policy_json(const Policy& policy) {
  return {{"name", policy.name.value},
          {"cache", cache_json(policy.cache)},
          {"prefetch", prefetch_json(policy.prefetch)},
          {"schedule", schedule_json(policy.schedule)},
          {"monitor", monitor_json(policy.monitor.value_or(MonitorRule{}))},
          {"exactness", to_word(exactness(policy))},
          {"timing_free", timing_free(policy)}};
}

Json bound_cache_json(const BoundPolicy& policy) {
  return {{"capacity", policy.capacity},
          {"scope", to_word(policy.scope)},
          {"eviction", to_word(policy.eviction)},
          {"admit", to_word(policy.admit)},
          {"pin", policy.pins},
          {"frequency_decay", policy.frequency_decay},
          {"decay_interval", policy.decay_interval},
          {"score_ema_alpha", policy.score_ema_alpha},
          {"freq_threshold", policy.freq_threshold},
          {"freq_window", policy.freq_window},
          {"ttl", policy.ttl != 0 ? Json(policy.ttl) : Json(nullptr)},
          {"memory_threshold", policy.memory_threshold != 0 ? Json(policy.memory_threshold) : Json(nullptr)},
          {"memory_headroom", policy.memory_headroom},
          {"memory_budget_gb", policy.memory_budget_gb},
          {"expert_size_gb", policy.expert_size_gb},
          {"protect_selected", policy.protect_selected}};
}

}  // namespace

std::string print_json(const Policy& policy) { return dump(policy_json(policy)); }

std::string print_json(const Module& module) {
  Json array = Json::array();
  for (const Policy& policy : module.policies) array.push_back(policy_json(policy));
  return dump(array);
}

std::string print_json(const BoundPolicy& policy) {
  return dump(
      {{"name", policy.name},
       {"model",
        {{"layers", policy.shape.num_layers},
         {"experts", policy.shape.num_experts},
         {"top_k", policy.shape.top_k},
         {"expert_bytes", policy.shape.expert_bytes != 0 ? Json(policy.shape.expert_bytes) : Json(nullptr)}}},
       {"cache", bound_cache_json(policy)},
       {"prefetch",
        {{"strategy", to_word(policy.strategy)},
         {"budget", policy.budget},
         {"lookahead", policy.lookahead},
         {"history_window", policy.history_window},
         {"min_probability", policy.min_probability},
         {"bandwidth", policy.bandwidth},
         {"cancel_stale", policy.cancel_stale}}},
       {"schedule",
        {{"miss", to_word(policy.miss)}, {"overlap", policy.overlap}, {"priority_routing", policy.priority_routing}}},
       {"monitor",
        {{"metrics", policy.metrics}, {"window", policy.monitor_window}, {"log_interval", policy.log_interval}}},
       {"exactness", to_word(policy.exactness)},
       {"timing_free", policy.timing_free}});
}

}  // namespace moe::ir
