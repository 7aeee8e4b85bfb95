// SPDX-License-Identifier: Apache-2.0
#include "frontend/eval_operators.h"

#include <fmt/format.h>

#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::Op;

bool is_plain(Type type) { return type == Type::number || type == Type::ratio; }
bool is_numeric(Type type) { return is_plain(type) || type == Type::time || type == Type::size; }

Typed of_type(Type type) {
  Typed out;
  out.type = type;
  return out;
}

Typed number_of(Type type, double value) {
  Typed out = of_type(type);
  out.constant = true;
  out.number = value;
  return out;
}

Typed boolean_of(bool value) {
  Typed out = of_type(Type::boolean);
  out.constant = true;
  out.truth = value;
  return out;
}

Typed mismatch(const CheckContext& context, ir::SourceSpan span, std::string_view what, const Typed& a,
               const Typed& b) {
  context.diagnostics.error("MOE2014", span, fmt::format("`{}` of {} and {}", what, to_word(a.type), to_word(b.type)),
                            "both sides must measure the same");
  return {};
}

// The type that a and b have in common: the same, or number and ratio, or a bare literal beside a time or a size, which
// then means milliseconds or bytes.
Type common_type(const CheckContext& context, ir::SourceSpan span, const Typed& a, const Typed& b) {
  if (a.type == b.type) return a.type;
  if (is_plain(a.type) && is_plain(b.type)) return Type::number;
  const auto measures = [](const Typed& x) { return x.type == Type::time || x.type == Type::size; };
  const Typed* literal = measures(a) && b.bare_literal ? &b : (measures(b) && a.bare_literal ? &a : nullptr);
  if (literal == nullptr) return Type::unknown;
  const Type type = literal == &b ? a.type : b.type;
  if (literal->number != 0) {
    const std::string_view unit = type == Type::time ? "ms" : "B";
    context.diagnostics.warning("MOE2024", span,
                                fmt::format("{} without a unit is read as {}{}", number_text(literal->number),
                                            number_text(literal->number), unit),
                                fmt::format("write `{}{}`", number_text(literal->number), unit));
  }
  return type;
}

bool needs_zero_check(Op op) { return op == Op::divide || op == Op::modulo; }

Typed arithmetic(const CheckContext& context, const Expr& e, const Typed& a, const Typed& b) {
  if (!is_numeric(a.type) || !is_numeric(b.type)) return mismatch(context, e.span, to_word(e.op), a, b);
  if (needs_zero_check(e.op) && b.constant && b.number == 0) {
    context.diagnostics.error("MOE2015", e.span, "division by zero");
    return {};
  }
  Type type = Type::number;
  if (e.op == Op::multiply) {
    // Scaling keeps what is measured; a product of two measures is a plain number.
    if (is_plain(a.type) || is_plain(b.type)) type = is_plain(a.type) ? b.type : a.type;
  } else if (e.op == Op::divide) {
    type = is_plain(b.type) ? a.type : Type::number;
  } else {
    type = common_type(context, e.span, a, b);
    if (type == Type::unknown) return mismatch(context, e.span, to_word(e.op), a, b);
  }
  if (a.constant && b.constant) return number_of(type, ir::apply(to_ir(e.op), a.number, b.number));
  return of_type(type);
}

Typed comparison(const CheckContext& context, const Expr& e, const Typed& a, const Typed& b) {
  const bool equality = e.op == Op::eq || e.op == Op::ne;
  const bool same_kind = a.type == b.type && !is_numeric(a.type);
  if (same_kind && equality) {
    if (!a.constant || !b.constant) {
      // Words and strings exist only while the policy is compiled.
      if (a.type == Type::word || a.type == Type::text) return mismatch(context, e.span, to_word(e.op), a, b);
      return of_type(Type::boolean);
    }
    const bool equal = a.type == Type::boolean ? a.truth == b.truth : a.word == b.word;
    return boolean_of(equal == (e.op == Op::eq));
  }
  if (!is_numeric(a.type) || !is_numeric(b.type) || common_type(context, e.span, a, b) == Type::unknown) {
    return mismatch(context, e.span, to_word(e.op), a, b);
  }
  if (a.constant && b.constant) return boolean_of(ir::apply(to_ir(e.op), a.number, b.number) != 0);
  return of_type(Type::boolean);
}

Typed logic(const CheckContext& context, const Expr& e, const Typed& a, const Typed& b) {
  if (a.type != Type::boolean || b.type != Type::boolean) return mismatch(context, e.span, to_word(e.op), a, b);
  if (a.constant && b.constant) return boolean_of(e.op == Op::and_ ? a.truth && b.truth : a.truth || b.truth);
  return of_type(Type::boolean);
}

// The type that all have in common.
Type common_type(const CheckContext& context, const Expr& e, std::span<const Typed> arguments) {
  Typed so_far = arguments[0];
  for (const Typed& argument : arguments.subspan(1)) {
    so_far.type = common_type(context, e.span, so_far, argument);
    if (so_far.type == Type::unknown) {
      mismatch(context, e.span, context.exprs.text_of(e), arguments[0], argument);
      return Type::unknown;
    }
    // Only bare literals become a measure with the first that is one.
    so_far.bare_literal = so_far.bare_literal && argument.bare_literal;
  }
  return so_far.type;
}

