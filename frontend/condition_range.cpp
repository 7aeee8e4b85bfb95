// SPDX-License-Identifier: Apache-2.0
#include "frontend/condition_range.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace moe::frontend {
namespace {

using ir::ExprNode;
using ir::ExprOp;
using ir::Variable;

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr ValueRange kAnything{-kInfinite, kInfinite};
constexpr ValueRange kEither{0, 1};

ValueRange truth(bool can_hold, bool can_fail) { return {can_fail ? 0.0 : 1.0, can_hold ? 1.0 : 0.0}; }

// Infinity times zero and the like: nothing is known.
ValueRange sane(ValueRange range) { return std::isnan(range.low) || std::isnan(range.high) ? kAnything : range; }

ValueRange multiply(ValueRange a, ValueRange b) {
  const double products[] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
  for (const double product : products) {
    if (std::isnan(product)) return kAnything;
  }
  return {*std::min_element(products, products + 4), *std::max_element(products, products + 4)};
}

ValueRange compare(ExprOp op, ValueRange a, ValueRange b) {
  switch (op) {
    case ExprOp::lt:
      return truth(a.low < b.high, a.high >= b.low);
    case ExprOp::le:
      return truth(a.low <= b.high, a.high > b.low);
    case ExprOp::gt:
      return truth(a.high > b.low, a.low <= b.high);
    case ExprOp::ge:
      return truth(a.high >= b.low, a.low < b.high);
    default:
      break;
  }
  const bool can_be_equal = a.low <= b.high && b.low <= a.high;
  const bool can_differ = !(a.low == a.high && b.low == b.high && a.low == b.low);
  return op == ExprOp::eq ? truth(can_be_equal, can_differ) : truth(can_differ, can_be_equal);
}

ValueRange apply_one(ExprOp op, ValueRange a) {
  switch (op) {
    case ExprOp::negate:
      return {-a.high, -a.low};
    case ExprOp::not_:
      return {1 - a.high, 1 - a.low};
    case ExprOp::abs:
      return {a.low > 0 ? a.low : (a.high < 0 ? -a.high : 0), std::max(std::fabs(a.low), std::fabs(a.high))};
    case ExprOp::exp:
    case ExprOp::sqrt:
      return {0, kInfinite};
    case ExprOp::sigmoid:
      return kEither;
    default:
      return kAnything;
  }
}

ValueRange apply_two(ExprOp op, ValueRange a, ValueRange b) {
  switch (op) {
    case ExprOp::add:
      return sane({a.low + b.low, a.high + b.high});
    case ExprOp::subtract:
      return sane({a.low - b.high, a.high - b.low});
    case ExprOp::multiply:
      return multiply(a, b);
    case ExprOp::divide:
      return b.low > 0 && b.low == b.high ? sane({a.low / b.low, a.high / b.low}) : kAnything;
    case ExprOp::and_:
    case ExprOp::min:
      return {std::min(a.low, b.low), std::min(a.high, b.high)};
    case ExprOp::or_:
    case ExprOp::max:
      return {std::max(a.low, b.low), std::max(a.high, b.high)};
    case ExprOp::eq:
    case ExprOp::ne:
    case ExprOp::lt:
    case ExprOp::le:
    case ExprOp::gt:
    case ExprOp::ge:
      return compare(op, a, b);
    default:
      return kAnything;
  }
}

ValueRange range_of_node(const ExprNode& node, const std::vector<ValueRange>& ranges, std::optional<ir::Phase> phase) {
  const auto operand = [&](size_t i) { return ranges[node.operand[i]]; };
  switch (node.op) {
    case ExprOp::constant:
      return sane({node.number, node.number});
    case ExprOp::variable:
      if (node.variable == Variable::phase && phase) {
        return {static_cast<double>(*phase), static_cast<double>(*phase)};
      }
      return range_of(node.variable);
    case ExprOp::avg_over:
    case ExprOp::max_over:
      return range_of(node.variable);
    case ExprOp::use_rate:
      return kEither;
    case ExprOp::weight_rate:
      return {0, kInfinite};
    case ExprOp::trend:
      return kAnything;
    case ExprOp::conditional:
      return {std::min(operand(1).low, operand(2).low), std::max(operand(1).high, operand(2).high)};
    case ExprOp::clamp:
      return {operand(1).low, std::max(operand(1).high, operand(2).high)};
    default:
      break;
  }
  return num_operands(node.op) == 1 ? apply_one(node.op, operand(0)) : apply_two(node.op, operand(0), operand(1));
}

/// `variable op constant`, either way round, as a region.
std::optional<Region> region_of_comparison(const ir::Expr& expr, const ExprNode& node) {
  if (node.op < ExprOp::eq || node.op > ExprOp::ge || node.op == ExprOp::ne) return std::nullopt;
  const ExprNode* a = &expr.nodes[node.operand[0]];
  const ExprNode* b = &expr.nodes[node.operand[1]];
  bool turned = false;
  if (a->op == ExprOp::constant) {
    std::swap(a, b);
    turned = true;
  }
  if (a->op != ExprOp::variable || a->of_victim || b->op != ExprOp::constant) return std::nullopt;
  Region region;
  region.variable = a->variable;
  region.range = range_of(a->variable);
  const bool below = (node.op == ExprOp::lt || node.op == ExprOp::le) != turned;
  const bool open = node.op == ExprOp::lt || node.op == ExprOp::gt;
  if (node.op == ExprOp::eq) {
    region.range = {b->number, b->number};
  } else if (below) {
    region.range.high = std::min(region.range.high, b->number);
    region.high_is_open = open && region.range.high == b->number;
  } else {
    region.range.low = std::max(region.range.low, b->number);
    region.low_is_open = open && region.range.low == b->number;
  }
  return region;
}

Region intersection(const Region& a, const Region& b) {
  Region out = a;
  if (b.range.low > out.range.low || (b.range.low == out.range.low && b.low_is_open)) {
    out.range.low = b.range.low;
    out.low_is_open = b.low_is_open;
  }
  if (b.range.high < out.range.high || (b.range.high == out.range.high && b.high_is_open)) {
    out.range.high = b.range.high;
    out.high_is_open = b.high_is_open;
  }
  return out;
}

}  // namespace

