// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "frontend/build_ast.h"
#include "frontend/limits.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;
using ast::Op;
using ir::SourceSpan;

std::optional<Op> binary_op(TokenKind kind) {
  switch (kind) {
    case TokenKind::star:
      return Op::multiply;
    case TokenKind::slash:
      return Op::divide;
    case TokenKind::percent:
      return Op::modulo;
    case TokenKind::plus:
      return Op::add;
    case TokenKind::minus:
      return Op::subtract;
    case TokenKind::eq:
      return Op::eq;
    case TokenKind::ne:
      return Op::ne;
    case TokenKind::lt:
      return Op::lt;
    case TokenKind::le:
      return Op::le;
    case TokenKind::gt:
      return Op::gt;
    case TokenKind::ge:
      return Op::ge;
    case TokenKind::and_:
      return Op::and_;
    case TokenKind::or_:
      return Op::or_;
    default:
      return std::nullopt;
  }
}

class ExpressionBuilder {
 public:
  ExpressionBuilder(const TreeSource& source, ir::Diagnostics& diagnostics)
      : source_(source), diagnostics_(diagnostics) {
    built_.exprs.source = source.text;
    built_.of_node.assign(source.tree.nodes.size(), BuiltExpressions::kNone);
  }

  // Children stand before their parents, so one pass over the nodes sees every operand before it is used.
  BuiltExpressions build() {
    for (uint32_t i = 0; i < source_.tree.nodes.size(); ++i) {
      read_children(i);
      built_.of_node[i] = build_node(source_.tree.nodes[i]);
    }
    return std::move(built_);
  }

 private:
  // What a node's rule needs to know of its children.
  struct Parts {
    std::vector<ExprId> operands;      // children that are expressions, in order
    std::vector<const Token*> tokens;  // children that are tokens
    const TreeNode* word = nullptr;    // a child `name` or `callee`
    bool has_body = false;
  };

  void read_children(uint32_t index) {
    parts_.operands.clear();
    parts_.tokens.clear();
    parts_.word = nullptr;
    parts_.has_body = false;
    for (const TreeChild& child : source_.tree.children_of(source_.tree.nodes[index])) {
      if (child.is_token) {
        parts_.tokens.push_back(&source_.tokens[child.index]);
        continue;
      }
      const TreeNode& node = source_.tree.nodes[child.index];
      if (node.rule == Rule::name || node.rule == Rule::callee) parts_.word = &node;
      if (node.rule == Rule::body) parts_.has_body = true;
      if (built_.of_node[child.index] != BuiltExpressions::kNone)
        parts_.operands.push_back(built_.of_node[child.index]);
    }
  }

  ExprId build_node(const TreeNode& node) {
    switch (node.rule) {
      case Rule::expr:
        return expr(node);
      case Rule::bad_sign:
        if (!too_many(diagnostics_)) {
          diagnostics_.error("MOE1026", parts_.tokens.front()->span(), "a number has no sign `+`", "remove the `+`");
        }
        return operand(node, 0);
      case Rule::operand:
        return operand(node, 0);
      case Rule::plain:
        return parts_.operands.empty() ? literal(node) : parts_.operands.front();
      case Rule::list:
        return make(ExprKind::list, node, parts_.operands);
      case Rule::element:
        return one_or(ExprKind::placed, node);
      case Rule::bound:
        return parts_.operands.empty() ? make(ExprKind::any, node, {}) : one_or(ExprKind::range, node);
      case Rule::band:
        return make(ExprKind::range, node, {operand(node, 0), operand(node, 1)});
      case Rule::domain:
        return parts_.tokens.empty() ? operand(node, 0) : make(ExprKind::range, node, parts_.operands);
      case Rule::chain:
        return one_or(ExprKind::chain, node);
      case Rule::value:
        return one_or(ExprKind::switched, node);
      case Rule::ladder:
        return make(ExprKind::ladder, node, parts_.operands);
      case Rule::rung:
        return worded(ExprKind::rung, node);
      case Rule::labelled:  // `eviction lru`: the second word is the value
        return parts_.has_body ? BuiltExpressions::kNone : worded(ExprKind::name, node);
      default:
        return BuiltExpressions::kNone;
    }
  }

