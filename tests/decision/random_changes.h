// SPDX-License-Identifier: Apache-2.0
// Random policies whose rules change: bands, phases, rules of `adapt`, `use` and `choose`.
#pragma once
#include <optional>

#include "tests/decision/random_policy.h"

namespace moe::test {

/// The text of a policy `random`, and of those that it uses, over the shape of `base`, which it starts from. Not every
/// text holds: values may not go together.
std::string random_changing_source(Dice& dice, const ir::BoundPolicy& base);

}  // namespace moe::test
