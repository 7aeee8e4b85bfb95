// SPDX-License-Identifier: Apache-2.0
// lfu and score: the smallest rank leaves, ties by the earlier load. Ranks lie densely, so that the search is two
// passes of vector minima: a float argmin would not vectorise, order-preserving integers do.
#pragma once
#include "runtime/decision/rules/rule.h"

namespace moe::decision {

/// Ascending as the doubles are; -0 and +0 alike, NaN first.
MOE_INLINE int64_t ascending_order(double value) {
  const int64_t bits = std::bit_cast<int64_t>(value + 0.0);
  const int64_t ascending = bits ^ ((bits >> 63) & INT64_MAX);
  return value != value ? INT64_MIN : ascending;
}

/// What breaks ties of ranks, and says which place it was.
MOE_INLINE uint64_t tag_of(uint64_t load, uint32_t j) { return load << 28 | j; }

/// Which of `places` ranks is the smallest, ties by the smaller tag; kNone: all are kNeverVictim.
MOE_INLINE uint32_t smallest_of(const int64_t* rank, const uint64_t* tag, size_t places) {
  int64_t least = kNeverVictim;
  for (size_t j = 0; j < places; ++j) least = rank[j] < least ? rank[j] : least;
  if (least == kNeverVictim) return kNone;
  uint64_t first = UINT64_MAX;
  for (size_t j = 0; j < places; ++j) {
    const uint64_t candidate = rank[j] == least ? tag[j] : UINT64_MAX;
    first = candidate < first ? candidate : first;
  }
  return static_cast<uint32_t>(first & ((1u << 28) - 1));
}

struct Ranked : RuleDefaults {
  static constexpr bool kRanked = true;
  static constexpr bool kTagged = true;

  template <class Ctx>
  static MOE_INLINE uint32_t smallest(Ctx& ctx, uint32_t i) {
    const size_t places = padded_capacity(ctx.p);
    const uint32_t found = smallest_of(ctx.s.rank() + i * places, ctx.s.tag() + i * places, places);
    return found == kNone ? kNone : ctx.s.first_place(i) + found;
  }

  /// Protected experts carry kNeverVictim while a dispatch looks for victims.
  template <class Ctx>
  static MOE_INLINE uint32_t demand_victim(Ctx& ctx) {
    if (!loads_arrive(ctx.p)) return smallest(ctx, ctx.instance);
    return pick(ctx, ctx.instance, [&ctx](uint32_t place) { return !ctx.is_coming(place); });
  }

  template <class Ctx, class MayLeave>
  static MOE_FOLDED uint32_t pick(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    uint32_t best = smallest(ctx, i);  // mostly it may
    if (best == kNone || may_leave(best)) return best;
    best = kNone;
    const uint32_t first = ctx.s.first_place(i);
    for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
      const int64_t rank = ctx.s.rank()[place];
      if (rank == kNeverVictim) continue;
      const bool before = best == kNone || rank < ctx.s.rank()[best] ||
                          (rank == ctx.s.rank()[best] && ctx.s.resident(place).load < ctx.s.resident(best).load);
      if (before && may_leave(place)) best = place;
    }
    return best;
  }
};

/// Least frequently used, frequencies decaying with the instance's accesses.
struct Lfu : Ranked {
  /// Decay comes before the access itself is counted.
  template <class Ctx>
  static MOE_INLINE void on_access(Ctx& ctx, uint32_t, uint64_t access) {
    if (access % ctx.p.decay_interval != 0) return;
    const size_t places = padded_capacity(ctx.p);
    int64_t* rank = ctx.s.rank() + ctx.instance * places;
    const double decay = ctx.p.frequency_decay;
    for (size_t j = 0; j < places; ++j) {
      const double faded = value_of(rank[j]) * decay;
      rank[j] = rank[j] == kNeverVictim ? kNeverVictim : rank_of(faded);
    }
  }
  template <class Ctx>
  static MOE_INLINE int64_t rank_on_load(const Ctx&, double) {
    return rank_of(1.0);
  }
  static MOE_INLINE int64_t rank_on_prefetch(double) { return rank_of(0.0); }
  template <class Ctx>
  static MOE_INLINE int64_t rank_on_hit(const Ctx&, int64_t rank, double) {
    return rank == kNeverVictim ? rank : rank_of(value_of(rank) + 1.0);
  }
  static MOE_INLINE int64_t rank_of_resident(double freq, double) { return rank_of(freq); }
};

/// Smallest moving average of the router's weight.
struct Score : Ranked {
  template <class Ctx>
  static MOE_INLINE int64_t rank_on_load(const Ctx&, double weight) {
    return rank_of(weight);
  }
  static MOE_INLINE int64_t rank_on_prefetch(double predicted) { return rank_of(predicted); }
  template <class Ctx>
  static MOE_INLINE int64_t rank_on_hit(const Ctx&, int64_t rank, double ema) {
    return rank == kNeverVictim ? rank : rank_of_resident(0, ema);
  }
  /// A NaN before all numbers.
  static MOE_INLINE int64_t rank_of_resident(double, double ema) { return ema != ema ? -1 : rank_of(ema); }
};

}  // namespace moe::decision
