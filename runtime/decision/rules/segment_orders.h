// SPDX-License-Identifier: Apache-2.0
// Who leaves a segment of a | b by a rule without queues, for the misses and the moves of a dispatch whose experts are
// all protected: the first victim writes down everybody's order in both segments, the next ones are minima of the same
// numbers. What the dispatch selected is protected until its end, and the others' order changes only where they move.
#pragma once
#include "runtime/decision/rules/walk.h"

namespace moe::decision {

/// Whether a resident's order under the rule stays as it is while others are used.
constexpr bool has_lasting_order(uint32_t rule) {
  return rule == static_cast<uint32_t>(Eviction::lru) || rule == static_cast<uint32_t>(Eviction::fifo) ||
         rule == static_cast<uint32_t>(Eviction::lfu) || rule == static_cast<uint32_t>(Eviction::score);
}

/// Of the dispatch's instance. Scratch: valid from the first victim to the last miss, while ctx.ranked_all says so.
///
/// Cost  of the first victim: a pass over the places. Of each: two passes of vector minima.
template <class Rule>
class SegmentOrders {
 public:
  MOE_INLINE explicit SegmentOrders(Context<Rule>& ctx)
      : ctx_(ctx), first_(ctx.s.first_place(ctx.instance)), places_(padded_capacity(ctx.p)) {}

  /// Of the rules of this policy: whether a segment's victims are found so.
  static constexpr bool serves(const Params& p, uint32_t segment) {
    return p.protect_selected != 0 && p.one_by_one == 0 && !loads_arrive(p) && has_lasting_order(p.segments[segment]);
  }

  /// The place of who leaves `segment`; kNone: nobody may.
  MOE_INLINE uint32_t first(uint32_t segment) const {
    if (!ctx_.ranked_all) write_down();
    const uint32_t found = smallest_of(order(segment), tags(), places_);
    return found == kNone ? kNone : first_ + found;
  }

  /// Who was in the place has left it, for somebody who is selected.
  MOE_INLINE void forget(uint32_t place) const {
    for (uint32_t segment = 0; segment < 2; ++segment) {
      if (serves(ctx_.p, segment)) order(segment)[place - first_] = kNeverVictim;
    }
  }
  /// Who is in the place, and not selected, has come from the first segment into the second.
  MOE_INLINE void moved(uint32_t place) const {
    forget(place);
    if (!serves(ctx_.p, 1)) return;
    order(1)[place - first_] = order_in(1, place);
    tags()[place - first_] = tag_of(ctx_.s.resident(place).load, place - first_);
  }

 private:
  MOE_INLINE int64_t* order(uint32_t segment) const { return ctx_.s.segment_order() + segment * places_; }
  MOE_INLINE uint64_t* tags() const { return ctx_.s.segment_tags(); }
  MOE_INLINE int64_t order_in(uint32_t segment, uint32_t place) const {
    return leaving_order(ctx_, static_cast<Eviction>(ctx_.p.segments[segment]), kNone, place);
  }

  MOE_INLINE void write_down() const {
    ctx_.ranked_all = true;
    for (uint32_t j = 0; j < places_; ++j) {
      const Resident& r = ctx_.s.resident(first_ + j);
      const bool is_free = r.key == kNone;
      const uint32_t key = is_free ? 0 : r.key;
      const bool stays = is_free | ((r.flags & kPinned) != 0) | ctx_.selected(key);
      const uint32_t its = stays ? 2 : ctx_.s.segments()[key];
      tags()[j] = tag_of(r.load, j);
      for (uint32_t segment = 0; segment < 2; ++segment) {
        if (!serves(ctx_.p, segment)) continue;
        order(segment)[j] = select(its == segment, order_in(segment, first_ + j), kNeverVictim);
      }
    }
  }

  Context<Rule>& ctx_;
  uint32_t first_;
  size_t places_;
};

}  // namespace moe::decision
