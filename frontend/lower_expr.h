// SPDX-License-Identifier: Apache-2.0
// Expressions that are evaluated at run time: from the AST to ir::Expr.
//
// Everything is checked and typed, params and lets are filled in, what is constant is folded (ir::apply), a bare
// literal beside a time or a size gets that type. Mistakes are reported once. No recursion; cost: linear in the nodes
// of the result, which are at most kMaxInlinedNodes, and in all expressions of a file together at most
// kMaxInlinedTotal.
#pragma once
#include <optional>
#include <string_view>

#include "frontend/eval.h"
#include "ir/expr.h"

namespace moe::frontend {

/// nullopt: it was wrong, which has been reported.
std::optional<ir::Expr> lower_expression(const CheckContext& context, ast::ExprId root, Place place);

/// lower_expression of a condition; reports what is not true or false.
std::optional<ir::Expr> lower_condition(const CheckContext& context, ast::ExprId root, Place place);

/// lower_expression of a number, ratio, time or size; `what` begins the message about anything else: "a reward".
std::optional<ir::Expr> lower_quantity(const CheckContext& context, ast::ExprId root, Place place,
                                       std::string_view what);

/// The body of a let: its type, its value if it is constant, else its nodes. The span is the caller's.
Scope::Binding lower_let(const CheckContext& context, ast::ExprId root);

}  // namespace moe::frontend
