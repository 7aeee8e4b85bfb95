// SPDX-License-Identifier: Apache-2.0
// Values that choose a rule: eviction, strategy, admit, and prefetch's evict.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/check_value.h"
#include "frontend/limits.h"
#include "frontend/text.h"
#include "frontend/unsupported.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;

class RuleChecker {
 public:
  RuleChecker(const CheckContext& context, const KeySpec& key) : context_(context), key_(key) {}

  CheckedValue check(ExprId id) {
    const Expr& e = context_.exprs[id];
    if (e.kind == ExprKind::chain) return chain(e);
    if (e.kind == ExprKind::call && is_form(context_.exprs.text_of(e))) return form(e);
    const Typed value = check_expression(context_, id, kConstantPlace);
    if (value.is_unknown()) return {};
    if (value.type == Type::word) return check_word(context_, key_, e.span, value.word);
    const std::string otherwise = value.type == Type::text ? "write it without quotes" : "";
    context_.diagnostics.error("MOE2004", e.span,
                               fmt::format("{} takes {}, not {}", quote(key_.name), list_words(split_words(key_.words)),
                                           quote(context_.exprs.written(e))),
                               otherwise);
    return {};
  }

 private:
  bool takes_least() const { return key_.type == ValueType::eviction || key_.type == ValueType::victim; }
  bool is_form(std::string_view name) const {
    return (takes_least() && name == "least") || (key_.type == ValueType::admit && name == "when");
  }

  // least(E), when(E)
  CheckedValue form(const Expr& e) {
    const std::string_view name = context_.exprs.text_of(e);
    const auto arguments = context_.exprs.operands_of(e);
    if (arguments.size() != 1) {
      context_.diagnostics.error("MOE2021", e.span,
                                 fmt::format("{} takes 1 argument, not {}", quote(name), arguments.size()));
      return {};
    }
    const size_t errors_before = context_.diagnostics.num_errors();
    if (name == "when") {
      check_condition(context_, arguments[0], kAdmitPlace);
    } else {
      check_score(arguments[0]);
    }
    if (context_.diagnostics.num_errors() == errors_before) {
      report_unsupported(context_.diagnostics, e.span, fmt::format("{}(E)", name),
                         fmt::format("supported here: {}", list_words(split_words(key_.words), "and")));
    }
    return {};
  }

  void check_score(ExprId id) {
    const Typed value = check_expression(context_, id, kEvictPlace);
    if (value.is_unknown() || value.type == Type::number || value.type == Type::ratio || value.type == Type::time ||
        value.type == Type::size) {
      return;
    }
    context_.diagnostics.error("MOE2014", context_.exprs[id].span,
                               fmt::format("`least` orders experts by a number, this is {}", to_word(value.type)));
  }

  CheckedValue chain(const Expr& e) {
    const auto parts = context_.exprs.operands_of(e);
    const bool is_eviction = key_.type == ValueType::eviction;
    if (!is_eviction && key_.type != ValueType::strategy) {
      context_.diagnostics.error("MOE2004", e.span,
                                 fmt::format("{} takes one value, not several with `|`", quote(key_.name)));
      return {};
    }
    if (is_eviction && parts.size() > 2) {
      context_.diagnostics.error("MOE2107", e.span, "an eviction rule has at most two segments", "write `a | b`");
      return {};
    }
    // The parts are judged as words of the language here; that chains are not supported is said once, for the whole.
    KeySpec lenient = key_;
    lenient.supported = false;
    const size_t errors_before = context_.diagnostics.num_errors();
    for (const ExprId part : parts) {
      if (too_many(context_.diagnostics)) return {};
      if (is_eviction && is_word(part, "fallback")) {
        context_.diagnostics.error("MOE2108", context_.exprs[part].span,
                                   "`fallback` stands for `lfu | lru` and cannot be a segment", "name the rule itself");
        continue;
      }
      RuleChecker(context_, lenient).check(part);
    }
    if (context_.diagnostics.num_errors() == errors_before) {
      report_unsupported(context_.diagnostics, e.span, context_.exprs.written(e),
                         fmt::format("use one of {}", list_words(split_words(key_.words))));
    }
    return {};
  }

  bool is_word(ExprId id, std::string_view word) const {
    const Expr& e = context_.exprs[id];
    return e.kind == ExprKind::name && context_.exprs.text_of(e) == word;
  }

  const CheckContext& context_;
  const KeySpec& key_;
};

}  // namespace

CheckedValue check_rule(const CheckContext& context, const KeySpec& key, ExprId id) {
  return RuleChecker(context, key).check(id);
}

CheckedValue check_metrics(const CheckContext& context, ExprId id) {
  const Expr& e = context.exprs[id];
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

CheckedValue check_ladder(const CheckContext& context, const KeySpec& key, ExprId id) {
  const Expr& e = context.exprs[id];
  if (e.kind != ExprKind::ladder) {
    context.diagnostics.error("MOE2004", e.span, fmt::format("{} takes a ladder", quote(key.name)),
                              "write `by (score) [bf16 >= 0.5, int4]`");
    return {};
  }
  const auto parts = context.exprs.operands_of(e);
  check_expression(context, parts[0], kEvictPlace);
  double above = 0;
  for (size_t i = 1; i < parts.size() && !too_many(context.diagnostics); ++i) {
    const Expr& rung = context.exprs[parts[i]];
    if (rung.kind == ExprKind::missing) continue;
    check_word(context, key, rung.text, context.exprs.text_of(rung));
    const bool last = i + 1 == parts.size();
    const bool has_threshold = rung.end_operand > rung.first_operand;
    if (has_threshold == last) {
      context.diagnostics.error(
          "MOE2114", rung.span,
          last ? "the last rung takes what is left and has no `>=`" : "only the last rung has no `>=`");
    }
    if (!has_threshold) continue;
    const Typed threshold = check_expression(context, context.exprs.operands_of(rung)[0], kConstantPlace);
    if (threshold.is_unknown()) continue;
    if (i > 1 && threshold.number >= above) {
      context.diagnostics.error("MOE2114", rung.span, "the thresholds of a ladder fall from rung to rung");
    }
    above = threshold.number;
  }
  return {};
}

}  // namespace moe::frontend