  ExprId expr(const TreeNode& node) {
    if (parts_.tokens.empty()) {  // a name, or a sign that has been reported
      return parts_.word != nullptr ? worded(ExprKind::name, node) : operand(node, 0);
    }
    const Token& token = *parts_.tokens.front();
    if (parts_.word != nullptr) return worded(ExprKind::call, node);
    switch (token.kind) {
      case TokenKind::left_paren:
        return operand(node, 0);
      case TokenKind::if_:
        return make(ExprKind::conditional, node, {operand(node, 0), operand(node, 1), operand(node, 2)});
      case TokenKind::not_:
        return with_op(Op::not_, make(ExprKind::unary, node, {operand(node, 0)}));
      case TokenKind::minus:
        if (parts_.operands.size() < 2) return with_op(Op::negate, make(ExprKind::unary, node, {operand(node, 0)}));
        break;
      default:
        break;
    }
    const std::optional<Op> op = binary_op(token.kind);
    if (!op || parts_.operands.empty()) return literal(node);
    return with_op(*op, make(ExprKind::binary, node, {operand(node, 0), operand(node, 1)}));
  }

  ExprId literal(const TreeNode& node) {
    const ExprId id = make(ExprKind::missing, node, {});
    if (parts_.tokens.empty()) return id;
    Expr& e = built_.exprs.nodes[id];
    const Token& token = *parts_.tokens.front();
    e.text = token.span();
    if (token.kind == TokenKind::true_ || token.kind == TokenKind::false_) {
      e.kind = ExprKind::boolean;
      e.truth = token.kind == TokenKind::true_;
    } else if (token.kind == TokenKind::string) {
      e.kind = ExprKind::string;
      const bool closed = token.end - token.begin >= 2 && source_.text[token.end - 1] == '"';
      e.text = {token.begin + 1, closed ? token.end - 1 : token.end};
    } else if (token.kind == TokenKind::number) {
      const NumberText number = parse_number(text_of(source_.text, token));
      e.kind = ExprKind::number;
      e.number = number.value;
      e.unit = number.unit;
      e.digits_only = number.digits_only;
    }
    return id;
  }

  // The i-th operand, or a stand-in where a syntax error lost it.
  ExprId operand(const TreeNode& node, size_t i) {
    return i < parts_.operands.size() ? parts_.operands[i] : make(ExprKind::missing, node, {});
  }

  ExprId one_or(ExprKind kind, const TreeNode& node) {
    return parts_.operands.size() == 1 ? parts_.operands.front() : make(kind, node, parts_.operands);
  }

  ExprId with_op(Op op, ExprId id) {
    built_.exprs.nodes[id].op = op;
    return id;
  }

  ExprId worded(ExprKind kind, const TreeNode& node) {
    const ExprId id = make(kind, node, parts_.operands);
    if (parts_.word == nullptr) {
      built_.exprs.nodes[id].kind = ExprKind::missing;
    } else {
      built_.exprs.nodes[id].text = source_.span_of(*parts_.word);
    }
    if (node.rule == Rule::labelled) built_.exprs.nodes[id].span = built_.exprs.nodes[id].text;
    return id;
  }

  ExprId make(ExprKind kind, const TreeNode& node, const std::vector<ExprId>& operands) {
    const auto id = static_cast<ExprId>(built_.exprs.nodes.size());
    Expr e;
    e.kind = kind;
    e.span = source_.span_of(node);
    e.first = operands.empty() ? id : built_.exprs.nodes[operands.front()].first;
    e.first_operand = static_cast<uint32_t>(built_.exprs.operands.size());
    built_.exprs.operands.insert(built_.exprs.operands.end(), operands.begin(), operands.end());
    e.end_operand = static_cast<uint32_t>(built_.exprs.operands.size());
    built_.exprs.nodes.push_back(e);
    return id;
  }

  const TreeSource& source_;
  ir::Diagnostics& diagnostics_;
  BuiltExpressions built_;
  Parts parts_;
};

bool is_compound(ExprKind kind) {
  return kind == ExprKind::call || kind == ExprKind::unary || kind == ExprKind::binary || kind == ExprKind::conditional;
}

}  // namespace

BuiltExpressions build_expressions(const TreeSource& source, ir::Diagnostics& diagnostics) {
  return ExpressionBuilder(source, diagnostics).build();
}

size_t count_expression_nodes(const ast::Expressions& exprs) {
  size_t count = 0;
  for (const Expr& e : exprs.nodes) {
    if (!is_compound(e.kind)) continue;
    ++count;
    for (const ExprId operand : exprs.operands_of(e)) count += is_compound(exprs[operand].kind) ? 0 : 1;
  }
  return count;
}

}  // namespace moe::frontend
