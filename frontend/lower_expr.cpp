// SPDX-License-Identifier: Apache-2.0
#include "frontend/lower_expr.h"

#include <fmt/format.h>

#include "frontend/eval_operators.h"
#include "frontend/limits.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::ExprId;
using ast::ExprKind;
using ir::ExprNode;
using ir::ExprOp;

bool is_measure(Type type) { return type == Type::time || type == Type::size; }

ExprNode constant_node(const Typed& value, ir::SourceSpan span) {
  ExprNode node;
  node.type = to_ir(value.type);
  node.number = value.number;
  if (value.type == Type::boolean) node.number = value.truth ? 1 : 0;
  if (value.type == Type::phase)
    node.number = static_cast<double>(value.word == "decode" ? ir::Phase::decode : ir::Phase::prefill);
  node.span = span;
  return node;
}

/// Appends the nodes of each AST node in turn. Subtrees of the AST are contiguous and so are those of the result: what
/// folds, or is an argument that the parent keeps by value, is cut off again.
class Builder {
 public:
  Builder(const CheckContext& context, ExprId root, const TypedNodes& typed)
      : context_(context),
        exprs_(context.exprs),
        root_(root),
        first_(context.exprs[root].first),
        typed_(typed),
        begin_(root - first_ + 1),
        place_(root - first_ + 1) {}

  std::optional<ir::Expr> build() {
    for (ExprId id = first_; id <= root_; ++id) {
      begin_[id - first_] = size();
      append(id);
      place_[id - first_] = size() - 1;
      if (out_.nodes.size() > kMaxInlinedNodes || overflows_)
        return too_large(exprs_[id].span, "the expression has", kMaxInlinedNodes);
    }
    if (context_.nodes_left != nullptr) {
      if (out_.nodes.size() > *context_.nodes_left) {
        return too_large(exprs_[root_].span, "the expressions of the file have", kMaxInlinedTotal);
      }
      *context_.nodes_left -= out_.nodes.size();
    }
    return std::move(out_);
  }

 private:
  uint32_t size() const { return static_cast<uint32_t>(out_.nodes.size()); }
  const Typed& value(ExprId id) const { return typed_.values[id - first_]; }
  ExprId operand(const ast::Expr& e, size_t i) const { return exprs_.operands_of(e)[i]; }
  ExprNode& node_of(ExprId id) { return out_.nodes[place_[id - first_]]; }
  std::string_view text(const ast::Expr& e) const { return exprs_.text_of(e); }

  std::optional<ir::Expr> too_large(ir::SourceSpan span, std::string_view what, size_t most) {
    context_.diagnostics.error("MOE2029", span,
                               fmt::format("{} more than {} parts once every `let` is filled in", what, most),
                               "use fewer lets inside one another");
    return std::nullopt;
  }

  void append(ExprId id) {
    const ast::Expr& e = exprs_[id];
    if (value(id).constant) {
      out_.nodes.resize(begin_[e.first - first_]);
      out_.nodes.push_back(constant_node(value(id), e.span));
      return;
    }
    switch (e.kind) {
      case ExprKind::name:
        return append_name(e, id);
      case ExprKind::call:
        return append_call(e, id);
      case ExprKind::conditional:
        adopt(e, 1, value(id).type);
        adopt(e, 2, value(id).type);
        return append_operation(e, id, ExprOp::conditional);
      case ExprKind::binary:
        adopt(e, 0, value(operand(e, 1)).type);
        adopt(e, 1, value(operand(e, 0)).type);
        return append_operation(e, id, to_ir(e.op));
      default:
        return append_operation(e, id, to_ir(e.op));
    }
  }

  // A bare literal beside a time or a size is of that type; products and quotients leave it a number.
  void adopt(const ast::Expr& e, size_t i, Type type) {
    const ExprId id = operand(e, i);
    const bool scales = e.kind == ExprKind::binary && (e.op == ast::Op::multiply || e.op == ast::Op::divide);
    if (is_measure(type) && value(id).bare_literal && !scales) node_of(id).type = to_ir(type);
  }

  ExprNode node(const ast::Expr& e, ExprId id, ExprOp op) const {
    ExprNode node;
    node.op = op;
    node.type = to_ir(value(id).type);
    node.span = e.span;
    return node;
  }

