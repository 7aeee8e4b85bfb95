// SPDX-License-Identifier: Apache-2.0
// lru and fifo: victims come from a ring, O(1) but for the experts that may not leave now.
#pragma once
#include "runtime/decision/rules/rule.h"

namespace moe::decision {

template <bool Touches>
struct OrderRule : RuleDefaults {
  static constexpr bool kOrder = true;
  static constexpr bool kTouches = Touches;

  template <class Ctx, class MayLeave>
  static MOE_INLINE uint32_t pick(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    const Ring ring = ctx.order(i);
    for (uint32_t place = ring.head(); place != ring.end(); place = ring.next(place)) {
      if (may_leave(place)) return place;
    }
    return kNone;
  }

  /// The victim of a demand load. Whoever was passed over in this dispatch stays selected until its end, so the walk
  /// goes on where the last one stopped. Under lru hits are not in the ring now, but for those that the host computes.
  template <class Ctx>
  static MOE_INLINE uint32_t demand_victim(Ctx& ctx) {
    const Ring ring = ctx.order(ctx.instance);
    uint32_t place = ctx.cursor == kNone ? ring.head() : ctx.cursor;
    const auto stays = [&ctx](uint32_t at) {
      const bool may_be_selected = !Touches || ctx.p.balance != 0;
      return (may_be_selected && ctx.selected(ctx.s.resident(at).key)) || ctx.is_coming(at);
    };
    while (place != ring.end() && stays(place)) place = ring.next(place);
    if (place == ring.end()) {
      ctx.cursor = place;
      return kNone;
    }
    ctx.cursor = ring.next(place);
    return place;
  }
};

using Lru = OrderRule<true>;
using Fifo = OrderRule<false>;

}  // namespace moe::decision
