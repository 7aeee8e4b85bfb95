// SPDX-License-Identifier: Apache-2.0
#include "frontend/eval.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/eval_operators.h"
#include "frontend/keys.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;

constexpr double kMaxSamples = 4096;  // of avg_over and its kin

class Evaluator {
 public:
  Evaluator(const CheckContext& context, ExprId root, Place place)
      : context_(context), root_(root), first_(context.exprs[root].first), place_(place), values_(root - first_ + 1) {}

  Typed run() {
    mark_victim_arguments();
    for (ExprId id = first_; id <= root_; ++id) values_[id - first_] = evaluate(id);
    return values_.back();
  }

  /// Where the expression may stand: the places that all its variables are known in.
  uint8_t seen_places() const { return seen_places_; }

 private:
  const Expr& expr(ExprId id) const { return context_.exprs[id]; }
  const Typed& value(const Expr& e, size_t i) const { return values_[context_.exprs.operands_of(e)[i] - first_]; }
  std::string_view text(const Expr& e) const { return context_.exprs.text_of(e); }

  Typed evaluate(ExprId id) {
    const Expr& e = expr(id);
    switch (e.kind) {
      case ExprKind::number:
        return number(e);
      case ExprKind::boolean: {
        Typed out;
        out.type = Type::boolean;
        out.constant = true;
        out.truth = e.truth;
        return out;
      }
      case ExprKind::string:
        return worded(Type::text, text(e));
      case ExprKind::name:
        return name(e, id);
      case ExprKind::call:
        return call(e);
      case ExprKind::unary:
        return apply_unary(context_, e, value(e, 0));
      case ExprKind::binary:
        return apply_binary(context_, e, value(e, 0), value(e, 1));
      case ExprKind::conditional:
        return apply_conditional(context_, e, value(e, 0), value(e, 1), value(e, 2));
      case ExprKind::missing:
        return {};
      default:
        context_.diagnostics.error("MOE2004", e.span,
                                   fmt::format("expected one value, found {}", quote(context_.exprs.written(e))));
        return {};
    }
  }

  Typed number(const Expr& e) const {
    Typed out;
    out.constant = true;
    out.number = in_base_units(e.number, e.unit);
    out.bare_literal = e.unit == Unit::none;
    out.fractional = e.unit == Unit::none && text(e).find('.') != std::string_view::npos;
    switch (dimension_of(e.unit)) {
      case Dimension::ratio:
        out.type = Type::ratio;
        break;
      case Dimension::time:
        out.type = Type::time;
        break;
      case Dimension::size:
        out.type = Type::size;
        break;
      default:
        out.type = Type::number;
        break;
    }
    return out;
  }

  static Typed worded(Type type, std::string_view word) {
    Typed out;
    out.type = type;
    out.constant = true;
    out.word = word;
    return out;
  }

  // The argument of victim(x) is a variable of another expert; nothing else about it differs.
  void mark_victim_arguments() {
    if ((place_ & kAdmitPlace) == 0) return;
    for (ExprId id = first_; id <= root_; ++id) {
      const Expr& e = expr(id);
      const bool is_victim = e.kind == ExprKind::call && text(e) == "victim" && e.end_operand == e.first_operand + 1;
      if (is_victim && expr(context_.exprs.operands_of(e)[0]).kind != ExprKind::name) {
        context_.diagnostics.error("MOE2021", e.span, "`victim` takes the name of a variable",
                                   "write, for example, `victim(predicted)`");
      }
    }
  }

  Typed name(const Expr& e, ExprId id) {
    const std::string_view word = text(e);
    if (context_.scope != nullptr) {
      const auto found = context_.scope->bindings.find(word);
      if (found != context_.scope->bindings.end()) return bound(e, found->second);
    }
    if (word == "prefill" || word == "decode") return worded(Type::phase, word);
    const bool alone = id == root_;
    const Variable* variable = find_variable(word);
    if (variable == nullptr && alone && place_ == kAllPlaces && is_enum_word(word)) return worded(Type::word, word);
    if (place_ == kConstantPlace) {
      // The word of an enumeration; what it may be is the key's business.
      if (alone) return worded(Type::word, word);
      return not_constant(e, variable);
    }
    if (variable == nullptr) return unknown_name(e, word);
    if ((variable->places & place_) == 0) {
      context_.diagnostics.error("MOE2018", e.span,
                                 fmt::format("{} is not known in {}", quote(word), describe(place_)));
      return {};
    }
    seen_places_ &= variable->places;
    Typed out;
    out.type = variable->type;
    return out;
  }

  Typed bound(const Expr& e, const Scope::Binding& binding) {
    if (place_ == kConstantPlace && !binding.value.constant && !binding.value.is_unknown()) {
      auto& error = context_.diagnostics.error("MOE2016", e.span, fmt::format("{} is not a constant", quote(text(e))),
                                               "use numbers and params only");
      error.related_span = binding.span;
      error.related_message = "it is defined here";
      return {};
    }
    if (place_ != kConstantPlace && (binding.places & place_) == 0) {
      context_.diagnostics.error("MOE2018", e.span,
                                 fmt::format("{} uses what is not known in {}", quote(text(e)), describe(place_)));
      return {};
    }
    seen_places_ &= binding.places;
    Typed out = binding.value;
    out.bare_literal = out.fractional = false;
    return out;
  }

