// SPDX-License-Identifier: Apache-2.0
// Seeded random cases: what the differential tests run.
#pragma once
#include "tests/decision/case.h"
#include "tests/decision/lockstep.h"

namespace moe::test {

/// Some policies of one shape, compiled, with the text that each was compiled from.
struct Group {
  ir::ModelShape shape;
  std::vector<PolicyCase> texts;
  Contenders policies;
  std::string error;  ///< of a policy that holds and does not compile
};

/// Between one and `most` policies: plain ones, with expressions, with rules that change. `shape`: num_layers 0 for a
/// small random one.
Group random_group(Dice& dice, uint32_t most, const ir::ModelShape& shape);

/// A random trace with up to three swaps, each at a random moment, among a group of `num_policies`.
std::vector<Step> random_steps(Dice& dice, const ir::ModelShape& shape, size_t length, size_t num_policies);

/// Adds such swaps to dispatches.
std::vector<Step> with_swaps(Dice& dice, std::vector<RandomDispatch> dispatches, size_t num_policies);

/// The group's policies in turn: the second one becomes the first.
void rotate(Group& group);

}  // namespace moe::test
