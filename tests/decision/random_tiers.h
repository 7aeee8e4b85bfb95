// SPDX-License-Identifier: Apache-2.0
// Random `tiers` for the differential tests.
#pragma once
#include <string>

#include "tests/decision/random_policy.h"

namespace moe::test {

/// A `tiers` block whose first tier is called fast. `capacity`: of the first tier; 0: none written.
std::string random_tiers(Dice& dice, const ir::ModelShape& shape, uint32_t capacity);

/// Gives the policy of `source`, which has to_source()'s form, a `tiers` block in place of its capacity, and mostly a
/// schedule that uses the copies.
std::string with_tiers(Dice& dice, const ir::BoundPolicy& policy, const std::string& source);

}  // namespace moe::test
