// SPDX-License-Identifier: Apache-2.0
// affinity: which experts of the next layer ran after the experts that ran now.
//
// Kept of each layer: how often each of its experts was followed by a dispatch of the next layer, and beside which of
// the next layer's experts; both fade. With a profile its shares are constants, only those above zero, and nothing is
// kept but the dispatch in hand.
#pragma once
#include "runtime/decision/predict/ranking.h"

namespace moe::decision {

struct AffinityState {
  uint32_t any;    ///< 1: a dispatch has run
  uint32_t layer;  ///< of the last one
  uint32_t num;    ///< of its experts: Affinity::last, ascending
  uint32_t reserved;
};

struct Affinity {
  /// Cost  (experts now) x (experts of the dispatch before); every decay_interval-th dispatch of a layer all its pairs.
  template <class Rule>
  static MOE_FOLDED void observe(Context<Rule>& ctx, const uint32_t* experts, uint32_t n) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    AffinityState& state = *s.at<AffinityState>(s.predict().affinity);
    uint32_t* const last = s.at<uint32_t>(s.predict().affinity_last);
    if ((p.profile & kProfileShares) == 0) {
      if (state.any != 0 && (state.layer + 1) % p.num_layers == ctx.layer) {
        double* const followed = s.at<double>(s.predict().followed) + size_t{state.layer} * p.num_experts;
        for (uint32_t a = 0; a < state.num; ++a) {
          followed[last[a]] += 1;
          double* const row = pairs(s, p, state.layer) + size_t{last[a]} * p.num_experts;
          for (uint32_t b = 0; b < n; ++b) row[experts[b]] += 1;
        }
      }
      fade(ctx);
    }
    state = {1, ctx.layer, 0, 0};
    for (uint32_t e = 0; e < p.num_experts; ++e) {  // ascending, and as fast for a batch that uses all of them
      last[state.num] = e;
      state.num += s.stamps()[e] == ctx.epoch;
    }
  }

  /// Writes what it names to the ranking; returns how many. Cost: (experts now) x num_experts.
  template <class Rule>
  static MOE_FOLDED uint32_t name(const Context<Rule>& ctx) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    const AffinityState& state = *s.at<AffinityState>(s.predict().affinity);
    if (state.num == 0) return 0;
    const uint32_t* const last = s.at<uint32_t>(s.predict().affinity_last);
    double* const sums = s.at<double>(s.predict().affinity_sums);
    for (uint32_t j = 0; j < p.num_experts; ++j) sums[j] = 0;
    for (uint32_t a = 0; a < state.num; ++a) add_shares(ctx, last[a], sums);
    const uint32_t next = (ctx.layer + 1) % p.num_layers * p.num_experts;
    Named* const ranking = ranking_of(s);
    uint32_t count = 0;
    for (uint32_t j = 0; j < p.num_experts; ++j) {
      const double predicted = sums[j] / static_cast<double>(state.num);
      ranking[count] = {predicted, predicted, next + j, j};
      count += static_cast<uint32_t>(predicted > 0) & static_cast<uint32_t>(predicted >= p.affinity_threshold);
    }
    return count;
  }

 private:
  static MOE_FOLDED double* pairs(const State& s, const Params& p, uint32_t layer) {
    return s.at<double>(s.predict().pairs) + size_t{layer} * p.num_experts * p.num_experts;
  }

  /// After the uses of `expert` by this layer: shares of the next layer's experts.
  template <class Rule>
  static MOE_FOLDED void add_shares(const Context<Rule>& ctx, uint32_t expert, double* sums) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    const size_t key = size_t{ctx.layer} * p.num_experts + expert;
    if ((p.profile & kProfileShares) != 0) {
      for (uint64_t at = p.share_rows[key]; at < p.share_rows[key + 1]; ++at)
        sums[p.share_followers[at]] += p.shares[at];
      return;
    }
    const double uses = s.at<double>(s.predict().followed)[key];
    if (!(uses > 0)) return;
    const double* const row = s.at<double>(s.predict().pairs) + key * p.num_experts;
    for (uint32_t j = 0; j < p.num_experts; ++j) sums[j] += row[j] / uses;
  }

  template <class Rule>
  static MOE_FOLDED void fade(const Context<Rule>& ctx) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    if (++s.at<uint64_t>(s.predict().affinity_dispatches)[ctx.layer] % p.decay_interval != 0) return;
    double* const followed = s.at<double>(s.predict().followed) + size_t{ctx.layer} * p.num_experts;
    for (uint32_t i = 0; i < p.num_experts; ++i) followed[i] *= p.frequency_decay;
    double* const counts = pairs(s, p, ctx.layer);
    for (size_t i = 0; i < size_t{p.num_experts} * p.num_experts; ++i) counts[i] *= p.frequency_decay;
  }
};

}  // namespace moe::decision
