// SPDX-License-Identifier: Apache-2.0
#include "frontend/check_value.h"

#include <fmt/format.h>

#include <cmath>

#include "frontend/lower_expr.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprKind;

void wrong_kind(const CheckContext& context, const KeySpec& key, ast::ExprId id, std::string_view takes,
                std::string hint = "") {
  const Expr& e = context.exprs[id];
  context.diagnostics.error("MOE2004", e.span,
                            fmt::format("{} takes {}, not {}", quote(key.name), takes, quote(context.exprs.written(e))),
                            std::move(hint));
}

std::string takes(ValueType type) {
  switch (type) {
    case ValueType::integer:
      return "a whole number";
    case ValueType::time_ms:
      return "a time, a bare number being milliseconds";
    case ValueType::gigabytes:
      return "a size, a bare number being 10^9 bytes";
    case ValueType::size:
      return "a size with its unit";
    default:
      break;
  }
  return "a number";
}

bool fits(ValueType type, const Typed& value) {
  switch (type) {
    case ValueType::integer:
      return value.type == Type::number;
    case ValueType::time_ms:
      return value.type == Type::number || value.type == Type::time;
    case ValueType::gigabytes:
      return value.type == Type::number || value.type == Type::size;
    case ValueType::size:
      return value.type == Type::size;
    default:
      return value.type == Type::number || value.type == Type::ratio;
  }
}

bool in_range(const NumberRange& range, double value) {
  return (range.open ? value > range.low : value >= range.low) && value <= range.high;
}

// Whether `id` is a lone word that the key takes, such as `none`.
bool is_key_word(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  const Expr& e = context.exprs[id];
  return e.kind == ExprKind::name && contains_word(key.words, context.exprs.text_of(e));
}

CheckedValue check_boolean(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  const Typed value = check_expression(context, id, kConstantPlace);
  if (value.is_unknown()) return {};
  if (value.type == Type::boolean) return value;
  std::string hint = "write `true` or `false`";
  if (value.type == Type::word) {
    if (contains_word("yes Yes YES on On ON enabled", value.word)) hint = "did you mean `true`?";
    if (contains_word("no No NO off Off OFF disabled", value.word)) hint = "did you mean `false`?";
    hint = suggest(value.word, {"true", "false"}, hint);
  } else if (value.type == Type::number) {
    hint = value.number == 0 ? "did you mean `false`?" : "did you mean `true`?";
  }
  wrong_kind(context, key, id, "`true` or `false`", hint);
  return {};
}

CheckedValue check_text(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  const Typed value = check_expression(context, id, kConstantPlace);
  if (value.is_unknown()) return {};
  if (value.type == Type::text) return value;
  wrong_kind(context, key, id, "a string", "put it in double quotes");
  return {};
}

CheckedValue check_single_word(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  const Typed value = check_expression(context, id, kConstantPlace);
  if (value.is_unknown()) return {};
  if (value.type == Type::word) return check_word(context, key, context.exprs[id].span, value.word);
  const std::vector<std::string_view> words = split_words(key.words);
  wrong_kind(context, key, id, list_words(words), value.type == Type::text ? "write it without quotes" : "");
  return {};
}

CheckedValue check_key_condition(const CheckContext& context, ast::ExprId id) {
  std::optional<ir::Expr> condition = lower_condition(context, id, kPrefetchPlace);
  if (!condition) return {};
  check_constant_condition(context, *condition, id);
  return std::move(*condition);
}

CheckedValue check_duration(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  if (is_key_word(context, key, id)) return ir::Expr{};
  std::optional<ir::Expr> expr = lower_expression(context, id, kMissPlace);
  if (!expr) return {};
  if (expr->type() == ir::Type::time || expr->type() == ir::Type::number) return std::move(*expr);
  wrong_kind(context, key, id, "a time, or a number of milliseconds");
  return {};
}