  void append_operation(const ast::Expr& e, ExprId id, ExprOp op) {
    ExprNode made = node(e, id, op);
    const auto operands = exprs_.operands_of(e);
    for (size_t i = 0; i < operands.size() && i < made.operand.size(); ++i) {
      made.operand[i] = place_[operands[i] - first_];
    }
    out_.nodes.push_back(made);
  }

  const Scope::Binding* find_binding(std::string_view name) const {
    if (context_.scope == nullptr) return nullptr;
    const auto found = context_.scope->bindings.find(name);
    return found == context_.scope->bindings.end() ? nullptr : &found->second;
  }

  void append_name(const ast::Expr& e, ExprId id) {
    const Scope::Binding* bound = find_binding(text(e));
    if (bound == nullptr) {
      out_.nodes.push_back(node(e, id, ExprOp::variable));
      out_.nodes.back().variable = find_variable(text(e))->id;
      return;
    }
    append_to(out_, bound->expr->nodes);
    out_.nodes.back().span = e.span;
  }

  void append_call(const ast::Expr& e, ExprId id) {
    const FunctionSpec& spec = *find_function(text(e));
    if (spec.function == Function::victim) {
      out_.nodes.back().of_victim = true;
      out_.nodes.back().span = e.span;
      return;
    }
    if (spec.function == Function::table) return append_table(e, id);
    if (spec.function < Function::avg_over) {
      for (size_t i = 0; i < exprs_.operands_of(e).size(); ++i) adopt(e, i, value(id).type);
      return append_operation(e, id, spec.op);
    }
    ExprNode made = node(e, id, spec.op);
    const bool of_metric = spec.function < Function::use_rate;
    if (of_metric) made.variable = find_variable(text(exprs_[operand(e, 0)]))->id;
    made.window = static_cast<uint32_t>(value(operand(e, of_metric ? 1 : 0)).number);
    if (!of_metric && exprs_.operands_of(e).size() > 1) {
      made.largest = static_cast<uint32_t>(value(operand(e, 1)).number);
    }
    out_.nodes.resize(begin_[e.first - first_]);
    out_.nodes.push_back(made);
  }

  // table(i, x0, x1, x2) is `if i < 1 then x0 else if i < 2 then x1 else x2`, each with an `i` of its own.
  void append_table(const ast::Expr& e, ExprId id) {
    const auto operands = exprs_.operands_of(e);
    const size_t num_entries = operands.size() - 1;
    for (size_t i = 1; i <= num_entries; ++i) adopt(e, i, value(id).type);
    const Typed& index = value(operands[0]);
    ir::Expr made;
    if (index.constant || num_entries == 1) {
      copy_of(operands[1 + table_place(index.number, num_entries)], made);
    } else {
      const size_t copies = (num_entries - 1) * (size_of(operands[0]) + 3);
      overflows_ = size() + copies > kMaxInlinedNodes;
      if (overflows_) return;
      append_choices(e, operands, made);
    }
    out_.nodes.resize(begin_[e.first - first_]);
    append_to(out_, made.nodes);
  }

  void append_choices(const ast::Expr& e, std::span<const ExprId> operands, ir::Expr& made) const {
    std::vector<std::pair<uint32_t, uint32_t>> choices;  // roots of each condition and what it chooses
    for (size_t i = 1; i + 1 < operands.size(); ++i) {
      ExprNode condition;
      condition.op = ExprOp::lt;
      condition.type = ir::Type::boolean;
      condition.span = e.span;
      condition.operand[0] = copy_of(operands[0], made);
      made.nodes.push_back(ir::constant(static_cast<double>(i)).root());
      made.nodes.back().span = e.span;
      condition.operand[1] = last_of(made);
      made.nodes.push_back(condition);
      const uint32_t root = last_of(made);
      choices.emplace_back(root, copy_of(operands[i], made));
    }
    uint32_t otherwise = copy_of(operands.back(), made);
    for (size_t i = choices.size(); i-- > 0;) {
      ExprNode choice;
      choice.op = ExprOp::conditional;
      choice.operand = {choices[i].first, choices[i].second, otherwise};
      const ir::Type type = made.nodes[choices[i].second].type;
      choice.type = type == made.nodes[otherwise].type ? type : ir::Type::number;
      choice.span = e.span;
      made.nodes.push_back(choice);
      otherwise = last_of(made);
    }
  }

