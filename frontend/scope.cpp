// SPDX-License-Identifier: Apache-2.0
#include "frontend/scope.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/lower_expr.h"
#include "frontend/parse_tree.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::ExprKind;

bool is_measure(Type type) { return type == Type::number || type == Type::ratio; }

// A number and a ratio go together, as everywhere.
bool same_kind(const Typed& a, const Typed& b) {
  return a.type == b.type || (is_measure(a.type) && is_measure(b.type));
}

bool equal(const Typed& a, const Typed& b) {
  if (!same_kind(a, b)) return false;
  return a.number == b.number && a.truth == b.truth && a.word == b.word;
}

Typed number_literal(std::string_view text, bool negative) {
  const NumberText number = parse_number(text);
  Typed value;
  if (number.problem != NumberProblem::none) return value;
  value.constant = true;
  value.number = in_base_units(negative ? -number.value : number.value, number.unit);
  switch (dimension_of(number.unit)) {
    case Dimension::ratio:
      value.type = Type::ratio;
      break;
    case Dimension::time:
      value.type = Type::time;
      break;
    case Dimension::size:
      value.type = Type::size;
      break;
    default:
      value.type = Type::number;
      break;
  }
  return value;
}

// `unknown` when the text is no literal.
Typed parse_literal(std::string_view text) {
  Typed value;
  const Tokens tokens = tokenize(text);
  const bool negative = tokens.front().kind == TokenKind::minus;
  const size_t first = negative ? 1 : 0;
  if (tokens.size() != first + 2) return value;
  const Token& token = tokens[first];
  if (token.kind == TokenKind::number) return number_literal(text_of(text, token), negative);
  if (negative) return value;
  value.constant = true;
  if (token.kind == TokenKind::true_ || token.kind == TokenKind::false_) {
    value.type = Type::boolean;
    value.truth = token.kind == TokenKind::true_;
  } else if (token.kind == TokenKind::string) {
    value.type = Type::text;
    value.word = text_of(text, token).substr(1, token.end - token.begin - 2);
  } else if (is_word(token.kind)) {
    value.type = Type::word;
    value.word = text_of(text, token);
  }
  return value;
}

std::string trimmed(std::string_view text) {
  const Tokens tokens = tokenize(text);  // a literal, and the end
  return std::string(text.substr(tokens.front().begin, tokens[tokens.size() - 2].end - tokens.front().begin));
}

class ScopeBuilder {
 public:
  ScopeBuilder(const ast::Expressions& exprs, std::vector<ParsedSetting>& settings, ir::Diagnostics& diagnostics,
               size_t* nodes_left)
      : exprs_(exprs), settings_(settings), diagnostics_(diagnostics), nodes_left_(nodes_left) {}

  Scope build(const ast::Policy& policy) {
    for (const ast::Param& param : policy.params) {
      if (!too_many(diagnostics_)) add_param(param);
    }
    for (const ast::Let& let : policy.lets) {
      if (too_many(diagnostics_)) break;
      Scope::Binding binding = lower_let(context(), let.value);
      binding.span = let.name.span;
      declare(let.name, std::move(binding));
    }
    return std::move(scope_);
  }

 private:
  CheckContext context() const { return {exprs_, diagnostics_, &scope_, nodes_left_}; }
  CheckContext without_scope() const { return {exprs_, diagnostics_}; }

  void add_param(const ast::Param& param) {
    Scope::Binding binding;
    binding.span = param.name.span;
    if (is_literal(param.value)) {
      binding.value = check_expression(without_scope(), param.value, kConstantPlace);
    } else if (exprs_[param.value].kind == ExprKind::list) {
      binding.list = param.value;
      if (param.domain) {
        diagnostics_.error("MOE2027", exprs_[*param.domain].span, "a param that is a list has no domain", "remove it");
      }
    } else if (exprs_[param.value].kind != ExprKind::missing) {
      diagnostics_.error("MOE2027", exprs_[param.value].span, "the value of a param is a literal",
                         "use `let` for an expression");
    }
    if (param.domain && !binding.list) check_domain(param, binding.value);
    const std::string value = apply_setting(param, binding);
    if (!declare(param.name, std::move(binding))) return;
    scope_.params.push_back({param.name.text, value, param.domain ? text_of_domain(exprs_[*param.domain]) : ""});
  }

  // On one line and without comments, whatever the source is like.
  std::string text_of_domain(const ast::Expr& domain) const {
    std::vector<std::string_view> members;
    for (const ast::ExprId id : exprs_.operands_of(domain)) members.push_back(exprs_.written(exprs_[id]));
    if (domain.kind != ExprKind::range) return fmt::format("[{}]", fmt::join(members, ", "));
    const std::string step = members.size() > 2 ? fmt::format(" step {}", members[2]) : "";
    return fmt::format("{} .. {}{}", members[0], members[1], step);
  }

  bool is_literal(ast::ExprId id) const {
    const ast::Expr& e = exprs_[id];
    if (e.kind == ExprKind::unary && e.op == ast::Op::negate) {
      return exprs_[exprs_.operands_of(e)[0]].kind == ExprKind::number;
    }
    return e.kind == ExprKind::number || e.kind == ExprKind::string || e.kind == ExprKind::boolean ||
           e.kind == ExprKind::name;
  }

