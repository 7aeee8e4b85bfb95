// SPDX-License-Identifier: Apache-2.0
// Values of the four blocks to rules. A key that was not written keeps the default of ir/policy.h.
#include "frontend/lower.h"

namespace moe::frontend {

ir::CacheRule lower_cache(const BlockValues& values) {
  ir::CacheRule rule;
  if (const auto* capacity = values.get<ir::Capacity>("capacity")) {
    rule.capacity = {*capacity, values.find("capacity")->span};
  }
  if (const auto* pins = values.get<PinList>("pin")) rule.pins = *pins;
  values.read_word("scope", rule.scope, 2);
  values.read_rule<ir::Eviction>("eviction", rule.eviction, 5);
  values.read_rule<ir::Admit>("admit", rule.admit, 2);
  values.read("frequency_decay", rule.frequency_decay);
  values.read("decay_interval", rule.decay_interval);
  values.read("score_ema_alpha", rule.score_ema_alpha);
  values.read("freq_threshold", rule.freq_threshold);
  values.read("freq_window", rule.freq_window);
  if (values.get<Typed>("ttl") != nullptr) values.read("ttl", rule.ttl.emplace());
  if (values.get<Typed>("memory_threshold") != nullptr)
    values.read("memory_threshold", rule.memory_threshold.emplace());
  values.read("memory_headroom", rule.memory_headroom);
  values.read("memory_budget_gb", rule.memory_budget_gb);
  values.read("expert_size_gb", rule.expert_size_gb);
  values.read("protect_selected", rule.protect_selected);
  return rule;
}

ir::PrefetchRule lower_prefetch(const BlockValues& values) {
  ir::PrefetchRule rule;
  values.read_rule<ir::Strategy>("strategy", rule.strategy, 4);
  values.read("budget", rule.budget);
  values.read("lookahead", rule.lookahead);
  values.read("history_window", rule.history_window);
  values.read("affinity_threshold", rule.affinity_threshold);
  values.read("min_probability", rule.min_probability);
  values.read("bandwidth", rule.bandwidth);
  values.read("cancel_stale", rule.cancel_stale);
  return rule;
}

ir::ScheduleRule lower_schedule(const BlockValues& values) {
  ir::ScheduleRule rule;
  values.read_word("mode", rule.mode, 3);
  values.read("offload_threshold_ms", rule.offload_threshold_ms);
  values.read("overlap", rule.overlap);
  values.read("priority_routing", rule.priority_routing);
  return rule;
}

ir::MonitorRule lower_monitor(const BlockValues& values) {
  ir::MonitorRule rule;
  if (const auto* metrics = values.get<WordList>("metrics")) rule.metrics = *metrics;
  values.read("window", rule.window);
  values.read("log_interval", rule.log_interval);
  return rule;
}

}  // namespace moe::frontend
