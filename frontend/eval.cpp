// SPDX-License-Identifier: Apache-2.0
#include "frontend/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/eval_operators.h"
#include "frontend/keys.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;

constexpr double kMaxSamples = 4096;   // of avg_over and its kin
constexpr double kMaxExperts = 65534;  // of a model
constexpr size_t kMaxSuggested = 256;  // names compared with a mistaken one: mistakes times names stays small

class Evaluator {
 public:
  Evaluator(const CheckContext& context, ExprId root, Place place)
      : context_(context), root_(root), first_(context.exprs[root].first), place_(place), values_(root - first_ + 1) {}

  TypedNodes run() {
    for (ExprId id = first_; id <= root_; ++id) values_[id - first_] = evaluate(id);
    return {std::move(values_), seen_places_};
  }

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

  Typed name(const Expr& e, ExprId id) {
    const std::string_view word = text(e);
    if (context_.scope != nullptr) {
      const auto found = context_.scope->bindings.find(word);
      if (found != context_.scope->bindings.end()) return bound(e, found->second);
    }
    if (word == "prefill" || word == "decode") return worded(Type::phase, word);
    const bool alone = id == root_;
    const std::optional<Variable> variable = find_variable(word);
    if (!variable && alone && place_ == kAllPlaces && is_enum_word(word)) return worded(Type::word, word);
    if (place_ == kConstantPlace) {
      // The word of an enumeration; what it may be is the key's business.
      if (alone) return worded(Type::word, word);
      return not_constant(e, variable.has_value());
    }
    if (!variable) return unknown_name(e, word);
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
    if (binding.list) {
      auto& error = context_.diagnostics.error("MOE2004", e.span,
                                               fmt::format("{} is a list, and one value is expected", quote(text(e))));
      error.related_span = binding.span;
      error.related_message = "it is defined here";
      return {};
    }
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

  Typed not_constant(const Expr& e, bool is_variable) {
    if (is_variable) {
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
    if (given < spec->num_arguments || given > size_t{spec->num_arguments} + spec->num_optional) {
      std::string most;
      if (spec->num_optional > 0) {
        most = fmt::format(" {} {}", spec->num_optional == 1 ? "or" : "to", spec->num_arguments + spec->num_optional);
      }
      context_.diagnostics.error("MOE2021", e.span,
                                 fmt::format("{} takes {}{} argument{}, not {}", quote(spec->name), spec->num_arguments,
                                             most, spec->num_arguments == 1 && most.empty() ? "" : "s", given));
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
    if (spec.function == Function::victim) return victim(e, arguments[0]);
    const bool of_metric = spec.function < Function::use_rate;
    Typed out;
    out.type = Type::ratio;
    if (!is_window(e, spec, of_metric ? 1 : 0, arguments)) return {};
    if (arguments.size() > spec.num_arguments && !is_count(e, arguments)) return {};
    if (!of_metric) return out;
    const ExprId first = context_.exprs.operands_of(e)[0];
    const std::string_view metric = text(expr(first));
    const auto metrics = metric_names();
    if (expr(first).kind != ExprKind::name || scope_has(metric) ||
        std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
      context_.diagnostics.error("MOE2021", e.span, fmt::format("{} takes the name of a metric", quote(spec.name)),
                                 suggest(metric, {metrics.begin(), metrics.end()}));
      return {};
    }
    out.type = spec.function == Function::trend ? Type::number : arguments[0].type;
    return out;
  }

  bool scope_has(std::string_view name) const {
    return context_.scope != nullptr && context_.scope->bindings.contains(std::string(name));
  }

  bool is_window(const Expr& e, const FunctionSpec& spec, size_t i, const std::vector<Typed>& arguments) {
    const Typed& count = arguments[i];
    if (count.is_unknown()) return false;
    if (count.constant && count.type == Type::number && count.number >= 1 && count.number <= kMaxSamples &&
        count.number == std::trunc(count.number)) {
      return true;
    }
    context_.diagnostics.error("MOE2005", expr(context_.exprs.operands_of(e)[i]).span,
                               fmt::format("{} looks back over 1 to {} dispatches, a whole constant number",
                                           quote(spec.name), number_text(kMaxSamples)));
    return false;
  }

  // weight_rate(N, P): so many weights of a dispatch count.
  bool is_count(const Expr& e, const std::vector<Typed>& arguments) {
    const Typed& count = arguments[1];
    if (count.is_unknown()) return false;
    if (count.constant && count.type == Type::number && count.number >= 1 && count.number <= kMaxExperts &&
        count.number == std::trunc(count.number)) {
      return true;
    }
    context_.diagnostics.error(
        "MOE2005", expr(context_.exprs.operands_of(e)[1]).span,
        fmt::format("the number of weights that count is a whole constant number, 1 to {}", number_text(kMaxExperts)));
    return false;
  }

  // One thing that is known of an expert: a variable or a rate, or a let that is one.
  Typed victim(const Expr& e, const Typed& argument) {
    const ExprId id = context_.exprs.operands_of(e)[0];
    const Expr& x = expr(id);
    bool good = false;
    if (x.kind == ExprKind::call) {
      good = text(x) == "use_rate" || text(x) == "weight_rate";
    } else if (x.kind == ExprKind::name && scope_has(text(x))) {
      const Scope::Binding& binding = context_.scope->bindings.find(text(x))->second;
      good = binding.expr != nullptr && binding.expr->nodes.size() == 1 && is_of_expert(binding.expr->root());
    } else if (x.kind == ExprKind::name) {
      const std::optional<Variable> variable = find_variable(text(x));
      good = variable && ir::is_of_expert(variable->id);
    }
    if (good) return argument;
    context_.diagnostics.error("MOE2021", e.span, "`victim` takes a variable of one expert",
                               "write, for example, `victim(predicted)`");
    return {};
  }

  static bool is_of_expert(const ir::ExprNode& node) {
    if (node.op == ir::ExprOp::use_rate || node.op == ir::ExprOp::weight_rate) return true;
    return node.op == ir::ExprOp::variable && ir::is_of_expert(node.variable);
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
  for (const auto& [name, binding] : context.scope->bindings) {
    if (names.size() == kMaxSuggested) break;
    names.push_back(name);
  }
  return names;
}

Typed check_expression(const CheckContext& context, ExprId root, Place place) {
  return Evaluator(context, root, place).run().values.back();
}

TypedNodes check_nodes(const CheckContext& context, ExprId root, Place place) {
  return Evaluator(context, root, place).run();
}

ExprId resolve_list(const CheckContext& context, ExprId id) {
  const Expr& e = context.exprs[id];
  if (e.kind != ExprKind::name || context.scope == nullptr) return id;
  const auto found = context.scope->bindings.find(context.exprs.text_of(e));
  return found != context.scope->bindings.end() && found->second.list ? *found->second.list : id;
}

void check_condition(const CheckContext& context, ExprId root, Place place) {
  const Typed value = check_expression(context, root, place);
  if (value.is_unknown() || value.type == Type::boolean) return;
  context.diagnostics.error("MOE2014", context.exprs[root].span,
                            fmt::format("a condition is true or false, this is {}", to_word(value.type)),
                            "compare it with something");
}

}  // namespace moe::frontend
