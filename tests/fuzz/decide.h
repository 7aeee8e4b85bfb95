// SPDX-License-Identifier: Apache-2.0
// The second half of the front end's fuzz target: a policy on a small model.
#pragma once
#include <cstdint>

#include "ir/policy.h"

namespace moe::test {

/// Binds `policy` to a shape of at most 4 layers and 12 experts and, if that works, dispatches at most 16 times. Ends
/// the program when an invariant breaks: findings without an error, a bound policy that does not verify, two
/// interpreters that disagree, more residents than slots. The seed determines shape and routing.
void bind_and_decide(const ir::Policy& policy, uint64_t seed);

}  // namespace moe::test
