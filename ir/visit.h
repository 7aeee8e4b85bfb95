// SPDX-License-Identifier: Apache-2.0
// Every expression of a policy, and every value of a key.
#pragma once
#include <functional>

#include "ir/bind.h"

namespace moe::ir {

using ExprVisitor = std::function<void(const Expr&)>;

/// Written ones only; in the order of the language's blocks.
void visit_exprs(const EvictionRule& rule, const ExprVisitor& visit);
void visit_exprs(const BoundRules& rules, const ExprVisitor& visit);
void visit_exprs(const Assignment& assignment, const ExprVisitor& visit);
/// Those of bands, phases, rules, tiers and alternatives too.
void visit_exprs(const Policy& policy, const ExprVisitor& visit);

using ValueVisitor = std::function<void(const KeyValue&)>;

/// The values that `key` can have under the policy itself: its own, then those of bands, phases, rules and `memory`.
void visit_values(const Policy& policy, Key key, const ValueVisitor& visit);

}  // namespace moe::ir