CheckedValue check_plain(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  switch (key.type) {
    case ValueType::boolean:
      return check_boolean(context, key, id);
    case ValueType::word:
      return check_single_word(context, key, id);
    case ValueType::text:
      return check_text(context, key, id);
    case ValueType::capacity:
      return check_capacity(context, key, id);
    case ValueType::pins:
      return check_pins(context, key, id);
    case ValueType::metrics:
      return check_metrics(context, id);
    case ValueType::counts:
      return check_counts(context, key, id);
    case ValueType::condition:
      return check_key_condition(context, id);
    case ValueType::duration:
      return check_duration(context, key, id);
    case ValueType::ladder:
      return check_ladder(context, key, id);
    case ValueType::eviction:
    case ValueType::admit:
    case ValueType::strategy:
    case ValueType::victim:
    case ValueType::drop:
    case ValueType::order:
      return check_rule(context, key, id);
    default:
      return check_number(context, key, id);
  }
}

}  // namespace

std::string describe(const NumberRange& range) {
  constexpr double kNoLimit = 4e9;  // beyond it a limit is the machine's, not the author's concern
  const std::string low = fmt::format("{} {}", range.open ? "more than" : "at least", number_text(range.low));
  if (range.high > kNoLimit) return low;
  if (range.open) return fmt::format("{} and at most {}", low, number_text(range.high));
  return fmt::format("{} to {}", number_text(range.low), number_text(range.high));
}

CheckedValue check_number(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  Typed value = check_expression(context, id, kConstantPlace);
  if (value.is_unknown()) return {};
  if (value.type == Type::word && contains_word(key.words, value.word)) return value;
  if (!fits(key.type, value)) {
    std::vector<std::string_view> known = scope_names(context);
    for (const std::string_view word : split_words(key.words)) known.push_back(word);
    wrong_kind(context, key, id, takes(key.type) + (key.words.empty() ? "" : fmt::format(", or `{}`", key.words)),
               value.type == Type::word ? suggest(value.word, known) : std::string());
    return {};
  }
  if (key.type == ValueType::gigabytes && value.type == Type::size) value.number /= 1e9;
  if (key.type == ValueType::integer && (value.fractional || std::trunc(value.number) != value.number)) {
    wrong_kind(context, key, id, takes(key.type));
    return {};
  }
  if (!in_range(key.range, value.number)) {
    context.diagnostics.error("MOE2005", context.exprs[id].span,
                              fmt::format("{} is out of range: it must be {}", quote(key.name), describe(key.range)));
    return {};
  }
  return value;
}

CheckedValue check_word(const CheckContext& context, const KeySpec& key, ir::SourceSpan span, std::string_view word) {
  if (word == "frequency_threshold" && contains_word(key.words, "freq_threshold")) word = "freq_threshold";
  Typed value;
  value.type = Type::word;
  value.constant = true;
  value.word = word;
  if (contains_word(key.words, word)) return value;
  const std::vector<std::string_view> words = split_words(key.words);
  context.diagnostics.error("MOE2003", span, fmt::format("{} is not a value of {}", quote(word), quote(key.name)),
                            suggest(word, words, fmt::format("use {}", list_words(words))));
  return {};
}

void check_constant_condition(const CheckContext& context, const ir::Expr& condition, ast::ExprId written) {
  if (!condition.is_constant() || context.exprs[written].kind == ExprKind::boolean) return;
  context.diagnostics.warning("MOE2115", context.exprs[written].span,
                              fmt::format("the condition is always {}", condition.root().number != 0),
                              "compare something that changes");
}

CheckedValue check_value(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  const Expr& e = context.exprs[id];
  if (e.kind == ExprKind::missing) return {};
  if (e.kind != ExprKind::switched) return check_plain(context, key, id);
  const auto parts = context.exprs.operands_of(e);
  context.diagnostics.error(
      "MOE2130", e.span, "a value that changes with `when` cannot stand here",
      fmt::format("write {}", quote(fmt::format("{} = {}", key.name, context.exprs.written(context.exprs[parts[0]])))));
  return {};
}

}  // namespace moe::frontend