ValueRange range_of(Variable variable) {
  switch (variable) {
    case Variable::hit_rate:
    case Variable::miss_rate:
    case Variable::eviction_rate:
    case Variable::prefetch_accuracy:
    case Variable::prefetch_coverage:
    case Variable::cache_fill:
    case Variable::predicted:
    case Variable::value:
    case Variable::phase:
      return kEither;
    case Variable::entropy:
      return {0, 16};  // bits: a model has fewer than 2^16 experts
    case Variable::batch:
    case Variable::capacity:
    case Variable::num_experts:
    case Variable::num_layers:
    case Variable::top_k:
      return {1, kInfinite};
    default:
      return {0, kInfinite};
  }
}

Outcomes outcomes_of(const ir::Expr& condition, std::optional<ir::Phase> phase) {
  if (condition.empty()) return {true, false};
  if (const std::optional<Region> region = region_of(condition); region && region->is_empty()) return {false, true};
  std::vector<ValueRange> ranges;
  ranges.reserve(condition.nodes.size());
  for (const ExprNode& node : condition.nodes) ranges.push_back(range_of_node(node, ranges, phase));
  return {ranges.back().high > 0, ranges.back().low <= 0};
}

bool Region::is_empty() const {
  return range.low > range.high || (range.low == range.high && (low_is_open || high_is_open));
}

bool Region::contains(const Region& other) const {
  const bool low = range.low < other.range.low || (range.low == other.range.low && (!low_is_open || other.low_is_open));
  const bool high =
      range.high > other.range.high || (range.high == other.range.high && (!high_is_open || other.high_is_open));
  return low && high;
}

bool Region::meets(const Region& other) const { return !intersection(*this, other).is_empty(); }

std::optional<Region> region_of(const ir::Expr& condition) {
  if (condition.empty()) return std::nullopt;
  std::optional<Region> all;
  // From the root down through `and`; each node has one parent, so this ends.
  std::vector<uint32_t> left{static_cast<uint32_t>(condition.nodes.size() - 1)};
  while (!left.empty()) {
    const ExprNode& node = condition.nodes[left.back()];
    left.pop_back();
    if (node.op == ExprOp::and_) {
      left.push_back(node.operand[1]);
      left.push_back(node.operand[0]);
      continue;
    }
    const std::optional<Region> one = region_of_comparison(condition, node);
    if (!one || (all && all->variable != one->variable)) return std::nullopt;
    all = all ? intersection(*all, *one) : *one;
  }
  return all;
}

}  // namespace moe::frontend
