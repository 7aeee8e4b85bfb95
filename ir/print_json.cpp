// SPDX-License-Identifier: Apache-2.0
// The IR as JSON: keys in the language's order, absent optional values as null, expressions as text.
#include "ir/json.h"
#include "ir/keys.h"

namespace moe::ir {
namespace {

Json range_json(const Pin::Range& range) { return Json::array({range.first, range.last}); }

Json pin_json(const Pin& pin) {
  switch (pin.kind) {
    case Pin::Kind::all:
      return "all";
    case Pin::Kind::hottest:
      return {{"hottest", capacity_json(pin.hottest)}};
    case Pin::Kind::experts:
      break;
  }
  return {{"layers", json_or_null(pin.layers, range_json)}, {"experts", range_json(pin.experts)}};
}

Json pins_json(const std::vector<Sourced<Pin>>& pins) {
  Json array = Json::array();
  for (const Sourced<Pin>& pin : pins) array.push_back(pin_json(pin.value));
  return array;
}

Json block_json(const Rules& rules, std::string_view block) {
  Json json = Json::object();
  for (size_t k = 0; k < kNumKeys; ++k) {
    const Key key = static_cast<Key>(k);
    if (info_of(key).block != block) continue;
    json[std::string(info_of(key).name)] = key_json(key, get(rules, key));
    if (key == Key::capacity) json["scope"] = to_word(rules.cache.scope.value);
    if (key == Key::admit) {
      json["pin"] = pins_json(rules.cache.pins);
      json["preload"] = pins_json(rules.cache.preload);
    }
  }
  return json;
}

Json monitor_json(const MonitorRule& monitor) {
  Json metrics = Json::array();
  for (const Sourced<std::string>& metric : monitor.metrics) metrics.push_back(metric.value);
  return {{"metrics", metrics}, {"window", monitor.window.value}, {"log_interval", monitor.log_interval.value}};
}

Json memory_json(const MemoryRule& memory) {
  return {{"budget", json_or_null(memory.budget, [](const auto& b) { return Json(b.value); })},
          {"kv_reserve", memory.kv_reserve.value},
          {"warn", memory.warn.value},
          {"shed", memory.shed.value},
          {"on_warn", actions_json(memory.on_warn)},
          {"on_shed", actions_json(memory.on_shed)}};
}

Json overrides_json(const std::vector<Assignment>& overrides) {
  Json array = Json::array();
  for (const Assignment& assignment : overrides) {
    const KeyInfo& info = info_of(assignment.key);
    array.push_back({{"block", info.block}, {"key", info.name}, {"value", key_json(assignment.key, assignment.value)}});
  }
  return array;
}

Json bands_json(const std::vector<Band>& bands) {
  Json array = Json::array();
  for (const Band& band : bands) {
    array.push_back({{"layers", Json::array({band.first, band.last})},
                     {"overrides", overrides_json(band.overrides)},
                     {"pin", json_or_null(band.pins, pins_json)},
                     {"preload", json_or_null(band.preload, pins_json)},
                     {"tiers", json_or_null(band.tiers, tiers_json)}});
  }
  return array;
}

Json phases_json(const std::vector<PhaseRule>& phases) {
  Json array = Json::array();
  for (const PhaseRule& phase : phases) {
    array.push_back({{"phase", to_word(phase.phase)}, {"overrides", overrides_json(phase.overrides)}});
  }
  return array;
}

Json choose_json(const std::vector<Choose>& all) {
  Json array = Json::array();
  for (const Choose& choose : all) {
    Json names = Json::array();
    for (const Sourced<std::string>& name : choose.policies) names.push_back(name.value);
    array.push_back({{"policies", names},
                     {"reward", expr_json(choose.reward)},
                     {"every", choose.every.value},
                     {"explore", choose.explore.value}});
  }
  return array;
}

Json params_json(const std::vector<Param>& params) {
  Json array = Json::array();
  for (const Param& param : params) {
    array.push_back({{"name", param.name},
                     {"value", param.value},
                     {"domain", param.domain.empty() ? Json(nullptr) : Json(param.domain)}});
  }
  return array;
}

Json policy_json(const Policy& policy) {
  const Rules rules = policy.rules();
  Json alternatives = Json::array();
  for (const Policy& other : policy.alternatives) alternatives.push_back(policy_json(other));
  return {{"name", policy.name.value},
          {"params", params_json(policy.params)},
          {"cache", block_json(rules, "cache")},
          {"prefetch", block_json(rules, "prefetch")},
          {"learn", json_or_null(policy.learn, learn_json)},
          {"schedule", block_json(rules, "schedule")},
          {"monitor", monitor_json(policy.monitor.value_or(MonitorRule{}))},
          {"per_layer", json_or_null(policy.per_layer, per_layer_json)},
          {"tiers", json_or_null(policy.tiers, tiers_json)},
          {"memory", json_or_null(policy.memory, memory_json)},
          {"layers", bands_json(policy.bands)},
          {"phases", phases_json(policy.phases)},
          {"adapt", rules_json(policy.adapt)},
          {"choose", choose_json(policy.choose)},
          {"alternatives", alternatives},
          {"exactness", to_word(exactness(policy))},
          {"timing_free", timing_free(policy)}};
}

}  // namespace

std::string print_json(const Policy& policy) { return dump(policy_json(policy)); }

std::string print_json(const Module& module) {
  Json array = Json::array();
  for (const Policy& policy : module.policies) array.push_back(policy_json(policy));
  return dump(array);
}

}  // namespace moe::ir
