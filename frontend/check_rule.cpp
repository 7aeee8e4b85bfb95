// SPDX-License-Identifier: Apache-2.0
// Values that choose a rule: eviction, strategy, admit, drop, order, and prefetch's evict; monitor's metrics and
// ladders.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/check_value.h"
#include "frontend/limits.h"
#include "frontend/lower_expr.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;

constexpr std::string_view kUnsegmented = "belady fallback";

template <class E>
std::optional<E> enumerator(std::string_view word, E last) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (to_word(static_cast<E>(i)) == word) return static_cast<E>(i);
  }
  return std::nullopt;
}

ir::EvictionRule segments(ir::EvictionRule first, ir::EvictionRule second) {
  ir::EvictionRule rule(ir::Eviction::segmented);
  rule.segments.push_back(std::move(first));
  rule.segments.push_back(std::move(second));
  return rule;
}

class RuleChecker {
 public:
  RuleChecker(const CheckContext& context, const KeySpec& key) : context_(context), key_(key) {}

  CheckedValue check(ExprId id) {
    const Expr& e = context_.exprs[id];
    if (e.kind == ExprKind::chain) return chain(e);
    if (e.kind == ExprKind::call && is_form(context_.exprs.text_of(e))) return form(e);
    if (key_.type == ValueType::order) return default_order(e);
    const Typed value = check_expression(context_, id, kConstantPlace);
    if (value.is_unknown()) return {};
    if (value.type == Type::word) return word(e, value.word);
    const std::string otherwise = value.type == Type::text ? "write it without quotes" : "";
    context_.diagnostics.error("MOE2004", e.span,
                               fmt::format("{} takes {}, not {}", quote(key_.name), list_words(split_words(key_.words)),
                                           quote(context_.exprs.written(e))),
                               otherwise);
    return {};
  }

 private:
  // The calls that are values of the key, separated by spaces.
  std::string_view forms() const {
    switch (key_.type) {
      case ValueType::eviction:
      case ValueType::victim:
        return "least";
      case ValueType::strategy:
        return "most";
      case ValueType::order:
        return "least most";
      default:
        return "when";
    }
  }
  bool is_form(std::string_view name) const { return contains_word(forms(), name); }

  CheckedValue default_order(const Expr& e) {
    if (e.kind == ExprKind::name && context_.exprs.text_of(e) == key_.words) return ir::Expr{};
    context_.diagnostics.error("MOE2004", e.span,
                               fmt::format("{} takes `least(E)`, `most(E)` or {}, not {}", quote(key_.name),
                                           quote(key_.words), quote(context_.exprs.written(e))),
                               fmt::format("write `least({})`", context_.exprs.written(e)));
    return {};
  }

  CheckedValue word(const Expr& e, std::string_view written) {
    const CheckedValue checked = check_word(context_, key_, e.span, written);
    const Typed* known = std::get_if<Typed>(&checked);
    if (known == nullptr) return {};
    switch (key_.type) {
      case ValueType::admit:
        return ir::AdmitRule(*enumerator(known->word, ir::Admit::never));
      case ValueType::strategy:
        return ir::StrategyChain(*enumerator(known->word, ir::Strategy::trajectory));
      case ValueType::drop:
        return ir::Expr{};
      default:
        break;
    }
    if (known->word == "cache") return *known;  // prefetch's `evict`: the cache's own rule
    if (known->word == "fallback") return segments(ir::Eviction::lfu, ir::Eviction::lru);
    return ir::EvictionRule(*enumerator(known->word, ir::Eviction::belady));
  }

  // least(E), most(E), when(E)
  CheckedValue form(const Expr& e) {
    const std::string_view name = context_.exprs.text_of(e);
    const auto arguments = context_.exprs.operands_of(e);
    if (arguments.size() != 1) {
      context_.diagnostics.error("MOE2021", e.span,
                                 fmt::format("{} takes 1 argument, not {}", quote(name), arguments.size()));
      return {};
    }
    if (name != "when") return by_value(arguments[0], name);
    const Place place = key_.type == ValueType::drop ? kMissPlace : kAdmitPlace;
    std::optional<ir::Expr> condition = lower_condition(context_, arguments[0], place);
    if (!condition) return {};
    check_constant_condition(context_, *condition, arguments[0]);
    if (key_.type == ValueType::drop) return std::move(*condition);
    ir::AdmitRule rule(ir::Admit::when);
    rule.condition = std::move(*condition);
    return rule;
  }

