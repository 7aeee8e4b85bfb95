// SPDX-License-Identifier: Apache-2.0
// What goes into a decision engine and what comes out: shared by the interpreter, the replayer and the tests that
// compare engines. docs/semantics.md says what an engine must answer.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace moe::ir {

/// Where a trace has "no expert".
inline constexpr int32_t kNoExpert = 0xFFFF;

/// One MoE layer's routing for one batch of tokens. Borrows everything.
struct DispatchInput {
  uint32_t layer = 0;
  uint32_t num_tokens = 0;
  uint32_t top_k = 0;
  std::span<const int32_t> ids;       ///< row-major [num_tokens][top_k]
  std::span<const float> weights;     ///< same shape; empty: all 1
  std::span<const uint32_t> dropped;  ///< keys whose load the mechanism dropped or failed since the last dispatch
  bool allow_padding = false;         ///< an id of kNoExpert is skipped, its weight unread; else it is invalid
};

/// What became of one access.
enum class Action : uint8_t {
  hit,       ///< it was resident
  load,      ///< loaded, and resident from now on
  stream,    ///< loaded for this dispatch only
  cpu,       ///< computed on the host; residency unchanged
  cpu_load,  ///< computed on the host and loaded behind
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

/// Everything that one dispatch decided. Keys are layer * num_experts + expert.
struct Decision {
  std::vector<ExpertDecision> experts;  ///< in order of first appearance, row by row
  std::vector<uint32_t> evicted;        ///< keys that left, in order, whatever the cause
  std::vector<uint32_t> prefetched;     ///< keys, in order
  friend bool operator==(const Decision&, const Decision&) = default;
};

}  // namespace moe::ir
