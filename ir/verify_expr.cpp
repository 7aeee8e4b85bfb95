// SPDX-License-Identifier: Apache-2.0
#include "ir/findings.h"

namespace moe::ir {
namespace {

constexpr size_t kMaxNodes = 10'000;

bool is_plain(Type type) { return type == Type::number || type == Type::ratio; }
bool is_numeric(Type type) { return type <= Type::size; }
bool is_history(ExprOp op) { return op >= ExprOp::avg_over && op <= ExprOp::trend; }
bool is_rate(ExprOp op) { return op >= ExprOp::use_rate; }

// The type of both: the same, or number where a ratio meets a number. nullopt: they do not go together.
std::optional<Type> common(Type a, Type b) {
  if (a == b) return a;
  if (is_plain(a) && is_plain(b)) return Type::number;
  return std::nullopt;
}

std::optional<Type> common_number(Type a, Type b) {
  return is_numeric(a) && is_numeric(b) ? common(a, b) : std::nullopt;
}

std::optional<Type> type_of_binary(ExprOp op, Type a, Type b) {
  switch (op) {
    case ExprOp::multiply:
      if (!is_numeric(a) || !is_numeric(b)) return std::nullopt;
      return is_plain(a) ? b : (is_plain(b) ? a : Type::number);
    case ExprOp::divide:
      if (!is_numeric(a) || !is_numeric(b)) return std::nullopt;
      return is_plain(b) ? a : Type::number;
    case ExprOp::and_:
    case ExprOp::or_:
      return a == Type::boolean && b == Type::boolean ? std::optional(Type::boolean) : std::nullopt;
    case ExprOp::eq:
    case ExprOp::ne:
      return common(a, b) ? std::optional(Type::boolean) : std::nullopt;
    case ExprOp::lt:
    case ExprOp::le:
    case ExprOp::gt:
    case ExprOp::ge:
      return common_number(a, b) ? std::optional(Type::boolean) : std::nullopt;
    case ExprOp::pow:
      return is_numeric(a) && is_numeric(b) ? std::optional(Type::number) : std::nullopt;
    default:
      return common_number(a, b);
  }
}

// What a node's type must be; nullopt: its operands do not go together.
std::optional<Type> type_of_node(const ExprNode& node, const std::vector<ExprNode>& nodes) {
  const auto type = [&](size_t k) { return nodes[node.operand[k]].type; };
  if (node.op == ExprOp::constant) return node.type;
  if (node.op == ExprOp::variable || (is_history(node.op) && node.op != ExprOp::trend)) return type_of(node.variable);
  if (node.op == ExprOp::trend) return Type::number;
  if (is_rate(node.op)) return Type::ratio;
  if (node.op == ExprOp::not_) return type(0) == Type::boolean ? std::optional(Type::boolean) : std::nullopt;
  if (num_operands(node.op) == 1) {
    if (!is_numeric(type(0))) return std::nullopt;
    return node.op == ExprOp::negate || node.op == ExprOp::abs ? type(0) : Type::number;
  }
  if (num_operands(node.op) == 2) return type_of_binary(node.op, type(0), type(1));
  if (node.op == ExprOp::conditional) return type(0) == Type::boolean ? common(type(1), type(2)) : std::nullopt;
  const std::optional<Type> raised = common_number(type(0), type(1));
  return raised ? common_number(*raised, type(2)) : std::nullopt;
}

// The first place that knows a variable of one expert.
ExprPlace place_of(Variable v) {
  switch (v) {
    case Variable::freq:
    case Variable::recency:
    case Variable::age:
    case Variable::uses:
    case Variable::score:
    case Variable::next_use:
    case Variable::foretold:
      return ExprPlace::expert;
    case Variable::weight:
    case Variable::position:
    case Variable::resident:
      return ExprPlace::miss;
    default:
      return is_of_expert(v) ? ExprPlace::prefetch : ExprPlace::whole_cache;
  }
}

class ExprVerifier {
 public:
  ExprVerifier(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings)
      : nodes_(expr.nodes), place_(place), what_(what), findings_(findings), num_uses_(expr.nodes.size()) {}

  void verify() {
    if (nodes_.empty()) return fail("is empty");
    if (nodes_.size() > kMaxNodes) return fail("has more than 10000 nodes");
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!verify_node(i)) return;  // what follows would only repeat it
    }
    for (size_t i = 0; i + 1 < nodes_.size(); ++i) {
      if (num_uses_[i] != 1) return fail("is not a tree: a node is used never or twice");
    }
  }

 private:
  void fail(std::string_view problem) {
    findings_.require(false, fmt::format("the expression of {} {}", what_, problem));
  }
  bool check(bool holds, std::string_view problem) {
    if (!holds) fail(problem);
    return holds;
  }

  bool verify_node(size_t i) {
    const ExprNode& node = nodes_[i];
    if (!check(node.op <= ExprOp::weight_rate && node.type <= Type::phase &&
                   static_cast<size_t>(node.variable) < kNumVariables,
               "has a node of no kind")) {
      return false;
    }
    bool all_constant = num_operands(node.op) > 0;
    for (size_t k = 0; k < num_operands(node.op); ++k) {
      if (!check(node.operand[k] < i, "has an operand that is not below its node")) return false;
      num_uses_[node.operand[k]] += 1;
      all_constant = all_constant && nodes_[node.operand[k]].op == ExprOp::constant;
    }
    return check(!all_constant, "computes a constant at run time") &&
           check(type_of_node(node, nodes_) == node.type, "has a node whose type does not follow from its operands'") &&
           verify_leaf(node);
  }

  bool verify_leaf(const ExprNode& node) {
    if (node.op == ExprOp::constant) {
      const bool is_flag = node.type == Type::boolean || node.type == Type::phase;
      return check(!is_flag || node.number == 0 || node.number == 1, "has a truth value that is neither 0 nor 1");
    }
    const bool looks_back = is_history(node.op) || is_rate(node.op);
    if (looks_back && !check(node.window >= 1 && node.window <= kMaxWindow, "looks back over 0 or more than 4096")) {
      return false;
    }
    if (is_history(node.op) && !check(is_metric(node.variable), "looks back on what is no metric")) return false;
    const bool of_expert = is_rate(node.op) || (node.op == ExprOp::variable && is_of_expert(node.variable));
    if (!check(!node.of_victim || (of_expert && place_ == ExprPlace::admit), "asks for a victim where there is none")) {
      return false;
    }
    if (is_rate(node.op))
      return check(place_ >= ExprPlace::prefetch, "reads the rate of an expert where there is none");
    return node.op != ExprOp::variable ||
           check(place_ >= place_of(node.variable),
                 fmt::format("reads `{}`, which is not known there", to_word(node.variable)));
  }

  const std::vector<ExprNode>& nodes_;
  ExprPlace place_;
  std::string_view what_;
  Findings& findings_;
  std::vector<uint32_t> num_uses_;
};

}  // namespace

void verify_expr(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings) {
  ExprVerifier(expr, place, what, findings).verify();
}

void verify_condition(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings) {
  verify_expr(expr, place, what, findings);
  findings.require(expr.empty() || expr.type() == Type::boolean, fmt::format("{} is no condition", what));
}

void verify_quantity(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings) {
  verify_expr(expr, place, what, findings);
  findings.require(expr.empty() || is_numeric(expr.type()), fmt::format("{} is no number", what));
}

}  // namespace moe::ir
