// SPDX-License-Identifier: Apache-2.0
// freq_threshold: an expert stays while its share of the last freq_window accesses reaches a threshold.
#pragma once
#include "runtime/decision/rules/rule.h"

namespace moe::decision {

struct FreqThreshold : RuleDefaults {
  static constexpr bool kThreshold = true;

  template <class Ctx>
  static MOE_INLINE bool reaches(const Ctx& ctx, uint32_t key) {
    return is_enough(ctx, ctx.s.counts()[key]);
  }

  /// Of the accesses in the window.
  template <class Ctx>
  static MOE_INLINE bool is_enough(const Ctx& ctx, uint32_t count) {
    const uint64_t accesses = ctx.s.instance(ctx.instance).accesses;
    const uint64_t length = accesses < ctx.p.freq_window ? accesses : ctx.p.freq_window;
    return static_cast<double>(count) / static_cast<double>(length) >= ctx.p.freq_threshold;
  }

  /// Residents below the threshold leave, smallest share first.
  template <class Ctx>
  static MOE_INLINE void leave_below(Ctx& ctx) {
    if (ctx.s.instance(ctx.instance).accesses == 0) return;
    while (is_somebody_below(ctx)) {
      const uint32_t place = pick(
          ctx, ctx.instance, [&ctx](uint32_t candidate) { return (ctx.s.resident(candidate).flags & kExempt) == 0; });
      if (place == kNone || reaches(ctx, ctx.s.resident(place).key)) return;
      ctx.evict(place);
    }
  }

  /// The smallest share decides: a pass without branches, as mostly nobody is below.
  template <class Ctx>
  static MOE_INLINE bool is_somebody_below(const Ctx& ctx) {
    const uint32_t* const counts = ctx.s.counts();
    const uint32_t first = ctx.s.first_place(ctx.instance);
    uint32_t least = UINT32_MAX;
    for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
      const Resident& r = ctx.s.resident(place);
      const bool stays = r.key == kNone || (r.flags & (kPinned | kExempt)) != 0;
      const uint32_t count = counts[r.key == kNone ? 0 : r.key];
      const uint32_t its = stays ? UINT32_MAX : count;
      least = its < least ? its : least;
    }
    return least != UINT32_MAX && !is_enough(ctx, least);
  }

  template <class Ctx, class MayLeave>
  static MOE_FOLDED uint32_t pick(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    const uint32_t* counts = ctx.s.counts();
    uint32_t best = kNone;
    const uint32_t first = ctx.s.first_place(i);
    for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
      const Resident& r = ctx.s.resident(place);
      if (r.key == kNone || (r.flags & kPinned) != 0) continue;
      if (best != kNone) {
        const Resident& b = ctx.s.resident(best);
        const bool before = counts[r.key] < counts[b.key] || (counts[r.key] == counts[b.key] && r.load < b.load);
        if (!before) continue;
      }
      if (may_leave(place)) best = place;
    }
    return best;
  }

  template <class Ctx>
  static MOE_INLINE uint32_t demand_victim(Ctx& ctx) {
    return pick(ctx, ctx.instance,
                [&ctx](uint32_t place) { return !ctx.selected(ctx.s.resident(place).key) && !ctx.is_coming(place); });
  }
};

}  // namespace moe::decision