  // least(E) and most(E), by a value of each expert
  CheckedValue by_value(ExprId id, std::string_view name) {
    const bool of_miss = key_.type == ValueType::order;
    const std::string what = fmt::format("what {} orders by", quote(name));
    std::optional<ir::Expr> value = lower_quantity(context_, id, of_miss ? kMissPlace : kEvictPlace, what);
    if (!value) return {};
    if (of_miss) return name == "most" ? negated(std::move(*value), id) : CheckedValue(std::move(*value));
    if (key_.type == ValueType::strategy) {
      ir::StrategyChain chain(ir::Strategy::most);
      chain.value = std::move(*value);
      return chain;
    }
    ir::EvictionRule rule(ir::Eviction::least);
    rule.value = std::move(*value);
    return rule;
  }

  // The IR holds what rises.
  CheckedValue negated(ir::Expr value, ExprId id) {
    if (value.is_constant()) {
      value.nodes[0].number = ir::apply(ir::ExprOp::negate, value.nodes[0].number);
      return value;
    }
    if (value.nodes.size() >= kMaxInlinedNodes) {
      context_.diagnostics.error(
          "MOE2029", context_.exprs[id].span,
          fmt::format("the expression has more than {} parts once every `let` is filled in", kMaxInlinedNodes - 1),
          "use fewer lets inside one another");
      return {};
    }
    ir::ExprNode sign;
    sign.op = ir::ExprOp::negate;
    sign.type = value.type();
    sign.operand[0] = static_cast<uint32_t>(value.nodes.size() - 1);
    sign.span = value.span();
    value.nodes.push_back(sign);
    return value;
  }

  CheckedValue chain(const Expr& e) {
    if (key_.type == ValueType::eviction) return two_segments(e);
    if (key_.type == ValueType::strategy) return strategies(e);
    context_.diagnostics.error("MOE2004", e.span,
                               fmt::format("{} takes one value, not several with `|`", quote(key_.name)));
    return {};
  }

  CheckedValue two_segments(const Expr& e) {
    const auto parts = context_.exprs.operands_of(e);
    if (parts.size() > 2) {
      context_.diagnostics.error("MOE2107", e.span, "an eviction rule has at most two segments", "write `a | b`");
      return {};
    }
    std::vector<ir::EvictionRule> rules;
    for (const ExprId part : parts) {
      const Expr& side = context_.exprs[part];
      const std::string_view written = context_.exprs.text_of(side);
      if (side.kind == ExprKind::name && contains_word(kUnsegmented, written)) {
        const bool fallback = written == "fallback";
        context_.diagnostics.error(
            "MOE2108", side.span,
            fmt::format("{}cannot be a segment", fallback ? "`fallback` stands for `lfu | lru` and " : "`belady` "),
            fallback ? "name the rule itself" : "write `belady` alone, or another rule");
        continue;
      }
      CheckedValue checked = check(part);
      if (auto* rule = std::get_if<ir::EvictionRule>(&checked)) rules.push_back(std::move(*rule));
    }
    if (rules.size() != 2) return {};
    for (size_t i = 0; i < 2; ++i) {
      // A param may stand for what cannot be written there.
      if (rules[i].kind != ir::Eviction::segmented && rules[i].kind != ir::Eviction::belady) continue;
      context_.diagnostics.error("MOE2108", context_.exprs[parts[i]].span, "this rule cannot be a segment",
                                 "name another rule");
      return {};
    }
    return segments(std::move(rules[0]), std::move(rules[1]));
  }

  CheckedValue strategies(const Expr& e) {
    ir::StrategyChain chain;
    chain.links.clear();
    bool all_good = true;
    for (const ExprId part : context_.exprs.operands_of(e)) {
      if (too_many(context_.diagnostics)) return {};
      CheckedValue checked = check(part);
      auto* one = std::get_if<ir::StrategyChain>(&checked);
      if (one == nullptr) {
        all_good = false;
        continue;
      }
      const ir::Strategy link = one->links.front();
      if (link == ir::Strategy::none) {
        context_.diagnostics.error("MOE2133", context_.exprs[part].span, "`none` stands alone, not in a chain",
                                   "remove it: a chain fetches nothing when no strategy has anything to say");
        all_good = false;
      } else if (chain.has(link)) {
        context_.diagnostics.error("MOE2133", context_.exprs[part].span,
                                   fmt::format("{} is asked twice", quote(to_word(link))), "remove one");
        all_good = false;
      }
      chain.links.push_back(link);
      if (link == ir::Strategy::most) chain.value = std::move(one->value);
    }
    if (!all_good) return {};
    return chain;
  }

  const CheckContext& context_;
  const KeySpec& key_;
};

}  // namespace