  static uint32_t last_of(const ir::Expr& expr) { return static_cast<uint32_t>(expr.nodes.size() - 1); }
  uint32_t start_of(ExprId id) const { return begin_[exprs_[id].first - first_]; }
  size_t size_of(ExprId id) const { return place_[id - first_] + 1 - start_of(id); }

  /// Appends a node's subtree; the place of its root.
  uint32_t copy_of(ExprId id, ir::Expr& to) const {
    const uint32_t start = start_of(id);
    std::vector<ExprNode> nodes(out_.nodes.begin() + start, out_.nodes.begin() + place_[id - first_] + 1);
    for (ExprNode& copy : nodes) {
      for (size_t i = 0; i < ir::num_operands(copy.op); ++i) copy.operand[i] -= start;
    }
    append_to(to, nodes);
    return last_of(to);
  }

  static void append_to(ir::Expr& to, const std::vector<ExprNode>& nodes) {
    const auto offset = static_cast<uint32_t>(to.nodes.size());
    for (ExprNode copy : nodes) {
      for (size_t i = 0; i < ir::num_operands(copy.op); ++i) copy.operand[i] += offset;
      to.nodes.push_back(copy);
    }
  }

  const CheckContext& context_;
  const ast::Expressions& exprs_;
  ExprId root_;
  ExprId first_;
  const TypedNodes& typed_;
  std::vector<uint32_t> begin_;  // of each AST node: the size of `out_` before it
  std::vector<uint32_t> place_;  // its root in `out_`
  bool overflows_ = false;       // what was left out would be too large
  ir::Expr out_;
};

}  // namespace

std::optional<ir::Expr> lower_expression(const CheckContext& context, ExprId root, Place place) {
  const TypedNodes typed = check_nodes(context, root, place);
  const Typed& value = typed.values.back();
  if (value.is_unknown()) return std::nullopt;
  if (value.type == Type::word || value.type == Type::text) {
    context.diagnostics.error("MOE2014", context.exprs[root].span,
                              fmt::format("an expression has a value, this is {}", to_word(value.type)));
    return std::nullopt;
  }
  return Builder(context, root, typed).build();
}

std::optional<ir::Expr> lower_condition(const CheckContext& context, ExprId root, Place place) {
  std::optional<ir::Expr> expr = lower_expression(context, root, place);
  if (!expr || expr->type() == ir::Type::boolean) return expr;
  context.diagnostics.error("MOE2014", context.exprs[root].span,
                            fmt::format("a condition is true or false, this is {}", to_word(type_from(expr->type()))),
                            "compare it with something");
  return std::nullopt;
}

std::optional<ir::Expr> lower_quantity(const CheckContext& context, ExprId root, Place place, std::string_view what) {
  std::optional<ir::Expr> expr = lower_expression(context, root, place);
  if (!expr || (expr->type() != ir::Type::boolean && expr->type() != ir::Type::phase)) return expr;
  context.diagnostics.error("MOE2014", context.exprs[root].span,
                            fmt::format("{} is a number, this is {}", what, to_word(type_from(expr->type()))));
  return std::nullopt;
}

Scope::Binding lower_let(const CheckContext& context, ExprId root) {
  const TypedNodes typed = check_nodes(context, root, kAllPlaces);
  Scope::Binding binding;
  binding.value = typed.values.back();
  binding.places = typed.places;
  if (binding.value.is_unknown() || binding.value.constant) return binding;
  const ast::Expr& e = context.exprs[root];
  if (e.kind == ExprKind::name && context.scope != nullptr) {
    // Another name for a let: no copy, so that a chain of them costs nothing.
    const auto found = context.scope->bindings.find(context.exprs.text_of(e));
    if (found != context.scope->bindings.end()) {
      binding.expr = found->second.expr;
      return binding;
    }
  }
  std::optional<ir::Expr> expr = Builder(context, root, typed).build();
  if (!expr) return {};
  binding.expr = std::make_shared<const ir::Expr>(std::move(*expr));
  return binding;
}

}  // namespace moe::frontend