// table(i, x0, x1, ...): x_i, i without its fraction and kept within the list.
Typed apply_table(const CheckContext& context, const Expr& e, const Typed& index, std::span<const Typed> entries) {
  if (!is_plain(index.type)) {
    context.diagnostics.error("MOE2014", e.span, fmt::format("the place in a table is {}", to_word(index.type)),
                              "write a number, such as `layer`");
    return {};
  }
  const Type type = common_type(context, e, entries);
  if (type == Type::unknown) return {};
  if (!index.constant && entries.size() > 1) return of_type(type);
  Typed out = entries[table_place(index.number, entries.size())];
  if (out.bare_literal) out.type = type;
  out.bare_literal = out.fractional = false;
  return out;
}

bool keeps_measure(Function function) {
  return function == Function::minimum || function == Function::maximum || function == Function::absolute ||
         function == Function::clamp;
}

}  // namespace

ir::ExprOp to_ir(Op op) {
  switch (op) {
    case Op::add:
      return ir::ExprOp::add;
    case Op::subtract:
      return ir::ExprOp::subtract;
    case Op::multiply:
      return ir::ExprOp::multiply;
    case Op::divide:
      return ir::ExprOp::divide;
    case Op::modulo:
      return ir::ExprOp::modulo;
    case Op::eq:
      return ir::ExprOp::eq;
    case Op::ne:
      return ir::ExprOp::ne;
    case Op::lt:
      return ir::ExprOp::lt;
    case Op::le:
      return ir::ExprOp::le;
    case Op::gt:
      return ir::ExprOp::gt;
    case Op::ge:
      return ir::ExprOp::ge;
    case Op::and_:
      return ir::ExprOp::and_;
    case Op::or_:
      return ir::ExprOp::or_;
    case Op::negate:
      return ir::ExprOp::negate;
    case Op::not_:
      break;
  }
  return ir::ExprOp::not_;
}

size_t table_place(double index, size_t size) {
  size_t place = 0;
  while (place + 1 < size && !(index < static_cast<double>(place + 1))) ++place;
  return place;
}

Typed apply_unary(const CheckContext& context, const Expr& e, Typed a) {
  if (a.is_unknown()) return {};
  if (e.op == Op::not_) {
    if (a.type != Type::boolean) {
      context.diagnostics.error("MOE2014", e.span, fmt::format("`not` of {}", to_word(a.type)));
      return {};
    }
    return a.constant ? boolean_of(!a.truth) : of_type(Type::boolean);
  }
  if (!is_numeric(a.type)) {
    context.diagnostics.error("MOE2014", e.span, fmt::format("`-` of {}", to_word(a.type)));
    return {};
  }
  a.number = -a.number;
  return a;
}

Typed apply_binary(const CheckContext& context, const Expr& e, Typed a, Typed b) {
  if (a.is_unknown() || b.is_unknown()) return {};
  if (e.op == Op::and_ || e.op == Op::or_) return logic(context, e, a, b);
  if (e.op >= Op::eq && e.op <= Op::ge) return comparison(context, e, a, b);
  return arithmetic(context, e, a, b);
}

Typed apply_conditional(const CheckContext& context, const Expr& e, Typed condition, Typed a, Typed b) {
  if (condition.is_unknown() || a.is_unknown() || b.is_unknown()) return {};
  if (condition.type != Type::boolean) {
    context.diagnostics.error("MOE2014", e.span, fmt::format("the condition of `if` is {}", to_word(condition.type)),
                              "compare it with something");
    return {};
  }
  const Type type = common_type(context, e.span, a, b);
  const bool is_name = type == Type::word || type == Type::text;
  if (type == Type::unknown || (is_name && !condition.constant)) return mismatch(context, e.span, "if", a, b);
  Typed out = of_type(type);
  if (condition.constant && a.constant && b.constant) {
    out = condition.truth ? a : b;
    out.type = type;
    out.bare_literal = out.fractional = false;
  }
  return out;
}

Typed apply_function(const CheckContext& context, const Expr& e, Function function, std::span<const Typed> arguments) {
  Type type = Type::number;
  bool constant = true;
  for (const Typed& argument : arguments) {
    if (argument.is_unknown()) return {};
    constant = constant && argument.constant;
    if (!is_numeric(argument.type)) {
      context.diagnostics.error("MOE2014", e.span,
                                fmt::format("{} of {}", quote(context.exprs.text_of(e)), to_word(argument.type)));
      return {};
    }
  }
  if (function == Function::table) return apply_table(context, e, arguments[0], arguments.subspan(1));
  if (keeps_measure(function)) {
    type = common_type(context, e, arguments);
    if (type == Type::unknown) return {};
  }
  if (!constant) return of_type(type);
  const auto number = [&](size_t i) { return i < arguments.size() ? arguments[i].number : 0; };
  return number_of(type, ir::apply(find_function(context.exprs.text_of(e))->op, number(0), number(1), number(2)));
}

}  // namespace moe::frontend
