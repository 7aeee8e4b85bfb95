// SPDX-License-Identifier: Apache-2.0
// Why dispatch N of a trace, or of an engine's log, decided as it did: the reference interpreter decides everything
// before it, and N with an account.
#pragma once
#include <functional>
#include <optional>

#include "ir/bind.h"
#include "ir/explain_decision.h"
#include "replay/decision_log.h"
#include "replay/trace.h"
#include "runtime/base/result.h"
#include "runtime/decision/abi.h"

namespace moe::replay {

/// Which dispatch: counted from 0, over all layers or those of one.
struct WhichDispatch {
  uint64_t number = 0;
  std::optional<uint32_t> layer;
};

/// Cost: a replay of what comes before it. Errors: invalid (no such dispatch, another shape, one that is refused).
Result<ir::ExplainedDecision> explain(const Trace& trace, const ir::BoundPolicy& policy, const WhichDispatch& which);

/// What it takes to explain dispatch N of a log.
struct LoggedDispatch {
  size_t record = 0;     ///< of the dispatch, in DecisionLog::records
  size_t beginning = 0;  ///< the last record before it that a replay can begin at: a start or a state
  uint32_t policy = 0;   ///< that decided it, in DecisionLog::policies
};
/// Finds it. Errors: invalid, which says what the log has.
Result<LoggedDispatch> find(const DecisionLog& log, const WhichDispatch& which);

/// A policy of a log, made again; borrowed until explain() returns.
struct RemadePolicy {
  const ir::BoundPolicy* bound = nullptr;
  const decision::Params* params = nullptr;  ///< as its native code has them; null: its states cannot be read
};
/// Of DecisionLog::policies; asked for those that ran before the dispatch's only where its own states do not do.
using RemakePolicy = std::function<Result<RemadePolicy>(uint32_t policy)>;

/// As above, of a log. A replay begins at the last state before the dispatch that the interpreter can take up; where it
/// can take up none, at the start of the engine, through swaps if need be. Every decision from there on is made again,
/// and must be the one that the engine had.
/// Errors: format (a damaged log, or another policy than the engine's), unsupported (no state can be taken up, which
/// ir/snapshot.h tells of, and the start is gone; or the policy reads what was measured).
Result<ir::ExplainedDecision> explain(const DecisionLog& log, const LoggedDispatch& dispatch,
                                      const RemakePolicy& remake);
/// With the dispatch's policy alone.
Result<ir::ExplainedDecision> explain(const DecisionLog& log, const LoggedDispatch& dispatch,
                                      const ir::BoundPolicy& policy, const decision::Params* params);

}  // namespace moe::replay
