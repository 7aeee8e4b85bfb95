// SPDX-License-Identifier: Apache-2.0
// Why dispatch N of a replay decided as it did: the reference interpreter decides everything before it, and N with an
// account.
#pragma once
#include <optional>

#include "ir/bind.h"
#include "ir/explain_decision.h"
#include "replay/trace.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// Which dispatch: counted from 0, over all layers or those of one.
struct WhichDispatch {
  uint64_t number = 0;
  std::optional<uint32_t> layer;
};

/// Cost: a replay of what comes before it. Errors: invalid (no such dispatch, another shape, one that is refused).
Result<ir::ExplainedDecision> explain(const Trace& trace, const ir::BoundPolicy& policy, const WhichDispatch& which);

}  // namespace moe::replay
