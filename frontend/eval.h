// SPDX-License-Identifier: Apache-2.0
// Types of expressions, and the values of constant ones.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/variables.h"
#include "ir/diagnostics.h"

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

/// The params and lets of a policy, by name. A let that is no constant has only a type.
struct Scope {
  struct Binding {
    Typed value;
    ir::SourceSpan span;  ///< where it is declared
    uint8_t places = kAllPlaces;
  };
  std::map<std::string, Binding, std::less<>> bindings;
};

/// What every check of a policy's expressions needs.
struct CheckContext {
  const ast::Expressions& exprs;
  ir::Diagnostics& diagnostics;
  const Scope* scope = nullptr;
};

/// The params and lets in scope, for suggestions.
std::vector<std::string_view> scope_names(const CheckContext& context);

/// Checks a whole expression and folds what is constant, with IEEE doubles in source order. Mistakes are reported once
/// and give `unknown`. A lone name that is neither param nor let is a word when `place` is kConstantPlace.
/// Cost: linear in the expression's nodes; no recursion.
Typed check_expression(const CheckContext& context, ast::ExprId root, Place place);

/// check_expression for the body of a let, which may stand anywhere its variables are known. The span is the caller's.
Scope::Binding check_let(const CheckContext& context, ast::ExprId root);

/// check_expression, and reports what is not true or false.
void check_condition(const CheckContext& context, ast::ExprId root, Place place);

}  // namespace moe::frontend
