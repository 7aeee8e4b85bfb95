// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "moe/moe.h"

namespace moe::core {

/// Checks a dispatch's ids and weights as the decision kernels do, and says what is wrong. The kernels check every
/// dispatch themselves; this one runs where a message is wanted, or nothing may change before all is known to be good.
moe_status check_routing(const moe_dispatch_args& args, uint32_t num_experts);

/// Checks the router's probabilities, which the kernels trust. They must be there.
moe_status check_probabilities(const moe_dispatch_args& args, uint32_t num_experts);

}  // namespace moe::core
