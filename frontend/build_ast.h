// SPDX-License-Identifier: Apache-2.0
// Parse tree -> AST. Reports the slips that the grammar accepts on purpose (`capacity: 8`).
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/parse_tree.h"
#include "ir/diagnostics.h"

namespace moe::frontend {

/// Everything the two builders read.
struct TreeSource {
  std::string_view text;
  const Tokens& tokens;
  const ParseTree& tree;

  ir::SourceSpan span_of(const TreeNode& node) const {
    if (node.end_token <= node.first_token) return tokens[node.first_token].span();
    return {tokens[node.first_token].begin, tokens[node.end_token - 1].end};
  }
};

/// The expressions of the tree, in one pass over it.
struct BuiltExpressions {
  static constexpr ast::ExprId kNone = ~ast::ExprId{0};
  ast::Expressions exprs;
  std::vector<ast::ExprId> of_node;  ///< per tree node; kNone: it is no expression
};

BuiltExpressions build_expressions(const TreeSource& source, ir::Diagnostics& diagnostics);

ast::File build_file(const TreeSource& source, BuiltExpressions expressions, ir::Diagnostics& diagnostics);

/// Operators and calls with their operands. A value that is one word or number counts as none.
size_t count_expression_nodes(const ast::Expressions& exprs);

}  // namespace moe::frontend
