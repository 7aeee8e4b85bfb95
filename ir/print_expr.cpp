// SPDX-License-Identifier: Apache-2.0
// Expressions and constants as text.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "ir/expr.h"

namespace moe::ir {
namespace {

// The shortest decimal P for which P / 100 is `ratio` again: 29, not ratio * 100 = 28.999999999999996. Empty: there is
// none.
std::string percent(double ratio) {
  for (int digits = 1; digits <= 17; ++digits) {
    const std::string text = fmt::format("{:.{}g}", ratio * 100, digits);
    const double candidate = std::strtod(text.c_str(), nullptr);
    if (candidate / 100 == ratio) return print_number(candidate) + "%";
  }
  const double nearest = ratio * 100;
  for (double candidate : {std::nextafter(nearest, -INFINITY), std::nextafter(nearest, INFINITY)}) {
    if (candidate / 100 == ratio) return print_number(candidate) + "%";
  }
  return "";
}

// How tightly an expression binds: one that binds more loosely than its place demands gets parentheses.
enum Binding : uint8_t { kIf, kOr, kAnd, kNot, kCompare, kAdd, kMultiply, kNegate, kAtom };

Binding binding_of(const ExprNode& node) {
  switch (node.op) {
    case ExprOp::constant:  // print_constant puts what is no literal in parentheses
      return node.number < 0 || std::signbit(node.number) ? kNegate : kAtom;
    case ExprOp::negate:
      return kNegate;
    case ExprOp::not_:
      return kNot;
    case ExprOp::add:
    case ExprOp::subtract:
      return kAdd;
    case ExprOp::multiply:
    case ExprOp::divide:
    case ExprOp::modulo:
      return kMultiply;
    case ExprOp::eq:
    case ExprOp::ne:
    case ExprOp::lt:
    case ExprOp::le:
    case ExprOp::gt:
    case ExprOp::ge:
      return kCompare;
    case ExprOp::and_:
      return kAnd;
    case ExprOp::or_:
      return kOr;
    case ExprOp::conditional:
      return kIf;
    default:
      return kAtom;
  }
}

// A node without operands.
std::string leaf_text(const ExprNode& node) {
  std::string text;
  switch (node.op) {
    case ExprOp::constant:
      return print_constant(node.number, node.type);
    case ExprOp::variable:
      text = to_word(node.variable);
      break;
    case ExprOp::use_rate:
      text = fmt::format("use_rate({})", node.window);
      break;
    case ExprOp::weight_rate:
      text = node.largest == 0 ? fmt::format("weight_rate({})", node.window)
                               : fmt::format("weight_rate({}, {})", node.window, node.largest);
      break;
    default:
      return fmt::format("{}({}, {})", to_word(node.op), to_word(node.variable), node.window);
  }
  return node.of_victim ? fmt::format("victim({})", text) : text;
}

/// Prints top down with a list of what is still to be written, its end first.
class ExprPrinter {
 public:
  explicit ExprPrinter(const Expr& expr) : expr_(expr) {}

  std::string print() {
    push(static_cast<uint32_t>(expr_.nodes.size() - 1), kIf);
    while (!pending_.empty()) {
      const Piece piece = pending_.back();
      pending_.pop_back();
      if (piece.text.empty()) {
        write(expr_.nodes[piece.node], piece.least);
      } else {
        text_ += piece.text;
      }
    }
    return std::move(text_);
  }

 private:
  struct Piece {
    std::string_view text;  // empty: a node
    uint32_t node = 0;
    Binding least = kIf;
  };

  void push(std::string_view text) { pending_.push_back({text}); }
  void push(uint32_t node, Binding least) { pending_.push_back({{}, node, least}); }

  void write(const ExprNode& node, Binding least) {
    if (num_operands(node.op) == 0) {
      const bool parens = binding_of(node) < least;
      text_ += parens ? fmt::format("({})", leaf_text(node)) : leaf_text(node);
      return;
    }
    if (binding_of(node) < least) {
      text_ += "(";
      push(")");
    }
    if (binding_of(node) == kAtom) {
      write_call(node);
    } else if (node.op == ExprOp::conditional) {
      text_ += "if ";
      push(node.operand[2], kIf);
      push(" else ");
      push(node.operand[1], kIf);
      push(" then ");
      push(node.operand[0], kIf);
    } else if (num_operands(node.op) == 1) {
      text_ += to_word(node.op);
      if (node.op == ExprOp::not_) text_ += " ";
      push(node.operand[0], binding_of(node));
    } else {
      write_binary(node);
    }
  }

  void write_call(const ExprNode& node) {
    text_ += to_word(node.op);
    text_ += "(";
    push(")");
    for (size_t i = num_operands(node.op); i-- > 0;) {
      push(node.operand[i], kIf);
      if (i > 0) push(", ");
    }
  }

  // Operators of one kind group to the left; comparisons do not stand beside each other without parentheses.
  void write_binary(const ExprNode& node) {
    const Binding own = binding_of(node);
    const auto tighter = static_cast<Binding>(own + 1);
    push(node.operand[1], tighter);
    push(" ");
    push(to_word(node.op));
    push(" ");
    push(node.operand[0], own == kCompare ? tighter : own);
  }

  const Expr& expr_;
  std::string text_;
  std::vector<Piece> pending_;
};

// Infinity and NaN, by way of a number too large.
std::string not_finite(double value, Type type) {
  std::string huge = "1e308 * 10";
  if (type == Type::ratio) huge = "1e308 * 1000%";
  if (type == Type::time) huge = "1e308ms * 10";
  if (type == Type::size) huge = "1e308B * 10";
  if (std::isnan(value)) return fmt::format("({} - {})", huge, huge);
  return fmt::format("{}({})", value < 0 ? "-" : "", huge);
}

}  // namespace

std::string print_number(double value) {
  std::string text = fmt::format("{}", value);
  std::erase(text, '+');  // of a large exponent
  return text;
}

std::string print_constant(double value, Type type) {
  switch (type) {
    case Type::boolean:
      return value != 0 ? "true" : "false";
    case Type::phase:
      return std::string(to_word(value != 0 ? Phase::decode : Phase::prefill));
    default:
      break;
  }
  if (!std::isfinite(value)) return not_finite(value, type);
  switch (type) {
    case Type::ratio: {
      const std::string text = percent(value);
      return text.empty() ? fmt::format("({} * 100%)", print_number(value)) : text;
    }
    case Type::time:
      return print_number(value) + "ms";
    case Type::size:
      return print_number(value) + "B";
    default:
      return print_number(value);
  }
}

std::string print_expr(const Expr& expr) { return expr.empty() ? "true" : ExprPrinter(expr).print(); }

}  // namespace moe::ir
