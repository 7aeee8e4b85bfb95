// SPDX-License-Identifier: Apache-2.0
// least(E): the smallest value of an expression leaves, a NaN before all numbers, ties by the earlier load.
//
// A search is two loops. The first evaluates E for every place and writes order-preserving integers: it has no branch
// but what E calls, so it vectorises over the candidates. The second is the ranked rules' search of a minimum.
#pragma once
#include "runtime/decision/expression.h"
#include "runtime/decision/rules/ranked.h"

namespace moe::decision {

struct Least : RuleDefaults {
  static constexpr bool kTagged = true;
  static constexpr bool kRemembersRanks = true;

  /// Evaluates E for everybody in instance `i` who may leave.
  template <class Ctx, class MayLeave>
  static MOE_INLINE void rank_all(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    const uint32_t first = ctx.s.first_place(i);
    const auto places = static_cast<uint32_t>(padded_capacity(ctx.p));
    int64_t* const rank = ctx.s.rank() + first;
#ifdef __clang__  // E reads by key, which no bound checks: only we know that it never reads the ranks
#pragma clang loop vectorize(assume_safety)
#endif
    for (uint32_t j = 0; j < places; ++j) {
      const Resident& r = ctx.s.resident(first + j);
      const bool stays = r.key == kNone || (r.flags & kPinned) != 0 || !may_leave(first + j);
      const uint32_t key = r.key == kNone ? 0 : r.key;
      const int64_t order =
          ascending_order(moe_evaluate(&ctx.frame, ctx.p.first_site + kSiteLeast, key, first + j, kNone));
      rank[j] = stays ? kNeverVictim : order;
    }
  }

  template <class Ctx, class MayLeave>
  static MOE_FOLDED uint32_t pick(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    rank_all(ctx, i, may_leave);
    return Ranked::smallest(ctx, i);
  }

  /// The first victim of a dispatch ranks all, and the next ones are searched in the same ranks: what E reads of who is
  /// not selected does not change until the last miss. Newcomers are selected: the kernel hides their places.
  template <class Ctx>
  static MOE_INLINE uint32_t demand_victim(Ctx& ctx) {
    if (!ctx.ranked_all || keeps(ctx.p, kLeastVaries)) {
      rank_all(ctx, ctx.instance,
               [&ctx](uint32_t place) { return !ctx.selected(ctx.s.resident(place).key) && !ctx.is_coming(place); });
      ctx.ranked_all = true;
    }
    return Ranked::smallest(ctx, ctx.instance);
  }
};

}  // namespace moe::decision
