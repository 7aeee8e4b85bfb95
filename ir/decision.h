// SPDX-License-Identifier: Apache-2.0
// What goes into a decision engine and what comes out: shared by the interpreter, the replayer and the tests that
// compare engines. docs/semantics.md says what an engine must answer.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/expr.h"
#include "ir/policy.h"

namespace moe::ir {

/// Where a trace has "no expert".
inline constexpr int32_t kNoExpert = 0xFFFF;

/// Inputs that routing does not determine: from a cost model, or recorded in a live run. Times in ms.
struct MeasuredInputs {
  bool has_cost_model = false;  ///< whether the four below mean anything; without it load_ms and cpu_ms are NaN
  double queue_wait_ms = 0;     ///< until a load queued now would start
  double transfer_ms = 0;       ///< one expert over the link
  double cpu_setup_ms = 0;
  double cpu_token_ms = 0;
  double stall_ms = 0;      ///< time the engine waited in the dispatch before this one
  double queue_depth = 0;   ///< loads queued now
  double link_gbps = 0;     ///< of the last transfers
  double tokens_per_s = 0;  ///< of the last dispatches
  double kv_used = 0;       ///< bytes, as told by the engine
};

/// One MoE layer's routing for one batch of tokens. Borrows everything.
struct DispatchInput {
  uint32_t layer = 0;
  uint32_t num_tokens = 0;
  uint32_t top_k = 0;
  std::span<const int32_t> ids;       ///< row-major [num_tokens][top_k]
  std::span<const float> weights;     ///< same shape; empty: all 1
  std::span<const uint32_t> dropped;  ///< keys whose load the mechanism dropped or failed since the last dispatch
  bool allow_padding = false;         ///< an id of kNoExpert is skipped, its weight unread; else it is invalid
  Phase phase = Phase::decode;
  std::span<const uint32_t> requests;    ///< [num_tokens]; empty: all of one request
  std::span<const float> probabilities;  ///< the router's, [num_tokens][num_experts]; empty: unknown
  MeasuredInputs measured;
};

/// What became of one access.
enum class Action : uint8_t {
  hit,       ///< it was resident
  load,      ///< loaded, and resident from now on
  stream,    ///< loaded for this dispatch only
  cpu,       ///< computed on the host; residency unchanged
  cpu_load,  ///< computed on the host and loaded behind
  degrade,   ///< a lower-precision copy is used now, the full one loaded behind
  shared,    ///< the shared expert stands in
  skip,      ///< left out
};

/// The word for an action in `replay --decisions`.
std::string_view to_word(Action);

/// One access: a unique expert of the dispatch.
struct ExpertDecision {
  uint32_t expert = 0;
  Action action = Action::hit;
  uint32_t num_selections = 0;  ///< (token, k) pairs that chose it
  double weight = 1;            ///< the largest of its router weights
  friend bool operator==(const ExpertDecision&, const ExpertDecision&) = default;
};

/// A copy between tiers other than a load into the first, by index in the policy's text.
struct TierMove {
  uint32_t key = 0;
  uint32_t from = 0;
  uint32_t to = 0;  ///< from == to: it left `from`
  friend bool operator==(const TierMove&, const TierMove&) = default;
};

/// With `precision = by (E) [...]`: which copy of an expert the first tier holds from now on.
struct PrecisionChoice {
  uint32_t key = 0;
  Dtype dtype = Dtype::as_stored;
  bool raised = false;  ///< it was there in a lower precision, and stays usable in that until this copy has arrived
  friend bool operator==(const PrecisionChoice&, const PrecisionChoice&) = default;
};

/// Everything that one dispatch decided. Keys are layer * num_experts + expert.
struct Decision {
  std::vector<ExpertDecision> experts;  ///< in order of first appearance, row by row
  std::vector<uint32_t> evicted;        ///< keys that left, in order, whatever the cause
  std::vector<uint32_t> prefetched;     ///< keys, in order
  std::vector<uint32_t> dropped{};      ///< experts that `drop` left out: no accesses
  std::vector<TierMove> moves{};
  std::vector<PrecisionChoice> precisions{};
  std::vector<uint32_t> rules_fired{};  ///< places in BoundPolicy::adapt
  std::vector<std::string> signals{};
  friend bool operator==(const Decision&, const Decision&) = default;
};

}  // namespace moe::ir
