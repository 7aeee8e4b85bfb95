// SPDX-License-Identifier: Apache-2.0
// Types of expressions, and the values of constant ones.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/variables.h"
#include "ir/diagnostics.h"
#include "ir/policy.h"

namespace moe::frontend {

/// What is known of an expression before a model is bound.
struct Typed {
  Type type = Type::unknown;
  bool constant = false;      ///< the fields below hold its value
  bool bare_literal = false;  ///< one number without a unit, as written: means ms or bytes beside a time or a size
  bool fractional = false;    ///< one literal written with a decimal point
  bool truth = false;
  double number = 0;      ///< a fraction, milliseconds or bytes, as the type says
  std::string_view word;  ///< of a word or text; lives as long as the AST or the settings

  bool is_unknown() const { return type == Type::unknown; }
};

/// The params and lets of a policy, by name.
struct Scope {
  struct Binding {
    Typed value;          ///< unknown of a list
    ir::SourceSpan span;  ///< where it is declared
    uint8_t places = kAllPlaces;
    std::shared_ptr<const ir::Expr> expr;  ///< of a let that is no constant: its nodes, other lets filled in
    std::optional<ast::ExprId> list;       ///< of a param that is a list
  };
  std::map<std::string, Binding, std::less<>> bindings;
  std::vector<ir::Param> params;  ///< as they are printed
};

/// What every check of a policy's expressions needs.
struct CheckContext {
  const ast::Expressions& exprs;
  ir::Diagnostics& diagnostics;
  const Scope* scope = nullptr;
  size_t* nodes_left = nullptr;  ///< of kMaxInlinedTotal, for the file; nullptr: not counted
};

/// The params and lets in scope, for suggestions.
std::vector<std::string_view> scope_names(const CheckContext& context);

/// Checks a whole expression and folds what is constant, with IEEE doubles in source order. Mistakes are reported once
/// and give `unknown`. A lone name that is neither param nor let is a word when `place` is kConstantPlace.
/// Cost: linear in the expression's nodes; no recursion.
Typed check_expression(const CheckContext& context, ast::ExprId root, Place place);

/// The types and constants of every node of an expression.
struct TypedNodes {
  std::vector<Typed> values;    ///< of the nodes [first, root] of the AST; the root's last
  uint8_t places = kAllPlaces;  ///< where it may stand: the places in which all its variables are known
};
TypedNodes check_nodes(const CheckContext& context, ast::ExprId root, Place place);

/// `id`, or the list that the param of that name stands for.
ast::ExprId resolve_list(const CheckContext& context, ast::ExprId id);

/// check_expression, and reports what is not true or false.
void check_condition(const CheckContext& context, ast::ExprId root, Place place);

}  // namespace moe::frontend
