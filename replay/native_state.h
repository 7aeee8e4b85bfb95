// SPDX-License-Identifier: Apache-2.0
// A kernel's state block as the reference interpreter takes it.
#pragma once
#include "ir/snapshot.h"
#include "replay/bytes.h"
#include "runtime/base/result.h"
#include "runtime/decision/abi.h"

namespace moe::replay {

/// Reads a block that a policy of these constants left between two dispatches. It may come from anywhere: what comes
/// out is within the policy's bounds, or refused. Errors: format; unsupported (ir/snapshot.h says of which policies
/// none can be made).
Result<ir::Snapshot> read_state(const decision::Params& params, Bytes block);

}  // namespace moe::replay
