// SPDX-License-Identifier: Apache-2.0
// affinity: which experts of the next layer ran after the experts that ran now.
//
// Kept of each layer: how often each of its experts was followed by a dispatch of the next layer, and beside which of
// the next layer's experts; both fade. With a profile its shares are constants, only those above zero, and nothing is
// kept but the dispatch in hand.
#pragma once
#include <bit>

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
    state = {1, ctx.layer, list_ascending(p, experts, n, last), 0};
  }

  /// Writes what it names to the ranking; returns how many. Shares are divided for those only whose sum may reach the
  /// threshold. Cost: (experts now) x num_experts.
  template <class Rule>
  static MOE_FOLDED uint32_t name(const Context<Rule>& ctx) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    const AffinityState& state = *s.at<AffinityState>(s.predict().affinity);
    if (state.num == 0) return 0;
    double* const sums = s.at<double>(s.predict().affinity_sums);
    for (uint32_t j = 0; j < p.num_experts; ++j) sums[j] = 0;
    const bool exact = (p.profile & kProfileShares) != 0 || p.affinity_threshold < kLeastThreshold;
    add_shares(ctx, state, sums, exact);
    const double num = static_cast<double>(state.num);
    const double least = exact ? 0.0 : p.affinity_threshold * num * (1 - 1e-9);
    const uint32_t next = (ctx.layer + 1) % p.num_layers * p.num_experts;
    Named* const ranking = ranking_of(s);
    uint32_t num_close = 0;
    for (uint32_t j = 0; j < p.num_experts; ++j) {
      ranking[num_close].order = j;
      num_close += static_cast<uint32_t>(!(sums[j] < least));
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < num_close; ++i) {
      const uint32_t j = ranking[i].order;
      const double sum = exact ? sums[j] : sum_of_shares(ctx, state, j);
      const double predicted = sum / num;
      ranking[count] = {predicted, predicted, next + j, j};
      count += static_cast<uint32_t>(predicted > 0) & static_cast<uint32_t>(predicted >= p.affinity_threshold);
    }
    return count;
  }

 private:
  static MOE_FOLDED double* pairs(const State& s, const Params& p, uint32_t layer) {
    return s.at<double>(s.predict().pairs) + size_t{layer} * p.num_experts * p.num_experts;
  }

  /// The `n` experts in ascending order; returns n.
  static MOE_FOLDED uint32_t list_ascending(const Params& p, const uint32_t* experts, uint32_t n, uint32_t* list) {
    uint32_t num = 0;
    for (uint32_t first = 0; first < p.num_experts && num < n; first += 64) {
      uint64_t bits = 0;
      for (uint32_t j = 0; j < n; ++j) {
        const uint64_t bit = uint64_t{1} << (experts[j] % 64);
        bits |= experts[j] - first < 64 ? bit : 0;  // wraps for lower ones
      }
      for (; bits != 0; bits &= bits - 1) list[num++] = first + static_cast<uint32_t>(std::countr_zero(bits));
    }
    return num;
  }

  /// Below it sums are worked out as they are, so that what is close to it is far from where doubles end.
  static constexpr double kLeastThreshold = 1e-100;

  /// Shares of the next layer's experts after the uses of this layer's. Not `exact`: by reciprocals, one division for a
  /// whole row. Each share is off by less than 4 units of 2^-53 then, and a sum of up to 65,536 shares by less than
  /// 1e-10 of it.
  template <class Rule>
  static MOE_FOLDED void add_shares(const Context<Rule>& ctx, const AffinityState& state, double* sums, bool exact) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    const uint32_t* const last = s.at<uint32_t>(s.predict().affinity_last);
    for (uint32_t a = 0; a < state.num; ++a) {
      const size_t key = size_t{ctx.layer} * p.num_experts + last[a];
      if ((p.profile & kProfileShares) != 0) {
        for (uint64_t at = p.share_rows[key]; at < p.share_rows[key + 1]; ++at)
          sums[p.share_followers[at]] += p.shares[at];
        continue;
      }
      const double uses = s.at<double>(s.predict().followed)[key];
      if (!(uses > 0)) continue;
      const double* const row = s.at<double>(s.predict().pairs) + key * p.num_experts;
      if (exact) {
        for (uint32_t j = 0; j < p.num_experts; ++j) sums[j] += row[j] / uses;
      } else {
        const double part = 1 / uses;
        for (uint32_t j = 0; j < p.num_experts; ++j) sums[j] += row[j] * part;
      }
    }
  }

  /// The exact sum of one of the next layer's experts, where the state has the counts.
  template <class Rule>
  static MOE_FOLDED double sum_of_shares(const Context<Rule>& ctx, const AffinityState& state, uint32_t expert) {
    const Params& p = ctx.p;
    const State& s = ctx.s;
    const uint32_t* const last = s.at<uint32_t>(s.predict().affinity_last);
    double sum = 0;
    for (uint32_t a = 0; a < state.num; ++a) {
      const size_t key = size_t{ctx.layer} * p.num_experts + last[a];
      const double uses = s.at<double>(s.predict().followed)[key];
      const double share = s.at<double>(s.predict().pairs)[key * p.num_experts + expert] / uses;
      sum += uses > 0 ? share : 0.0;
    }
    return sum;
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
