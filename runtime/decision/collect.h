// SPDX-License-Identifier: Apache-2.0
// The first pass over a dispatch: its unique experts in order of first appearance, their weights, and whether it is
// valid.
#pragma once
#include <bit>
#include <cfloat>

#include "runtime/decision/phases.h"

namespace moe::decision {

/// Whether something asks which entry of the dispatch an expert has, beside this pass.
constexpr bool reads_entry_of(const Params& p) { return has_sites(p) || has_learner(p); }

/// A dispatch of one token, as decoding makes them, has each of its experts once: nothing is looked up, and what may be
/// wrong with it is asked once for all. False: something is unusual, and nothing has been decided yet.
MOE_INLINE bool collect_token(const Params& p, const State& s, const Input& in, const Output& out, uint64_t epoch) {
  const int32_t* __restrict const ids = in.ids;
  const float* __restrict const weights = in.weights;
  uint32_t* __restrict const expert = out.expert;
  uint32_t* __restrict const num_selections = out.num_selections;
  float* __restrict const weight = out.weight;
  uint32_t largest_id = 0;
  uint32_t largest_weight = 0;  // as bits, which ascend as weights do; -0 is above them all
  for (uint32_t k = 0; k < p.top_k; ++k) {
    const auto id = static_cast<uint32_t>(ids[k]);
    const auto bits = std::bit_cast<uint32_t>(weights[k]);
    largest_id = id > largest_id ? id : largest_id;
    largest_weight = bits > largest_weight ? bits : largest_weight;
    expert[k] = id;
    weight[k] = weights[k];
    num_selections[k] = 1;
  }
  if (largest_id >= p.num_experts || largest_weight > std::bit_cast<uint32_t>(FLT_MAX)) return false;
  uint64_t* const stamps = s.stamps();
  bool twice = false;
  for (uint32_t k = 0; k < p.top_k; ++k) {
    const auto id = static_cast<uint32_t>(ids[k]);
    twice |= stamps[id] == epoch;
    stamps[id] = epoch;
    if (reads_entry_of(p)) s.entry_of()[id] = k;
  }
  return !twice;
}

/// Any dispatch.
MOE_INLINE uint32_t collect_tokens(const Params& p, const State& s, const Input& in, const Output& out) {
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

/// Fills output's entries and the scratch entries; touches nothing that outlives the dispatch. Returns the number of
/// unique experts, or kNone when the dispatch is invalid. `arrays`: a copy of `out`.
MOE_INLINE uint32_t collect(const Params& p, const State& s, void* block, const Input& in, const Output& arrays,
                            Output& out) {
#ifdef MOE_CALLS_PHASES
  if (calls_windows(p)) return moe_phase_collect(&p, &moe_layout, block, &in, &out);
#endif
  if (in.num_tokens == 1 && in.weights != nullptr) {
    if (collect_token(p, s, in, arrays, ++s.header().epoch)) return p.top_k;
  }
#ifdef MOE_CALLS_PHASES
  return moe_phase_collect_tokens(&p, &moe_layout, block, &in, &out);
#else
  static_cast<void>(block);
  static_cast<void>(out);
  return collect_tokens(p, s, in, arrays);
#endif
}

}  // namespace moe::decision
