// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "tests/ir/random_ir.h"

namespace moe::ir::test {
namespace {

ExprSite site_of(Variable v) {
  switch (v) {
    case Variable::freq:
    case Variable::recency:
    case Variable::age:
    case Variable::uses:
    case Variable::score:
    case Variable::foretold:
      return ExprSite::expert;
    case Variable::weight:
    case Variable::position:
    case Variable::resident:
      return ExprSite::miss;
    default:
      return is_of_expert(v) ? ExprSite::prefetch : ExprSite::whole_cache;
  }
}

// `op` over the operands, in post-order.
Expr make(ExprOp op, Type type, const std::vector<Expr>& operands) {
  Expr out;
  ExprNode root;
  root.op = op;
  root.type = type;
  for (size_t k = 0; k < operands.size(); ++k) {
    const auto offset = static_cast<uint32_t>(out.nodes.size());
    for (ExprNode node : operands[k].nodes) {
      for (size_t i = 0; i < num_operands(node.op); ++i) node.operand[i] += offset;
      out.nodes.push_back(node);
    }
    root.operand[k] = static_cast<uint32_t>(out.nodes.size() - 1);
  }
  out.nodes.push_back(root);
  return out;
}

}  // namespace

Expr RandomExpr::quantity(ExprSite site, int depth) {
  const Type types[] = {Type::number, Type::ratio, Type::time, Type::size};
  return node(types[below(4)], site, depth);
}

Expr RandomExpr::node(Type type, ExprSite site, int depth) {
  if (depth == 0) return leaf(type, site);
  if (type == Type::phase) return variable(type, site);
  if (type == Type::boolean) return boolean(site, depth);
  switch (below(6)) {
    case 0:
      return leaf(type, site);
    case 1:
      return make(ExprOp::conditional, type,
                  {condition(site, depth - 1), operand(type, site, depth - 1), operand(type, site, depth - 1)});
    case 2:
      return type == Type::number ? function(site, depth) : arithmetic(type, site, depth);
    default:
      return arithmetic(type, site, depth);
  }
}

Expr RandomExpr::operand(Type type, ExprSite site, int depth) {
  return below(4) == 0 ? literal(type) : node(type, site, depth);
}

// Never 0: a division by it is an error.
Expr RandomExpr::literal(Type type) {
  const bool is_number = type <= Type::size;
  if (is_number && below(12) == 0) {
    const double special[] = {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::denorm_min()};
    return constant(special[below(4)], type);
  }
  switch (type) {
    case Type::ratio:  // what a per cent says, or not
      return constant(below(2) == 0 ? (1 + below(1000)) / 10.0 / 100 : (1 + below(1u << 30)) / 0x1p31, type);
    case Type::time:
      return constant((1 + below(100000)) / 64.0, type);
    case Type::size:
      return constant(1 + below(1u << 31), type);
    case Type::boolean:
      return constant(below(2), type);
    case Type::phase:
      return constant(below(2), type);
    case Type::number:
      break;
  }
  switch (below(6)) {
    case 0:
      return constant(-1.0 - below(100));
    case 1:
      return constant((1 + static_cast<double>(random_() >> 11)) * 0x1p-70);
    case 2:
      return constant(1e300 * (1 + below(100)));
    default:
      return constant((1 + below(10000)) / 16.0);
  }
}

Expr RandomExpr::leaf(Type type, ExprSite site) {
  if (type == Type::boolean) {
    const Type sides[] = {Type::number, Type::ratio, Type::time, Type::size};
    const Type side = sides[below(4)];
    return make(ExprOp::lt, Type::boolean, {variable(side, site), literal(side)});
  }
  const bool looks_back = type == Type::ratio || type == Type::number || type == Type::time;
  if (looks_back && below(6) == 0) return history(type);
  if (type == Type::ratio && site >= ExprSite::prefetch && below(4) == 0) {
    Expr rate = make(below(2) == 0 ? ExprOp::use_rate : ExprOp::weight_rate, Type::ratio, {});
    rate.nodes[0].window = 1u << below(8);
    if (rate.nodes[0].op == ExprOp::weight_rate && below(2) == 0) rate.nodes[0].largest = 1 + below(4);
    rate.nodes[0].of_victim = site == ExprSite::admit && below(2) == 0;
    return rate;
  }
  return variable(type, site);
}

Expr RandomExpr::variable(Type type, ExprSite site) {
  std::vector<Variable> known;
  for (size_t i = 0; i < kNumVariables; ++i) {
    const auto v = static_cast<Variable>(i);
    const bool wants_more = v == Variable::next_use || (v == Variable::value && !with_learn);
    if (type_of(v) == type && site_of(v) <= site && !wants_more) known.push_back(v);
  }
  Expr out = make(ExprOp::variable, type, {});
  ExprNode& node = out.nodes[0];
  node.variable = known[below(static_cast<uint32_t>(known.size()))];
  node.of_victim = site == ExprSite::admit && is_of_expert(node.variable) && below(2) == 0;
  return out;
}

Expr RandomExpr::history(Type type) {
  const Variable ratios[] = {Variable::hit_rate, Variable::eviction_rate, Variable::prefetch_accuracy};
  const Variable numbers[] = {Variable::queue_depth, Variable::entropy, Variable::link_gbps};
  Expr out = make(below(2) == 0 ? ExprOp::avg_over : ExprOp::max_over, type, {});
  ExprNode& node = out.nodes[0];
  node.window = 1 + below(4096);
  node.variable =
      type == Type::time ? Variable::stall_ms : (type == Type::ratio ? ratios[below(3)] : numbers[below(3)]);
  if (type == Type::number && below(2) == 0) {
    node.op = ExprOp::trend;
    node.variable = ratios[below(3)];
  }
  return out;
}

Expr RandomExpr::boolean(ExprSite site, int depth) {
  const auto inner = [&] { return condition(site, depth - 1); };
  switch (below(6)) {
    case 0:
      return make(ExprOp::not_, Type::boolean, {inner()});
    case 1:
      return make(ExprOp::and_, Type::boolean, {inner(), inner()});
    case 2:
      return make(ExprOp::or_, Type::boolean, {inner(), inner()});
    case 3: {
      const ExprOp op = below(2) == 0 ? ExprOp::eq : ExprOp::ne;
      if (below(2) == 0) return make(op, Type::boolean, {variable(Type::phase, site), literal(Type::phase)});
      return make(op, Type::boolean, {inner(), inner()});
    }
    default:
      break;
  }
  const Type sides[] = {Type::number, Type::ratio, Type::time, Type::size};
  const Type side = sides[below(4)];
  const auto op = static_cast<ExprOp>(static_cast<int>(ExprOp::eq) + static_cast<int>(below(6)));
  return make(op, Type::boolean, {node(side, site, depth - 1), operand(side, site, depth - 1)});
}

Expr RandomExpr::arithmetic(Type type, ExprSite site, int depth) {
  const auto of = [&](Type t) { return node(t, site, depth - 1); };
  const auto any = [&](Type t) { return operand(t, site, depth - 1); };
  switch (below(8)) {
    case 0:
      return make(ExprOp::negate, type, {of(type)});
    case 1:
      return make(ExprOp::abs, type, {of(type)});
    case 2:
      return make(below(2) == 0 ? ExprOp::min : ExprOp::max, type, {any(type), of(type)});
    case 3:
      return make(ExprOp::clamp, type, {of(type), any(type), any(type)});
    case 4:  // scaling keeps what is measured
      return below(2) == 0 ? make(ExprOp::multiply, type, {any(Type::number), of(type)})
                           : make(ExprOp::divide, type, {of(type), any(Type::number)});
    case 5:
      if (type == Type::number) return make(ExprOp::add, type, {of(Type::ratio), any(Type::number)});
      return make(ExprOp::modulo, type, {of(type), any(type)});
    default:
      return make(below(2) == 0 ? ExprOp::add : ExprOp::subtract, type, {any(type), of(type)});
  }
}

Expr RandomExpr::function(ExprSite site, int depth) {
  const ExprOp ops[] = {ExprOp::exp, ExprOp::log, ExprOp::log2, ExprOp::sqrt, ExprOp::floor, ExprOp::sigmoid};
  const Type types[] = {Type::number, Type::ratio};
  const Type type = types[below(2)];
  if (below(4) == 0) return make(ExprOp::divide, Type::number, {leaf(Type::size, site), leaf(Type::size, site)});
  if (below(4) == 0) {
    return make(ExprOp::pow, Type::number, {node(type, site, depth - 1), operand(Type::number, site, depth - 1)});
  }
  return make(ops[below(6)], Type::number, {node(type, site, depth - 1)});
}

}  // namespace moe::ir::test
