// SPDX-License-Identifier: Apache-2.0
// per_layer, learn and tiers: blocks that say how a policy is laid out, and that no rule changes.
#pragma once
#include "frontend/check_block.h"
#include "ir/policy.h"

namespace moe::frontend {

/// per_layer { ... }. `cache`: the values of the policy's cache, whose `scope` must not be global.
ir::PerLayerRule lower_per_layer(const CheckContext& context, const ast::Block& block, const BlockValues& cache);

/// learn { ... }
ir::LearnRule lower_learn(const CheckContext& context, const ast::Block& block);

/// tiers { ... }, of a policy or of a band. What is wrong is reported and left out.
ir::TiersRule lower_tiers(const CheckContext& context, const ast::Block& block);

/// Warns of tiers that nothing gets into, and of precision that is asked for and not there.
void check_tier_flow(const ir::TiersRule& tiers, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
