// SPDX-License-Identifier: Apache-2.0
// Parts of an expression, each an expression of its own: what an explanation shows the values of, what native
// code keeps.
#pragma once
#include <vector>

#include "ir/expr.h"

namespace moe::ir {

/// The tree below node `root`, its nodes in their old order.
Expr subtree(const Expr& expr, uint32_t root);

/// What is added up at the top of `expr`: of `a - b * c + d` they are `a`, `-(b * c)` and `d`. One where nothing is.
std::vector<Expr> summands(const Expr& expr);

/// The distinct variables, histories and rates that `expr` reads, in order of text.
std::vector<Expr> inputs(const Expr& expr);

}  // namespace moe::ir
