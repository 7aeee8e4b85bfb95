// SPDX-License-Identifier: Apache-2.0
// adapt { when E for N accesses cooldown N { actions } revert   choose A, B by E every N dispatches explore X }
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/check_block.h"
#include "frontend/limits.h"
#include "frontend/lower_expr.h"
#include "frontend/lower_rules.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

/// The place of `unit` among `units`; reports what is none of them.
std::optional<size_t> find_unit(const CheckContext& context, const ast::Name& unit,
                                const std::vector<std::string_view>& units) {
  const auto found = std::find(units.begin(), units.end(), std::string_view(unit.text));
  if (found != units.end()) return static_cast<size_t>(found - units.begin());
  context.diagnostics.error("MOE2111", unit.span, fmt::format("{} cannot be counted here", quote(unit.text)),
                            suggest(unit.text, units, "use " + list_words(units)));
  return std::nullopt;
}

ir::Sourced<uint64_t> counted(const CheckContext& context, ast::ExprId id, double least, std::string_view what) {
  const std::optional<double> count = check_count(context, id, least, what);
  return {static_cast<uint64_t>(count.value_or(least)), context.exprs[id].span};
}

void lower_when(const RuleContext& rules, const ast::When& when, ir::Policy& out) {
  const CheckContext& context = rules.context;
  ir::AdaptRule rule;
  rule.span = when.span;
  rule.revert = when.revert;
  std::optional<ir::Expr> condition = lower_condition(context, when.condition, kAdaptPlace);
  if (condition && condition->is_constant()) {
    const bool always = condition->root().number != 0;
    context.diagnostics.warning("MOE2115", context.exprs[when.condition].span,
                                fmt::format("the condition is always {}", always),
                                "compare a metric such as `hit_rate`");
  }
  if (when.stretch) {
    rule.stretch = counted(context, *when.stretch, 1, "a stretch");
    const auto unit = find_unit(context, *when.stretch_unit, {"accesses", "dispatches", "tokens"});
    rule.unit = static_cast<ir::AdaptRule::Unit>(unit.value_or(0));
  }
  if (when.cooldown) rule.cooldown = counted(context, *when.cooldown, 0, "a cooldown");
  if (when.items.empty() && !when.broken) {
    context.diagnostics.error("MOE2009", when.span, "the rule does nothing", "write an action between its braces");
  }
  rule.actions = lower_actions(rules, when.items);
  if (!condition || rule.actions.empty()) return;
  rule.condition = std::move(*condition);
  out.adapt.push_back(std::move(rule));
}

// A bandit needs arms to choose between, each once.
void check_arms(const RuleContext& rules, const ast::Choose& choose, const std::vector<UsedPolicy>& arms) {
  for (size_t i = 0; i < arms.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (arms[i].policy != arms[j].policy) continue;
      auto& twice = rules.context.diagnostics.error("MOE2160", arms[i].span, "this policy is in the choice already",
                                                    "remove one");
      twice.related_span = arms[j].span;
      twice.related_message = "the first is here";
      break;
    }
  }
  if (choose.policies.size() > 1) return;
  rules.context.diagnostics.error("MOE2160", choose.span, "a choice is between at least two policies",
                                  "name another one, which may be this policy itself");
}

void lower_choose(const RuleContext& rules, const ast::Choose& choose, ir::Policy& out) {
  const CheckContext& context = rules.context;
  ir::Choose lowered;
  lowered.span = choose.span;
  std::vector<UsedPolicy> arms;
  if (choose.policies.size() > kMaxVariants) {
    context.diagnostics.error("MOE2154", choose.span,
                              fmt::format("a choice is between at most {} policies", kMaxVariants));
    return;
  }
  for (const ast::Name& name : choose.policies) {
    if (too_many(context.diagnostics)) return;
    lowered.policies.push_back({name.text, name.span});
    const std::optional<size_t> policy = rules.linked.find(name.text, name.span);
    if (policy) {
      arms.push_back({*policy, name.span});
    } else {
      rules.linked.report_unknown(name, context.diagnostics);
    }
  }
  check_arms(rules, choose, arms);
  rules.used.insert(rules.used.end(), arms.begin(), arms.end());
  if (std::optional<ir::Expr> reward = lower_quantity(context, choose.reward, kAdaptPlace, "a reward")) {
    if (reward->is_constant()) {
      context.diagnostics.warning("MOE2115", context.exprs[choose.reward].span, "the reward is always the same",
                                  "reward a metric such as `hit_rate` or `-stall_ms`");
    }
    lowered.reward = std::move(*reward);
  }
  lowered.every = counted(context, choose.every, 1, "a period");
  find_unit(context, choose.every_unit, {"dispatches"});
  if (choose.explore) {
    const KeySpec explore{"explore", ValueType::real, {0, 1}, "", ""};
    const CheckedValue value = check_number(context, explore, *choose.explore);
    if (const auto* number = std::get_if<Typed>(&value)) {
      lowered.explore = {number->number, context.exprs[*choose.explore].span};
    }
  }
  if (!lowered.reward.empty()) out.choose.push_back(std::move(lowered));
}

}  // namespace

std::optional<double> check_count(const CheckContext& context, ast::ExprId id, double least, std::string_view what) {
  const Typed value = check_expression(context, id, kConstantPlace);
  if (value.is_unknown()) return std::nullopt;
  const bool whole = value.type == Type::number && std::trunc(value.number) == value.number && !value.fractional;
  if (whole && value.number >= least && value.number <= 1e15) return value.number;
  context.diagnostics.error("MOE2005", context.exprs[id].span,
                            fmt::format("{} is a whole number of at least {}, not {}", what, number_text(least),
                                        quote(context.exprs.written(context.exprs[id]))));
  return std::nullopt;
}

void lower_adapt(const RuleContext& rules, const ast::Block& block, ir::Policy& out) {
  check_block(rules.context, block, *find_block("adapt"));
  size_t num_rules = out.adapt.size();
  for (const ast::Item& item : block.items) {
    if (too_many(rules.context.diagnostics)) break;
    if (const auto* when = std::get_if<ast::When>(&item.node)) {
      if (++num_rules > kMaxRules) {
        rules.context.diagnostics.error(
            "MOE2155", when->span, fmt::format("more than {} rules in one policy", kMaxRules), "join some of them");
        return;
      }
      lower_when(rules, *when, out);
    }
    if (const auto* choose = std::get_if<ast::Choose>(&item.node)) lower_choose(rules, *choose, out);
  }
}

}  // namespace moe::frontend
