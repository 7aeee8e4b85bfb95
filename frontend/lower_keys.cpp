// SPDX-License-Identifier: Apache-2.0
#include "frontend/lower_keys.h"

#include <fmt/format.h>

#include "frontend/text.h"

namespace moe::frontend {
namespace {

ir::KeyValue number_value(const KeySpec& key, const Typed& value) {
  if (value.type == Type::word) {
    // `lookahead = all`; what else has a word here may be absent.
    if (value.word == "all") return uint64_t{ir::kAllLayers};
    return std::monostate{};
  }
  if (key.type == ValueType::integer) return static_cast<uint64_t>(value.number);
  return value.number;
}

ir::KeyValue typed_value(const KeySpec& key, const Typed& value) {
  switch (key.type) {
    case ValueType::boolean:
      return value.truth;
    case ValueType::text:
      return std::string(value.word);
    case ValueType::victim:
      return std::monostate{};  // `cache`
    case ValueType::word:
      for (int i = 0; i <= static_cast<int>(ir::ScheduleMode::balance); ++i) {
        if (to_word(static_cast<ir::ScheduleMode>(i)) == value.word) return static_cast<ir::ScheduleMode>(i);
      }
      return std::monostate{};
    default:
      return number_value(key, value);
  }
}

// A condition that always holds asks for nothing.
bool is_plain_true(const ir::Expr& expr) {
  return expr.is_constant() && expr.type() == ir::Type::boolean && expr.root().number != 0;
}

void report_fixed(ir::Diagnostics& diagnostics, std::string_view block, const KeySpec& key, ir::SourceSpan span,
                  std::string_view where) {
  const bool other = block != "cache" && block != "prefetch" && block != "schedule";
  diagnostics.error("MOE2130", span,
                    other ? fmt::format("keys of {} are fixed when the policy starts", quote(block))
                          : fmt::format("{} cannot differ in {}", quote(key.name), where),
                    key.name == "scope" ? "set it in the policy's own `cache`" : "move it to the policy's own block");
}

}  // namespace

std::optional<ir::KeyValue> to_key_value(const KeySpec& key, const CheckedValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
  if (const auto* typed = std::get_if<Typed>(&value)) return typed_value(key, *typed);
  if (const auto* capacity = std::get_if<ir::Capacity>(&value)) return *capacity;
  if (const auto* eviction = std::get_if<ir::EvictionRule>(&value)) return *eviction;
  if (const auto* admit = std::get_if<ir::AdmitRule>(&value)) return *admit;
  if (const auto* chain = std::get_if<ir::StrategyChain>(&value)) return *chain;
  if (const auto* expr = std::get_if<ir::Expr>(&value)) {
    const bool is_default = key.type == ValueType::condition && is_plain_true(*expr);
    return is_default ? ir::Expr{} : *expr;
  }
  return std::nullopt;
}

std::optional<ir::Assignment> lower_assignment(const CheckContext& context, std::string_view block, const KeySpec& key,
                                               ir::SourceSpan key_span, ast::ExprId value) {
  const std::optional<ir::Key> id = ir::find_key(block, key.name);
  const CheckedValue checked = check_value(context, key, value);
  if (!id) {
    report_fixed(context.diagnostics, block, key, key_span, "a rule");
    return std::nullopt;
  }
  std::optional<ir::KeyValue> of_key = to_key_value(key, checked);
  if (!of_key) return std::nullopt;
  return ir::Assignment{*id, std::move(*of_key), context.exprs[value].span};
}

std::vector<ir::Assignment> lower_overrides(const CheckContext& context, std::string_view block,
                                            const BlockValues& values, std::string_view override_of) {
  std::vector<ir::Assignment> overrides;
  for (const BlockValues::Value& value : values.all()) {
    if (value.key->type == ValueType::pins) continue;
    const std::optional<ir::Key> id = ir::find_key(block, value.key->name);
    if (!id) {
      report_fixed(context.diagnostics, block, *value.key, value.key_span, override_of);
      continue;
    }
    std::optional<ir::KeyValue> of_key = to_key_value(*value.key, value.value);
    if (of_key) overrides.push_back({*id, std::move(*of_key), value.span});
  }
  return overrides;
}

void lower_short_forms(std::string_view block, const BlockValues& values, std::vector<ir::AdaptRule>& rules) {
  for (const BlockValues::Value& value : values.all()) {
    if (!value.otherwise) continue;
    const std::optional<ir::Key> id = ir::find_key(block, value.key->name);
    std::optional<ir::KeyValue> of_key = to_key_value(*value.key, value.otherwise->value);
    if (!id || !of_key) continue;
    ir::RuleAction action;
    action.assignment = {*id, std::move(*of_key), value.otherwise->value_span};
    action.span = value.otherwise->value_span;
    ir::AdaptRule rule;
    rule.condition = value.otherwise->condition;
    rule.actions.push_back(std::move(action));
    rule.revert = true;
    rule.span = value.otherwise->span;
    rules.push_back(std::move(rule));
  }
}

}  // namespace moe::frontend
