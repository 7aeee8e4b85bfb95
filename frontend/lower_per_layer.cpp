// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/lower_shared.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

// Defaults follow the one that was written: 100 as the least of each layer raises the most.
void check_bounds(const BlockValues& values, ir::PerLayerRule& rule, ir::Diagnostics& diagnostics) {
  if (rule.min_capacity.value > rule.max_capacity.value) {
    const std::string_view key = values.find("min_capacity") != nullptr ? "min_capacity" : "max_capacity";
    diagnostics.error(
        "MOE2109", values.find(key)->span,
        fmt::format("`min_capacity` is {} and `max_capacity` {}", rule.min_capacity.value, rule.max_capacity.value),
        "the least cannot be above the most");
  }
  if (rule.total_budget && rule.total_budget->value < rule.min_capacity.value) {
    diagnostics.error("MOE2109", rule.total_budget->span,
                      fmt::format("`total_budget` is less than `min_capacity`, which is {}", rule.min_capacity.value),
                      "every layer gets at least that much");
  }
}

// Fixed sizes leave nothing to share out. A key that repeats its default asks for nothing.
void check_fixed(const BlockValues& values, const ir::PerLayerRule& rule, ir::Diagnostics& diagnostics) {
  if (rule.capacities.value.empty()) return;
  const ir::PerLayerRule defaults;
  const auto check = [&](std::string_view key, bool differs) {
    if (!differs) return;
    diagnostics.warning("MOE2022", values.find(key)->key_span,
                        fmt::format("nothing reads {} beside `capacities`", quote(key)), "remove one of the two");
  };
  check("allocation", rule.allocation.value != defaults.allocation.value);
  check("total_budget", rule.total_budget.has_value());
  check("min_capacity", rule.min_capacity.value != defaults.min_capacity.value);
  check("max_capacity", rule.max_capacity.value != defaults.max_capacity.value);
  check("rebalance_interval", rule.rebalance_interval.value != defaults.rebalance_interval.value);
  check("entropy_window", rule.entropy_window.value != defaults.entropy_window.value);
}

}  // namespace

ir::PerLayerRule lower_per_layer(const CheckContext& context, const ast::Block& block, const BlockValues& cache) {
  const BlockValues values = check_block(context, block, *find_block("per_layer"));
  ir::PerLayerRule rule;
  values.read_word("allocation", rule.allocation, static_cast<int>(ir::Allocation::utility) + 1);
  if (values.get<Typed>("total_budget") != nullptr) values.read("total_budget", rule.total_budget.emplace());
  values.read("min_capacity", rule.min_capacity);
  values.read("max_capacity", rule.max_capacity);
  values.read("rebalance_interval", rule.rebalance_interval);
  values.read("entropy_window", rule.entropy_window);
  if (const auto* counts = values.get<CountList>("capacities")) {
    rule.capacities = {*counts, values.find("capacities")->span};
  }
  check_bounds(values, rule, context.diagnostics);
  check_fixed(values, rule, context.diagnostics);
  const Typed* scope = cache.get<Typed>("scope");
  if (scope != nullptr && scope->word == "global") {
    auto& error =
        context.diagnostics.error("MOE2117", cache.find("scope")->span, "`per_layer` gives each layer its own cache",
                                  "write `scope = layer`, or remove `per_layer`");
    error.related_span = block.name.span;
    error.related_message = "`per_layer` is here";
  }
  return rule;
}

ir::LearnRule lower_learn(const CheckContext& context, const ast::Block& block) {
  const BlockValues values = check_block(context, block, *find_block("learn"));
  ir::LearnRule rule;
  values.read("window", rule.window);
  values.read("discount", rule.discount);
  values.read("rate", rule.rate);
  values.read("freeze", rule.freeze);
  if (const Typed* profile = values.get<Typed>("profile")) {
    rule.profile = {std::string(profile->word), values.find("profile")->span};
  }
  if (rule.freeze.value && rule.profile.value.empty()) {
    context.diagnostics.warning("MOE2171", rule.freeze.span, "weights that start from zero and are frozen stay zero",
                                "name a `profile` with weights, or remove `freeze`");
  }
  return rule;
}

CheckedValue check_counts(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  const ast::Expr& e = context.exprs[resolve_list(context, id)];
  if (e.kind != ast::ExprKind::list || e.first_operand == e.end_operand) {
    context.diagnostics.error("MOE2004", e.span, fmt::format("{} takes a list of whole numbers", quote(key.name)),
                              "write, for example, `[16, 8]`: the last is repeated");
    return {};
  }
  const KeySpec element{key.name, ValueType::integer, key.range, "", ""};
  CountList counts;
  for (const ast::ExprId operand : context.exprs.operands_of(e)) {
    const CheckedValue value = check_number(context, element, operand);
    const auto* number = std::get_if<Typed>(&value);
    if (number == nullptr) return {};
    counts.push_back(static_cast<uint32_t>(number->number));
  }
  return counts;
}

}  // namespace moe::frontend
