// SPDX-License-Identifier: Apache-2.0
// A routing trace in memory: which experts a model's router chose, token by token.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace moe::replay {

/// An id of the arrays below that stands for "no expert".
inline constexpr uint16_t kNoExpert = 0xFFFF;

/// A load that the mechanism dropped (a stale prefetch, a failed load): the expert leaves before dispatch `dispatch`.
struct DroppedLoad {
  uint64_t dispatch = 0;  ///< counted over the whole trace, from 0
  uint32_t layer = 0;
  uint32_t expert = 0;
  friend bool operator==(const DroppedLoad&, const DroppedLoad&) = default;
};

/// Routing of `num_tokens` tokens through `num_layers` layers, in decode order. Arrays are row-major; optional ones are
/// empty when the trace does not have them.
///
/// Invariant  check() is ok: every reader of this folder guarantees it.
struct Trace {
  uint32_t num_layers = 0;   ///< 1..4096
  uint32_t num_experts = 0;  ///< per layer, 1..65534
  uint32_t top_k = 0;        ///< 1..num_experts
  uint64_t num_tokens = 0;
  std::vector<uint16_t> experts;       ///< [tokens][layers][top_k]
  std::vector<float> weights;          ///< router weights, same shape; optional
  std::vector<uint32_t> requests;      ///< [tokens]; optional
  std::vector<uint32_t> steps;         ///< [tokens]: equal consecutive values are one dispatch per layer; optional
  std::vector<uint8_t> phases;         ///< [tokens]: 0 prefill, 1 decode; optional
  uint32_t lookahead_width = 0;        ///< m; 0: none
  std::vector<uint16_t> lookahead;     ///< [tokens][layers][m]: at [t][l] what layer l + 1 will probably need
  std::vector<float> lookahead_probs;  ///< same shape
  std::vector<DroppedLoad> dropped;    ///< by ascending dispatch; recorded runs only
  std::string metadata = "{}";         ///< JSON object: model, source, licence, text, and whatever else a file carries

  /// Entries of `experts` before [token][layer].
  size_t offset(uint64_t token, uint32_t layer) const { return (token * num_layers + layer) * top_k; }
  size_t lookahead_offset(uint64_t token, uint32_t layer) const {
    return (token * num_layers + layer) * lookahead_width;
  }
  /// One past the last token of the step that begins at `first`.
  uint64_t step_end(uint64_t first) const;
  uint64_t num_steps() const;

  friend bool operator==(const Trace&, const Trace&) = default;
};

/// Checks sizes, ranges of ids, ids twice in one set, weights (finite, not negative) and probabilities ([0, 1]). The
/// error names the first bad place by token and layer. Cost: linear in the trace, times top_k.
Result<void> check(const Trace& trace);

/// Entries of an array [tokens][layers][width]; saturates, so that hostile shapes compare as huge.
uint64_t num_entries(uint64_t tokens, uint64_t layers, uint64_t width);

}  // namespace moe::replay
