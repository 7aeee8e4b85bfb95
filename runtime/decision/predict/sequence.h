// SPDX-License-Identifier: Apache-2.0
// sequence: the past request whose expert counts look most like this one's says how this one goes on. MoE-Infinity
// (arXiv 2401.14361).
//
// A dispatch of a layer changes only that layer's row of the request, so the cosines of each row with those of all
// stored requests are kept, and matching is a sum of them.
#pragma once
#include "runtime/decision/predict/ranking.h"
#include "runtime/decision/predict/similar.h"

namespace moe::decision {

struct SequenceState {
  uint32_t any;         ///< 1: the request has a selection
  uint32_t num_stored;  ///< places from 0 on
  uint32_t best;        ///< the last match; nobody's while nothing is stored
  uint32_t reserved;
};

/// Counts are doubles: whole numbers, exact below 2^53.
class Sequence {
 public:
  MOE_FOLDED Sequence(const Params& p, const State& s) : p_(p), s_(s), at_(s.predict()) {}

  /// Cost  (experts now + layers to come) x store; at the end of a request all of its counts once.
  MOE_FOLDED void observe(uint32_t layer, const Output& out, uint32_t n) const {
    if (s_.header().new_request != 0) finish();
    double* const row = current() + size_t{layer} * p_.num_experts;
    for (uint32_t j = 0; j < n; ++j) row[out.expert[j]] += out.num_selections[j];
    state().any |= n != 0;
    if (state().num_stored == 0) return;
    double* const cosines = by_place(at_.sequence_cosines, layer);
    for (uint32_t s = 0; s < p_.store; ++s) cosines[s] = 0;
    add_products(row, p_.num_experts, stored(layer), p_.store, cosines);
    const double norm = add_squares(row, p_.num_experts, 0);
    to_cosines(cosines, norm, by_place(at_.sequence_norms, layer), p_.store, cosines);
    match(layer);
  }

  /// Writes what it names to the ranking; returns how many.
  MOE_FOLDED uint32_t name(uint32_t layer) const {
    if (state().num_stored == 0) return 0;
    Named* const ranking = ranking_of(s_);
    const uint32_t left = p_.num_layers - 1 - layer;
    const uint32_t reach = p_.lookahead < left ? p_.lookahead : left;
    uint32_t count = 0;
    for (uint32_t ahead = 1; ahead <= reach; ++ahead) {
      const uint32_t target = layer + ahead;
      const double* const counts = stored(target) + state().best;
      double total = 0;
      for (uint32_t e = 0; e < p_.num_experts; ++e) total += counts[size_t{e} * p_.store];
      const double nearness = 1.0 - static_cast<double>(ahead) / static_cast<double>(p_.num_layers + 1);
      for (uint32_t e = 0; e < p_.num_experts; ++e) {
        const double selections = counts[size_t{e} * p_.store];
        if (selections == 0) continue;
        const double priority = selections * nearness;
        ranking[count] = {priority, priority / total, target * p_.num_experts + e, count};
        ++count;
      }
    }
    return count;
  }

 private:
  MOE_FOLDED SequenceState& state() const { return *s_.at<SequenceState>(at_.sequence); }
  MOE_FOLDED double* current() const { return s_.at<double>(at_.sequence_counts); }
  /// [expert][place]
  MOE_FOLDED double* stored(uint32_t layer) const {
    return s_.at<double>(at_.sequence_store) + size_t{layer} * p_.num_experts * p_.store;
  }
  MOE_FOLDED double* by_place(size_t offset, uint32_t layer) const {
    return s_.at<double>(offset) + size_t{layer} * p_.store;
  }
  MOE_FOLDED uint64_t* matches() const { return s_.at<uint64_t>(at_.sequence_matches); }

  /// The largest sum of cosines over the layers after `layer`.
  MOE_FOLDED void match(uint32_t layer) const {
    double* const sums = s_.at<double>(at_.sequence_sums);
    for (uint32_t s = 0; s < p_.store; ++s) sums[s] = 0;
    for (uint32_t l = layer + 1; l < p_.num_layers; ++l) {
      const double* const cosines = by_place(at_.sequence_cosines, l);
      MOE_EACH_OUTPUT
      for (uint32_t s = 0; s < p_.store; ++s) sums[s] += cosines[s];
    }
    state().best = first_largest(sums, state().num_stored);
    ++matches()[state().best];
  }

  /// The request has ended: its counts take a free place, or that of the least often matched.
  MOE_FOLDED void finish() const {
    if (state().any == 0) return;
    uint32_t place = state().num_stored;
    if (place < p_.store) {
      ++state().num_stored;
    } else {
      place = 0;
      for (uint32_t s = 1; s < p_.store; ++s) place = matches()[s] < matches()[place] ? s : place;
    }
    for (uint32_t l = 0; l < p_.num_layers; ++l) {
      double* const row = current() + size_t{l} * p_.num_experts;
      by_place(at_.sequence_norms, l)[place] = add_squares(row, p_.num_experts, 0);
      double* const cosines = by_place(at_.sequence_cosines, l);
      for (uint32_t s = 0; s < p_.store; ++s) cosines[s] = 0;  // with a request that has not begun
      for (uint32_t e = 0; e < p_.num_experts; ++e) {
        stored(l)[size_t{e} * p_.store + place] = row[e];
        row[e] = 0;
      }
    }
    matches()[place] = 1;
    state().any = 0;
  }

  const Params& p_;
  const State& s_;
  const PredictLayout& at_;
};

}  // namespace moe::decision
