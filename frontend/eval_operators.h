// SPDX-License-Identifier: Apache-2.0
// Operators and functions over Typed values: which types go together, and IEEE arithmetic on constants.
#pragma once
#include <span>

#include "frontend/eval.h"

namespace moe::frontend {

ir::ExprOp to_ir(ast::Op op);

Typed apply_unary(const CheckContext& context, const ast::Expr& e, Typed a);
Typed apply_binary(const CheckContext& context, const ast::Expr& e, Typed a, Typed b);
Typed apply_conditional(const CheckContext& context, const ast::Expr& e, Typed condition, Typed a, Typed b);

/// The entry that `table` takes at `index`: without its fraction, kept within 0 .. size - 1; NaN takes the last.
size_t table_place(double index, size_t size);

/// The functions of numbers alone (`min` to `table`); the number of arguments has been checked.
Typed apply_function(const CheckContext& context, const ast::Expr& e, Function function,
                     std::span<const Typed> arguments);

}  // namespace moe::frontend
