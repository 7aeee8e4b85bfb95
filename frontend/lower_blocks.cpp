// SPDX-License-Identifier: Apache-2.0
// Values of the four blocks to rules. A key that was not written keeps the default of ir/policy.h.
#include "frontend/lower.h"
#include "frontend/lower_keys.h"

namespace moe::frontend {

namespace {

// Every key that the IR has in its table; the others are the caller's.
void assign_all(std::string_view block, const BlockValues& values, ir::Rules& rules) {
  for (const BlockValues::Value& value : values.all()) {
    const std::optional<ir::Key> key = ir::find_key(block, value.key->name);
    std::optional<ir::KeyValue> of_key = to_key_value(*value.key, value.value);
    if (key && of_key) ir::assign(rules, {*key, std::move(*of_key), value.span});
  }
}

}  // namespace

ir::CacheRule lower_cache(const BlockValues& values) {
  ir::Rules rules;
  assign_all("cache", values, rules);
  values.read_word("scope", rules.cache.scope, 2);
  if (const auto* pins = values.get<PinList>("pin")) rules.cache.pins = *pins;
  if (const auto* preload = values.get<PinList>("preload")) rules.cache.preload = *preload;
  return std::move(rules.cache);
}

ir::PrefetchRule lower_prefetch(const BlockValues& values) {
  ir::Rules rules;
  assign_all("prefetch", values, rules);
  return std::move(rules.prefetch);
}

ir::ScheduleRule lower_schedule(const BlockValues& values) {
  ir::Rules rules;
  assign_all("schedule", values, rules);
  return std::move(rules.schedule);
}

ir::MonitorRule lower_monitor(const BlockValues& values) {
  ir::MonitorRule rule;
  if (const auto* metrics = values.get<WordList>("metrics")) rule.metrics = *metrics;
  values.read("window", rule.window);
  values.read("log_interval", rule.log_interval);
  return rule;
}

}  // namespace moe::frontend
