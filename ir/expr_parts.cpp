// SPDX-License-Identifier: Apache-2.0
#include "ir/expr_parts.h"

#include <algorithm>

namespace moe::ir {
Expr subtree(const Expr& expr, uint32_t root) {
  std::vector<char> belongs(expr.nodes.size(), 0);
  belongs[root] = 1;
  for (size_t i = root + size_t{1}; i-- > 0;) {  // operands lie below their node
    if (belongs[i] == 0) continue;
    for (size_t k = 0; k < num_operands(expr.nodes[i].op); ++k) belongs[expr.nodes[i].operand[k]] = 1;
  }
  std::vector<uint32_t> place(expr.nodes.size(), 0);
  Expr part;
  for (size_t i = 0; i <= root; ++i) {
    if (belongs[i] == 0) continue;
    ExprNode node = expr.nodes[i];
    for (size_t k = 0; k < num_operands(node.op); ++k) node.operand[k] = place[node.operand[k]];
    place[i] = static_cast<uint32_t>(part.nodes.size());
    part.nodes.push_back(node);
  }
  return part;
}

namespace {

Expr negated(Expr expr) {
  ExprNode node;
  node.op = ExprOp::negate;
  node.type = expr.type();
  node.operand[0] = static_cast<uint32_t>(expr.nodes.size() - 1);
  expr.nodes.push_back(node);
  return expr;
}

}  // namespace

std::vector<Expr> summands(const Expr& expr) {
  struct Summand {
    uint32_t node;
    bool negative;
  };
  std::vector<Expr> out;
  if (expr.empty()) return out;
  std::vector<Summand> open = {{static_cast<uint32_t>(expr.nodes.size() - 1), false}};
  while (!open.empty()) {  // the last is the next from the left
    const Summand next = open.back();
    open.pop_back();
    const ExprNode& node = expr.nodes[next.node];
    if (node.op == ExprOp::add || node.op == ExprOp::subtract) {
      open.push_back({node.operand[1], next.negative != (node.op == ExprOp::subtract)});
      open.push_back({node.operand[0], next.negative});
    } else {
      const Expr part = subtree(expr, next.node);
      out.push_back(next.negative ? negated(part) : part);
    }
  }
  return out;
}

std::vector<Expr> inputs(const Expr& expr) {
  std::vector<Expr> out;
  for (const ExprNode& node : expr.nodes) {
    if (node.op != ExprOp::variable && node.op < ExprOp::avg_over) continue;
    Expr part;
    part.nodes.push_back(node);
    if (std::find(out.begin(), out.end(), part) == out.end()) out.push_back(part);
  }
  return out;
}

}  // namespace moe::ir
