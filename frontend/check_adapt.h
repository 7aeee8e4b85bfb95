// SPDX-License-Identifier: Apache-2.0
// What rules do to each other and to the policy they stand in. All of these look at the whole policy, its alternatives
// in place.
#pragma once
#include "frontend/in_force.h"
#include "ir/diagnostics.h"
#include "ir/policy.h"

namespace moe::frontend {

/// Rules that never or always hold, that change nothing, that override what nobody reads, that have nothing to
/// rebalance.
void check_rules_matter(const ir::Policy& policy, ir::Diagnostics& diagnostics);
/// Pairs of rules about one key: hidden by a later one, or undoing each other with no gap between their conditions.
void check_rule_conflicts(const ir::Policy& policy, ir::Diagnostics& diagnostics);
/// What `use` and `choose` name against the policy that names it.
void check_alternatives(const ir::Policy& policy, ir::Diagnostics& diagnostics);
/// Adapts defaults to what rules write, and reports what cannot hold together when rules are active, one or two at a
/// time, over the policy or one of its alternatives.
void check_rules_combine(ir::Policy& policy, ir::Diagnostics& diagnostics);
/// More than kMaxVariants combinations of what selects code.
void check_variants(const ir::Policy& policy, ir::Diagnostics& diagnostics);

/// All of the above.
void check_adapt(ir::Policy& policy, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
