// SPDX-License-Identifier: Apache-2.0
// The first pass over a dispatch: its unique experts in order of first appearance, their weights, and whether it is
// valid.
#pragma once
#include <cfloat>

#include "runtime/decision/layout.h"

namespace moe::decision {

/// Fills output's entries and the scratch entries; touches nothing that outlives the dispatch. Returns the number of
/// unique experts, or kNone when the dispatch is invalid.
MOE_INLINE uint32_t collect(const Params& p, const State& s, const Input& in, const Output& out) {
  const uint64_t epoch = ++s.header().epoch;
  uint64_t* const stamps = s.stamps();
  uint32_t* const entry_of = s.entry_of();
  Entry* const entries = s.entries();
  uint32_t n = 0;
  const int32_t* ids = in.ids;
  const float* weights = in.weights;
  for (uint32_t token = 0; token < in.num_tokens; ++token) {
    for (uint32_t k = 0; k < p.top_k; ++k) {
      const uint32_t id = static_cast<uint32_t>(*ids++);
      const float weight = weights != nullptr ? *weights++ : 1.0f;
      if (id >= p.num_experts) {
        if (in.allow_padding != 0 && id == static_cast<uint32_t>(kPaddingId)) continue;
        return kNone;
      }
      if (!(weight >= 0.0f && weight <= FLT_MAX)) return kNone;
      if (stamps[id] != epoch) {
        stamps[id] = epoch;
        entry_of[id] = n;
        entries[n].last_token = token;
        out.expert[n] = id;
        out.num_selections[n] = 1;
        out.weight[n] = weight;
        ++n;
        continue;
      }
      const uint32_t entry = entry_of[id];
      if (entries[entry].last_token == token) return kNone;
      entries[entry].last_token = token;
      ++out.num_selections[entry];
      if (weight > out.weight[entry]) out.weight[entry] = weight;
    }
  }
  return n;
}

}  // namespace moe::decision
