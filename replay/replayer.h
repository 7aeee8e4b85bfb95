// SPDX-License-Identifier: Apache-2.0
// Runs a trace through a decision engine and counts.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/bind.h"
#include "replay/decision_writer.h"
#include "replay/engine.h"
#include "replay/trace.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// Counters of one layer or of all. Rates are one division; over nothing they are 0.
struct Counts {
  uint64_t dispatches = 0;
  uint64_t accesses = 0;    ///< unique experts of dispatches
  uint64_t selections = 0;  ///< (token, k) pairs
  uint64_t hits = 0;
  uint64_t loads = 0;       ///< demand loads that stay, in front of or behind the computation
  uint64_t streams = 0;     ///< demand loads that pass through
  uint64_t cpu = 0;         ///< misses computed on the host, with or without a load behind
  uint64_t degraded = 0;    ///< misses served by a lower-precision copy, with the full one loaded behind
  uint64_t shared = 0;      ///< misses that the shared expert stood in for
  uint64_t skipped = 0;     ///< misses left out
  uint64_t dropped = 0;     ///< experts that `drop` left out: no accesses
  uint64_t tier_moves = 0;  ///< copies between the tiers below the first, and departures from them
  uint64_t evictions = 0;
  uint64_t prefetched = 0;
  uint64_t prefetch_used = 0;  ///< prefetched experts that were used before they left

  uint64_t misses() const { return accesses - hits; }
  /// Experts that were moved into the fast tier, whatever the cause.
  uint64_t transfers() const { return loads + streams + degraded + prefetched; }
  double hit_rate() const { return ratio(hits, accesses); }
  double prefetch_accuracy() const { return ratio(prefetch_used, prefetched); }
  /// Accesses that were hits only thanks to a prefetch.
  double prefetch_coverage() const { return ratio(prefetch_used, accesses); }
  friend bool operator==(const Counts&, const Counts&) = default;

 private:
  static double ratio(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

/// What a replay found. Evictions and prefetches of a layer are those of its experts, whichever dispatch caused them.
struct ReplayResult {
  std::string policy;
  uint64_t tokens = 0;
  uint64_t expert_bytes = 0;  ///< 0: unknown
  Counts total;
  std::vector<Counts> layers;
  std::vector<uint64_t> rules_fired;  ///< by place in BoundPolicy::adapt
  /// With `precision = by (E) [...]`: copies that came into the first tier, by their dtype.
  std::array<uint64_t, ir::kNumDtypes> copies{};
  uint64_t raised = 0;  ///< of these, in place of a lower copy
};

/// Replays: each step (a token, or the tokens of equal `steps`) is one dispatch per layer, layers in order. Before
/// layer l of a step its `lookahead` becomes the hint for layer l + 1 (after the last: 0), an expert's probability
/// being the largest over the step's tokens, experts in order of first appearance.
///
/// `policy` names the shape, which must be the trace's; `engine` decides; `decisions` may be null; after `most`
/// dispatches it ends. Errors: another shape, or a dispatch that the engine refuses.
Result<ReplayResult> replay(const Trace& trace, const ir::BoundPolicy& policy, DecisionEngine& engine,
                            DecisionWriter* decisions = nullptr, uint64_t most = UINT64_MAX);

/// {"policies": [...]}, per policy its counters, rates and the same per layer.
std::string print_json(std::span<const ReplayResult> results);

}  // namespace moe::replay
