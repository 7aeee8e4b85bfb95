// SPDX-License-Identifier: Apache-2.0
#include "ir/expr.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/base/math.h"

namespace moe::ir {
namespace {

bool is_history(ExprOp op) { return op >= ExprOp::avg_over && op <= ExprOp::trend; }

// The sign of a zero shows in a quotient; that of a NaN, which differs between processors, shows nowhere.
bool equal(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

bool equal(const ExprNode& a, const ExprNode& b) {
  return a.op == b.op && a.type == b.type && a.variable == b.variable && a.of_victim == b.of_victim &&
         a.window == b.window && a.largest == b.largest && a.operand == b.operand && equal(a.number, b.number);
}

double over_history(const ExprNode& node, Environment& environment, std::vector<double>& samples) {
  samples.clear();
  environment.history(node.variable, node.window, samples);
  const auto count = static_cast<uint32_t>(samples.size());
  const auto at = [&](uint32_t i) { return samples[i]; };
  if (node.op == ExprOp::avg_over) return math::average(count, at);
  return node.op == ExprOp::max_over ? math::largest(count, at) : math::slope(count, at);
}

}  // namespace

bool Expr::reads(Variable v) const {
  return std::any_of(nodes.begin(), nodes.end(), [&](const ExprNode& node) {
    return (node.op == ExprOp::variable || is_history(node.op)) && node.variable == v;
  });
}

bool Expr::reads_measured() const {
  return std::any_of(nodes.begin(), nodes.end(), [](const ExprNode& node) {
    return (node.op == ExprOp::variable || is_history(node.op)) && is_measured(node.variable);
  });
}

bool operator==(const Expr& a, const Expr& b) {
  return std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
                    [](const ExprNode& x, const ExprNode& y) { return equal(x, y); });
}

Expr constant(double value, Type type) {
  ExprNode node;
  node.type = type;
  node.number = value;
  return {{node}};
}

double evaluate(const Expr& expr, Environment& environment) {
  std::vector<double> values(expr.nodes.size());
  std::vector<double> samples;
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ExprNode& node = expr.nodes[i];
    if (node.op == ExprOp::constant) {
      values[i] = node.number;
    } else if (node.op == ExprOp::variable) {
      values[i] = environment.variable(node.variable, node.of_victim);
    } else if (is_history(node.op)) {
      values[i] = over_history(node, environment, samples);
    } else if (node.op >= ExprOp::use_rate) {
      values[i] = environment.rate(node.op, node.window, node.largest, node.of_victim);
    } else {
      const auto operand = [&](size_t k) { return k < num_operands(node.op) ? values[node.operand[k]] : 0; };
      values[i] = apply(node.op, operand(0), operand(1), operand(2));
    }
  }
  return values.empty() ? 1 : values.back();
}

double apply(ExprOp op, double a, double b, double c) {
  switch (op) {
    case ExprOp::negate:
      return -a;
    case ExprOp::not_:
      return a != 0 ? 0 : 1;
    case ExprOp::abs:
      return std::fabs(a);
    case ExprOp::exp:
      return math::exp(a);
    case ExprOp::log:
      return math::log(a);
    case ExprOp::log2:
      return math::log2(a);
    case ExprOp::sqrt:
      return math::sqrt(a);
    case ExprOp::floor:
      return math::floor(a);
    case ExprOp::sigmoid:
      return math::sigmoid(a);
    case ExprOp::add:
      return a + b;
    case ExprOp::subtract:
      return a - b;
    case ExprOp::multiply:
      return a * b;
    case ExprOp::divide:
      return a / b;
    case ExprOp::modulo:
      return math::fmod(a, b);
    case ExprOp::eq:
      return a == b;
    case ExprOp::ne:
      return a != b;
    case ExprOp::lt:
      return a < b;
    case ExprOp::le:
      return a <= b;
    case ExprOp::gt:
      return a > b;
    case ExprOp::ge:
      return a >= b;
    case ExprOp::and_:
      return a != 0 && b != 0;
    case ExprOp::or_:
      return a != 0 || b != 0;
    case ExprOp::min:
      return math::min(a, b);
    case ExprOp::max:
      return math::max(a, b);
    case ExprOp::pow:
      return math::pow(a, b);
    case ExprOp::conditional:
      return a != 0 ? b : c;
    case ExprOp::clamp:
      return math::min(math::max(a, b), c);
    default:
      return math::kNaN;
  }
}

}  // namespace moe::ir
