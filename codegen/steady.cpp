// SPDX-License-Identifier: Apache-2.0
#include "codegen/steady.h"

namespace moe::codegen {
namespace {

using ir::ExprOp;
using ir::Variable;

bool is_steady_leaf(const ir::ExprNode& node) {
  switch (node.op) {
    case ExprOp::constant:
      return true;
    case ExprOp::use_rate:
    case ExprOp::weight_rate:
      return !node.of_victim;
    case ExprOp::variable:
      break;
    default:
      return false;
  }
  switch (node.variable) {
    case Variable::idle:
    case Variable::layer:
    case Variable::expert:
    case Variable::size:
      return !node.of_victim;
    case Variable::num_experts:
    case Variable::num_layers:
    case Variable::top_k:
      return true;
    default:
      return false;
  }
}

bool is_leaf(ExprOp op) { return ir::num_operands(op) == 0; }

}  // namespace

std::vector<uint32_t> steady_nodes(const ir::Expr& expr) {
  struct Seen {
    bool steady = false;
    bool reads = false;  // of an expert: a constant is no work
    bool inside = false;
  };
  std::vector<Seen> seen(expr.nodes.size());
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ir::ExprNode& node = expr.nodes[i];
    Seen& its = seen[i];
    if (is_leaf(node.op)) {
      its.steady = is_steady_leaf(node);
      its.reads = node.op != ExprOp::constant;
      continue;
    }
    its.steady = true;
    for (size_t j = 0; j < ir::num_operands(node.op); ++j) {
      const Seen& operand = seen[node.operand[j]];
      its.steady &= operand.steady;
      its.reads |= operand.reads;
    }
    for (size_t j = 0; its.steady && j < ir::num_operands(node.op); ++j) seen[node.operand[j]].inside = true;
  }
  std::vector<uint32_t> roots;
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const bool is_work = !is_leaf(expr.nodes[i].op) && seen[i].reads;
    if (seen[i].steady && !seen[i].inside && is_work) roots.push_back(static_cast<uint32_t>(i));
  }
  return roots;
}

}  // namespace moe::codegen