  Typed not_constant(const Expr& e, const Variable* variable) {
    if (variable != nullptr) {
      context_.diagnostics.error("MOE2016", e.span,
                                 fmt::format("{} changes at run time, and this value is a constant", quote(text(e))),
                                 "use numbers and params only");
      return {};
    }
    return unknown_name(e, text(e));
  }

  Typed unknown_name(const Expr& e, std::string_view word) {
    std::vector<std::string_view> known = scope_names(context_);
    if (place_ != kConstantPlace) {
      for (const std::string_view name : variable_names(place_)) known.push_back(name);
    }
    context_.diagnostics.error("MOE2013", e.span, fmt::format("nothing is called {}", quote(word)),
                               suggest(word, known));
    return {};
  }

  Typed call(const Expr& e) {
    const FunctionSpec* spec = find_function(text(e));
    if (spec == nullptr) {
      context_.diagnostics.error(
          "MOE2013", e.span, fmt::format("there is no function {}", quote(text(e))),
          suggest(text(e), function_names(), "functions are " + list_words(function_names(), "and")));
      return {};
    }
    const size_t given = e.end_operand - e.first_operand;
    if (given != spec->num_arguments) {
      context_.diagnostics.error("MOE2021", e.span,
                                 fmt::format("{} takes {} argument{}, not {}", quote(spec->name), spec->num_arguments,
                                             spec->num_arguments == 1 ? "" : "s", given));
      return {};
    }
    std::vector<Typed> arguments;
    for (size_t i = 0; i < given; ++i) arguments.push_back(value(e, i));
    if (spec->function < Function::avg_over) return apply_function(context_, e, spec->function, arguments);
    return special(e, *spec, arguments);
  }

  Typed special(const Expr& e, const FunctionSpec& spec, const std::vector<Typed>& arguments) {
    if (arguments[0].is_unknown()) return {};
    if (place_ == kConstantPlace) {
      context_.diagnostics.error("MOE2016", e.span,
                                 fmt::format("{} changes at run time, and this value is a constant", quote(spec.name)));
      return {};
    }
    if ((spec.places & place_) == 0) {
      context_.diagnostics.error("MOE2018", e.span,
                                 fmt::format("{} is not known in {}", quote(spec.name), describe(place_)));
      return {};
    }
    seen_places_ &= spec.places;
    if (spec.function == Function::victim) return arguments[0];
    Typed out;
    out.type = Type::ratio;
    const Typed& count = arguments.back();
    const bool counts = count.constant && count.type == Type::number;
    if (!counts || count.number < 1 || count.number > kMaxSamples ||
        count.number != static_cast<uint64_t>(count.number)) {
      if (!count.is_unknown()) {
        context_.diagnostics.error("MOE2005", expr(context_.exprs.operands_of(e).back()).span,
                                   fmt::format("{} looks back over 1 to {} dispatches, a whole constant number",
                                               quote(spec.name), number_text(kMaxSamples)));
      }
      return {};
    }
    if (spec.function == Function::use_rate) return out;
    const std::string_view metric = text(expr(context_.exprs.operands_of(e)[0]));
    const auto metrics = metric_names();
    if (expr(context_.exprs.operands_of(e)[0]).kind != ExprKind::name ||
        std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
      context_.diagnostics.error("MOE2021", e.span, fmt::format("{} takes the name of a metric", quote(spec.name)),
                                 suggest(metric, {metrics.begin(), metrics.end()}));
      return {};
    }
    out.type = spec.function == Function::trend ? Type::number : arguments[0].type;
    return out;
  }

  const CheckContext& context_;
  ExprId root_;
  ExprId first_;
  Place place_;
  std::vector<Typed> values_;
  uint8_t seen_places_ = kAllPlaces;
};

}  // namespace

std::vector<std::string_view> scope_names(const CheckContext& context) {
  std::vector<std::string_view> names;
  if (context.scope == nullptr) return names;
  for (const auto& [name, binding] : context.scope->bindings) names.push_back(name);
  return names;
}

Typed check_expression(const CheckContext& context, ExprId root, Place place) {
  return Evaluator(context, root, place).run();
}

Scope::Binding check_let(const CheckContext& context, ExprId root) {
  Evaluator evaluator(context, root, kAllPlaces);
  Scope::Binding binding;
  binding.value = evaluator.run();
  binding.places = evaluator.seen_places();
  return binding;
}

void check_condition(const CheckContext& context, ExprId root, Place place) {
  const Typed value = check_expression(context, root, place);
  if (value.is_unknown() || value.type == Type::boolean) return;
  context.diagnostics.error("MOE2014", context.exprs[root].span,
                            fmt::format("a condition is true or false, this is {}", to_word(value.type)),
                            "compare it with something");
}

}  // namespace moe::frontend