  bool declare(const ast::Name& name, Scope::Binding binding) {
    if (const auto reserved = reserved_as(name.text)) {
      diagnostics_.error("MOE2017", name.span, fmt::format("{} is {} already", quote(name.text), *reserved),
                         "choose another name");
      return false;
    }
    const auto [place, inserted] = scope_.bindings.emplace(name.text, std::move(binding));
    if (inserted) return true;
    auto& error = diagnostics_.error("MOE2023", name.span, fmt::format("{} is defined twice", quote(name.text)),
                                     "rename or remove one");
    error.related_span = place->second.span;
    error.related_message = "the first definition is here";
    return false;
  }

  void check_domain(const ast::Param& param, const Typed& value) {
    const ast::Expr& domain = exprs_[*param.domain];
    std::vector<Typed> members;
    for (const ast::ExprId id : exprs_.operands_of(domain)) {
      if (!is_literal(id)) {
        diagnostics_.error("MOE2027", exprs_[id].span, "a domain is made of literals");
        return;
      }
      members.push_back(check_expression(without_scope(), id, kConstantPlace));
      if (members.back().is_unknown() || value.is_unknown()) return;
      if (!same_kind(members.back(), value)) {
        diagnostics_.error(
            "MOE2014", exprs_[id].span,
            fmt::format("the param is {}, this is {}", to_word(value.type), to_word(members.back().type)));
        return;
      }
    }
    if (domain.kind == ExprKind::range && !check_range(domain, members)) return;
    if (contains(domain, members, value)) return;
    diagnostics_.error("MOE2025", exprs_[param.value].span,
                       fmt::format("{} is not in the param's domain {}", quote(exprs_.written(exprs_[param.value])),
                                   quote(exprs_.written(domain))));
  }

  bool check_range(const ast::Expr& domain, const std::vector<Typed>& members) {
    if (members[0].type == Type::word || members[0].type == Type::text || members[0].type == Type::boolean) {
      diagnostics_.error("MOE2014", domain.span,
                         fmt::format("a range is of numbers, not of {}", to_word(members[0].type)),
                         "write a list: `in [a, b]`");
      return false;
    }
    if (members[0].number > members[1].number) {
      diagnostics_.error("MOE2005", domain.span, "the range is empty", "write the smaller number first");
      return false;
    }
    if (members.size() > 2 && !(members[2].number > 0)) {
      diagnostics_.error("MOE2005", domain.span, "the step of a range is more than 0");
      return false;
    }
    return true;
  }

  static bool contains(const ast::Expr& domain, const std::vector<Typed>& members, const Typed& value) {
    if (domain.kind == ExprKind::range) {
      return value.number >= members[0].number && value.number <= members[1].number;
    }
    return std::any_of(members.begin(), members.end(), [&](const Typed& member) { return equal(member, value); });
  }

  // The text of the value in force.
  std::string apply_setting(const ast::Param& param, Scope::Binding& binding) {
    Typed& value = binding.value;
    std::string written =
        binding.list ? text_of_domain(exprs_[param.value]) : std::string(exprs_.written(exprs_[param.value]));
    for (ParsedSetting& setting : settings_) {
      if (setting.setting->name != param.name.text) continue;
      setting.used = true;
      const std::string shown = quote(setting.setting->name + "=" + setting.setting->value);
      if (binding.list)
        diagnostics_.error("MOE2026", {}, fmt::format("{} is a list and cannot be set", quote(param.name.text)));
      if (value.is_unknown()) continue;
      if (!same_kind(setting.value, value)) {
        diagnostics_.error("MOE2026", {},
                           fmt::format("{} sets {} to {}", shown, to_word(value.type), to_word(setting.value.type)));
        continue;
      }
      if (param.domain && !in_domain(param, setting.value)) {
        diagnostics_.error(
            "MOE2026", {},
            fmt::format("{} is not in the param's domain {}", shown, quote(exprs_.written(exprs_[*param.domain]))));
        continue;
      }
      value = setting.value;
      written = setting.text;
    }
    return written;
  }

  bool in_domain(const ast::Param& param, const Typed& value) const {
    ir::Diagnostics reported_already;
    const ast::Expr& domain = exprs_[*param.domain];
    std::vector<Typed> members;
    for (const ast::ExprId id : exprs_.operands_of(domain)) {
      members.push_back(check_expression({exprs_, reported_already}, id, kConstantPlace));
    }
    return reported_already.has_errors() || members.size() < 1 || contains(domain, members, value);
  }

  const ast::Expressions& exprs_;
  std::vector<ParsedSetting>& settings_;
  ir::Diagnostics& diagnostics_;
  size_t* nodes_left_;
  Scope scope_;
};

}  // namespace

std::vector<ParsedSetting> parse_settings(const std::vector<Setting>& settings, ir::Diagnostics& diagnostics) {
  std::vector<ParsedSetting> parsed;
  for (const Setting& setting : settings) {
    const Typed value = parse_literal(setting.value);
    if (value.is_unknown()) {
      diagnostics.error("MOE2026", {},
                        fmt::format("the value of {} is no literal", quote(setting.name + "=" + setting.value)),
                        "give a number, a word, true or false");
      continue;
    }
    parsed.push_back({&setting, value, trimmed(setting.value)});
  }
  return parsed;
}

Scope build_scope(const ast::Policy& policy, const ast::Expressions& exprs, std::vector<ParsedSetting>& settings,
                  ir::Diagnostics& diagnostics, size_t* nodes_left) {
  return ScopeBuilder(exprs, settings, diagnostics, nodes_left).build(policy);
}

}  // namespace moe::frontend
