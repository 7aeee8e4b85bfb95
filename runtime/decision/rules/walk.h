// SPDX-License-Identifier: Apache-2.0
// Who leaves by a rule without queues, found by a walk over the residents: what such a rule goes by is kept of every
// resident. For `evict` of prefetch, where another rule than the cache's names who gives way, and for a | b, where each
// segment has its own.
#pragma once
#include "runtime/decision/lots.h"
#include "runtime/decision/rules/ranked.h"

namespace moe::decision {

/// Smallest leaves; order-preserving, as the ranks are. `site`: of least(E).
template <class Rule>
MOE_INLINE int64_t leaving_order(const Context<Rule>& ctx, Eviction rule, uint32_t site, uint32_t place) {
  const Resident& r = ctx.s.resident(place);
  switch (rule) {
    case Eviction::lru:
      return static_cast<int64_t>(r.last_use);
    case Eviction::lfu:
      return rank_of(ctx.s.freq()[place]);
    case Eviction::score:
      return Score::rank_of_resident(0, r.ema);
    case Eviction::freq_threshold:
      return ctx.s.counts()[r.key];
    case Eviction::least:
      return ascending_order(moe_evaluate(&ctx.frame, site, r.key, place, kNone));
    default:  // fifo
      return 0;
  }
}

/// `yes` or `no`, by arithmetic: compilers turn ?: into a branch where they please.
template <class T>
MOE_INLINE T select(bool condition, T yes, T no) {
  const T mask = static_cast<T>(-static_cast<int64_t>(condition));
  return static_cast<T>((yes & mask) | (no & ~mask));
}

/// The choice of random: by ascending key.
template <class Rule, class MayLeave>
inline uint32_t draw_leaver(Context<Rule>& ctx, uint32_t i, MayLeave may_leave) {
  const uint32_t keys = ctx.p.num_keys() / ctx.p.num_instances();
  const auto is_candidate = [&](uint32_t key) {
    const uint32_t place = ctx.s.place_of(key);
    return place != kNone && may_leave(place);
  };
  uint32_t num_candidates = 0;
  for (uint32_t key = i * keys; key < (i + 1) * keys; ++key) num_candidates += is_candidate(key);
  if (num_candidates == 0) return kNone;
  uint32_t left = Lots<Stream::evictions>::below(ctx.s.lots(), num_candidates);
  for (uint32_t key = i * keys;; ++key) {
    if (is_candidate(key) && left-- == 0) return ctx.s.place_of(key);
  }
}

/// Who leaves instance `i` by `rule` among those that may; kNone: nobody may. Ties: the earlier load. Who may leave and
/// who is less come as they please, so the walk chooses without branches.
template <class Rule, class MayLeave>
inline uint32_t find_by_walk(Context<Rule>& ctx, uint32_t i, Eviction rule, uint32_t site, MayLeave may_leave) {
  if (rule == Eviction::random) return draw_leaver(ctx, i, may_leave);
  const uint32_t first = ctx.s.first_place(i);
  uint32_t best = kNone;
  int64_t least = 0;
  uint64_t earliest = 0;
  for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
    const Resident& r = ctx.s.resident(place);
    if (r.key == kNone) continue;
    const bool may = may_leave(place);
    if (rule == Eviction::least && !may) continue;  // an expression costs more than a branch
    const int64_t order = leaving_order(ctx, rule, site, place);
    const bool is_less = (order < least) | ((order == least) & (r.load < earliest));
    const bool better = may & ((best == kNone) | is_less);
    best = select(better, place, best);
    least = select(better, order, least);
    earliest = select(better, r.load, earliest);
  }
  return best;
}

/// Who leaves instance `i` for a prefetch under the dispatch's `evict`, if an unpinned one may.
template <class Rule, class MayLeave>
inline uint32_t find_leaver(Context<Rule>& ctx, uint32_t i, MayLeave may_leave) {
  const Params& rules = ctx.rules();
  const auto rule = static_cast<Eviction>(rules.prefetch_evict);
  return find_by_walk(ctx, i, rule, rules.first_site + kSitePrefetchEvict,
                      [&](uint32_t place) { return (ctx.s.resident(place).flags & kPinned) == 0 && may_leave(place); });
}

}  // namespace moe::decision