CheckedValue check_rule(const CheckContext& context, const KeySpec& key, ExprId id) {
  return RuleChecker(context, key).check(id);
}

CheckedValue check_metrics(const CheckContext& context, ExprId id) {
  const Expr& e = context.exprs[resolve_list(context, id)];
  if (e.kind != ExprKind::list) {
    context.diagnostics.error("MOE2004", e.span, "`metrics` takes a list of names", "write `[hit_rate]`");
    return {};
  }
  WordList names;
  const std::vector<std::string_view> known(metric_names().begin(), metric_names().end());
  for (const ExprId element : context.exprs.operands_of(e)) {
    if (too_many(context.diagnostics)) break;
    const Expr& metric = context.exprs[element];
    const std::string_view word = context.exprs.written(metric);
    if (metric.kind == ExprKind::missing) continue;
    if (metric.kind != ExprKind::name || std::find(known.begin(), known.end(), word) == known.end()) {
      context.diagnostics.error("MOE2112", metric.span, fmt::format("{} is not a metric", quote(word)),
                                suggest(word, known, "metrics are " + list_words(known, "and")));
      continue;
    }
    const auto first = std::find_if(names.begin(), names.end(), [&](const auto& name) { return name.value == word; });
    if (first == names.end()) {
      names.push_back({std::string(word), metric.span});
      continue;
    }
    auto& warning = context.diagnostics.warning("MOE2113", metric.span, fmt::format("{} is listed twice", quote(word)),
                                                "remove one");
    warning.related_span = first->span;
    warning.related_message = "the first is here";
  }
  return names;
}

namespace {

// One rung: its dtype and, unless it is the last, from which value on it holds. `above`: the rungs before it.
std::optional<ir::Ladder::Rung> check_rung(const CheckContext& context, const KeySpec& key, ExprId id, bool last,
                                           const ir::Ladder& above, const std::optional<ir::Expr>& by) {
  const Expr& rung = context.exprs[id];
  if (rung.kind == ExprKind::missing) return std::nullopt;
  const CheckedValue word = check_word(context, key, rung.text, context.exprs.text_of(rung));
  const auto* dtype = std::get_if<Typed>(&word);
  const bool has_threshold = rung.end_operand > rung.first_operand;
  if (has_threshold == last) {
    context.diagnostics.error(
        "MOE2114", rung.span,
        last ? "the last rung takes what is left and has no `>=`" : "only the last rung has no `>=`");
    return std::nullopt;
  }
  ir::Ladder::Rung out;
  if (has_threshold) {
    const Typed threshold = check_expression(context, context.exprs.operands_of(rung)[0], kConstantPlace);
    if (threshold.is_unknown()) return std::nullopt;
    const bool plain = threshold.type == Type::number || threshold.type == Type::ratio;
    if (by && to_word(threshold.type) != to_word(type_from(by->type())) && !plain) {
      context.diagnostics.error(
          "MOE2014", rung.span,
          fmt::format("the ladder goes by {}, this is {}", to_word(type_from(by->type())), to_word(threshold.type)));
      return std::nullopt;
    }
    if (!above.rungs.empty() && threshold.number >= above.rungs.back().at_least) {
      context.diagnostics.error("MOE2114", rung.span, "the thresholds of a ladder fall from rung to rung");
    }
    out.at_least = threshold.number;
  }
  if (dtype == nullptr) return std::nullopt;
  out.dtype = *enumerator(dtype->word, ir::Dtype::int2);
  return out;
}

}  // namespace

CheckedValue check_ladder(const CheckContext& context, const KeySpec& key, ExprId id) {
  const Expr& e = context.exprs[id];
  if (e.kind != ExprKind::ladder) {
    context.diagnostics.error("MOE2004", e.span, fmt::format("{} takes a ladder", quote(key.name)),
                              "write `by (score) [bf16 >= 0.5, int4]`");
    return {};
  }
  const auto parts = context.exprs.operands_of(e);
  std::optional<ir::Expr> by = lower_quantity(context, parts[0], kEvictPlace, "what a ladder goes by");
  ir::Ladder ladder;
  bool good = by.has_value();
  for (size_t i = 1; i < parts.size() && !too_many(context.diagnostics); ++i) {
    const std::optional<ir::Ladder::Rung> rung = check_rung(context, key, parts[i], i + 1 == parts.size(), ladder, by);
    good = good && rung;
    if (rung) ladder.rungs.push_back(*rung);
  }
  if (!good || ladder.rungs.empty()) return {};
  ladder.by = std::move(*by);
  return ladder;
}

}  // namespace moe::frontend
