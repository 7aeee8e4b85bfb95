// SPDX-License-Identifier: Apache-2.0
// Parts of a least(E) that need not be evaluated for every candidate of every search. What they read of an expert
// changes only when its layer runs (its rates, how long it has been idle), so the kernel works them out then, for that
// layer, and a search reads a number. Bits stay the same: a part is a whole subtree, evaluated as it would be in place.
#pragma once
#include <vector>

#include "ir/expr.h"

namespace moe::codegen {

/// Roots of the largest such subtrees, by their place in Expr::nodes, ascending. None that is less work than its read.
std::vector<uint32_t> steady_nodes(const ir::Expr& expr);

}  // namespace moe::codegen
