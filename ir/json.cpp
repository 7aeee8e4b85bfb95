// SPDX-License-Identifier: Apache-2.0
#include "ir/json.h"

#include "ir/keys.h"
#include "ir/print_value.h"

namespace moe::ir {
namespace {

Json text_json(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

struct ToJson {
  Key key;

  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return value; }
  Json operator()(uint64_t value) const {
    if (key == Key::lookahead && value == kAllLayers) return "all";
    return value;
  }
  Json operator()(double value) const { return value; }
  Json operator()(const std::string& value) const { return text_json(value); }
  Json operator()(const Capacity& value) const { return capacity_json(value); }
  Json operator()(ScheduleMode value) const { return to_word(value); }
  Json operator()(const std::vector<Arm>& value) const { return arms_json(value); }
  Json operator()(const Expr& value) const { return expr_json(value); }
  template <class Rule>
  Json operator()(const Rule& value) const {
    return print(value);
  }
};

Json action_json(const RuleAction& action) {
  switch (action.kind) {
    case RuleAction::Kind::assign: {
      const KeyInfo& info = info_of(action.assignment.key);
      return {{"block", info.block},
              {"key", info.name},
              {"value", key_json(action.assignment.key, action.assignment.value)}};
    }
    case RuleAction::Kind::use:
      return {{"use", action.name}};
    case RuleAction::Kind::rebalance:
      return {{"rebalance", to_word(action.allocation)}};
    case RuleAction::Kind::trigger_pressure:
      return {{"trigger", "memory_pressure"}};
    case RuleAction::Kind::signal:
      return {{"signal", action.name}};
  }
  return nullptr;
}

Json tier_json(const Tier& tier) {
  return {{"name", tier.name.value},
          {"location", to_word(tier.location.value)},
          {"dtype", to_word(tier.dtype.value)},
          {"capacity", json_or_null(tier.capacity, [](const auto& c) { return capacity_json(c.value); })},
          {"pinned", tier.pinned.value},
          {"group_size", tier.group_size.value},
          {"path", text_json(tier.path.value)}};
}

Json ladder_json(const Ladder& ladder) {
  Json rungs = Json::array();
  for (size_t i = 0; i < ladder.rungs.size(); ++i) {
    const bool is_last = i + 1 == ladder.rungs.size();
    rungs.push_back({{"dtype", to_word(ladder.rungs[i].dtype)},
                     {"at_least", is_last ? Json(nullptr) : Json(ladder.rungs[i].at_least)}});
  }
  return {{"by", print_expr(ladder.by)}, {"rungs", rungs}};
}

}  // namespace

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json key_json(Key key, const KeyValue& value) { return std::visit(ToJson{key}, value); }

Json expr_json(const Expr& expr) { return expr.empty() ? Json(nullptr) : Json(print_expr(expr)); }

Json arms_json(const std::vector<Arm>& arms) {
  if (arms.empty()) return nullptr;
  Json array = Json::array();
  for (const Arm& arm : arms) array.push_back({{"when", expr_json(arm.condition)}, {"action", to_word(arm.action)}});
  return array;
}

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

Json actions_json(const std::vector<RuleAction>& actions) {
  Json array = Json::array();
  for (const RuleAction& action : actions) array.push_back(action_json(action));
  return array;
}

Json rules_json(const std::vector<AdaptRule>& rules) {
  Json array = Json::array();
  for (const AdaptRule& rule : rules) {
    array.push_back({{"when", expr_json(rule.condition)},
                     {"for", rule.stretch.value},
                     {"unit", to_word(rule.unit)},
                     {"cooldown", rule.cooldown.value},
                     {"actions", actions_json(rule.actions)},
                     {"revert", rule.revert}});
  }
  return array;
}

Json per_layer_json(const PerLayerRule& rule) {
  return {{"allocation", to_word(rule.allocation.value)},
          {"total_budget", json_or_null(rule.total_budget, [](const auto& b) { return Json(b.value); })},
          {"min_capacity", rule.min_capacity.value},
          {"max_capacity", rule.max_capacity.value},
          {"rebalance_interval", rule.rebalance_interval.value},
          {"entropy_window", rule.entropy_window.value},
          {"capacities", rule.capacities.value.empty() ? Json(nullptr) : Json(rule.capacities.value)}};
}

Json learn_json(const LearnRule& learn) {
  return {{"window", learn.window.value},
          {"discount", learn.discount.value},
          {"rate", learn.rate.value},
          {"profile", text_json(learn.profile.value)},
          {"freeze", learn.freeze.value}};
}

Json tiers_json(const TiersRule& tiers) {
  Json list = Json::array(), moves = Json::array();
  for (const Tier& tier : tiers.tiers) list.push_back(tier_json(tier));
  for (const Move& move : tiers.moves) {
    moves.push_back({{"move", move.promote ? "promote" : "demote"},
                     {"from", move.from.value},
                     {"to", move.to.value},
                     {"when", move.condition.empty() ? Json("evict") : expr_json(move.condition)}});
  }
  return {{"tiers", list},
          {"moves", moves},
          {"inclusive", tiers.inclusive.value},
          {"eviction", json_or_null(tiers.eviction, [](const auto& e) { return Json(print(e.value)); })},
          {"direct", tiers.direct.value},
          {"precision", json_or_null(tiers.precision, [](const auto& p) { return ladder_json(p.value); })}};
}

}  // namespace moe::ir
