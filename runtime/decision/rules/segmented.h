// SPDX-License-Identifier: Apache-2.0
// a | b: two segments, each with a rule and candidates of its own. docs/semantics.md, "Who leaves".
#pragma once
#include <type_traits>

#include "runtime/decision/rules/arc.h"
#include "runtime/decision/rules/lirs.h"
#include "runtime/decision/rules/s3_fifo.h"
#include "runtime/decision/rules/segment_orders.h"
#include "runtime/decision/rules/sieve.h"
#include "runtime/decision/rules/w_tinylfu.h"

namespace moe::decision {

/// Whom a newcomer replaces: the place of who leaves, and of who makes place in a by moving to b; kNone: nobody.
struct Vacancy {
  uint32_t leaver = kNone;
  uint32_t demoted = kNone;
};

/// Lets them go. Returns the place that is the newcomer's, who must take it.
template <class Rule>
MOE_INLINE uint32_t make_way(Context<Rule>& ctx, uint32_t i, const Vacancy& vacancy) {
  const uint32_t place = ctx.place_for_newcomer(i, vacancy.leaver);
  if constexpr (Rule::kSegmented) {
    if (i == ctx.instance) SegmentOrders(ctx).forget(place);
    if (vacancy.demoted != kNone) Rule::move(ctx, i, ctx.s.resident(vacancy.demoted).key, 1);
  }
  return place;
}

/// One segment, as a rule with queues sees an instance: its own lists, marks and counts, and its share of the places.
class Segment {
 public:
  struct Constants {
    uint32_t keys;
    Room room;  ///< only capacity_varies: a segment may hold more than its share
    constexpr uint32_t num_keys() const { return keys; }
  };
  class Queues {
   public:
    MOE_INLINE Queues(const Params& params, const State& state, uint32_t segment)
        : params_(params), state_(state), segment_(segment) {}
    MOE_INLINE QueueState& queue(uint32_t i) const { return state_.queue(segment_ * params_.num_instances() + i); }
    MOE_INLINE Link* links() const { return state_.links() + segment_ * num_list_nodes(params_); }
    MOE_INLINE Link* second_links() const { return state_.second_links() + segment_ * num_list_nodes(params_); }
    MOE_INLINE uint8_t* marks() const { return state_.marks() + size_t{segment_} * params_.num_keys(); }
    MOE_INLINE uint64_t* use_counts() const { return state_.use_counts() + size_t{segment_} * params_.num_keys(); }
    /// Of its members.
    MOE_INLINE uint32_t place_of(uint32_t key) const {
      return state_.segments()[key] == segment_ ? state_.place_of(key) : kNone;
    }

   private:
    const Params& params_;
    const State& state_;
    uint32_t segment_;
  };

  MOE_INLINE Segment(const Params& params, const State& state, uint32_t segment, uint32_t capacity)
      : p{params.num_keys(), {}}, s(params, state, segment), capacity_(capacity) {
    p.room.capacity_varies = kByRules;
  }
  MOE_INLINE uint32_t capacity(uint32_t) const { return capacity_; }

  Constants p;
  Queues s;

 private:
  uint32_t capacity_;
};

constexpr bool has_queues_of_its_own(uint32_t rule) {
  return rule >= static_cast<uint32_t>(Eviction::sieve) && rule <= static_cast<uint32_t>(Eviction::w_tinylfu);
}

/// Calls `use` with the rule, if it is one with queues.
template <class Use>
MOE_INLINE void with_queue_rule(uint32_t rule, Use use) {
  switch (static_cast<Eviction>(rule)) {
    case Eviction::sieve:
      return use(Sieve{});
    case Eviction::s3_fifo:
      return use(S3Fifo{});
    case Eviction::arc:
      return use(Arc{});
    case Eviction::lirs:
      return use(Lirs{});
    case Eviction::w_tinylfu:
      return use(WTinyLfu{});
    default:
      return;
  }
}

template <class Rule, class Queues>
MOE_INLINE void tell_rule(Rule rule, Queues& queues, QueueEvent event, uint32_t i, uint32_t key) {
  switch (event) {
    case QueueEvent::hit:
      return rule.hit(queues, i, key);
    case QueueEvent::miss:
      return rule.miss(queues, i, key);
    case QueueEvent::insert:
      return rule.insert(queues, i, key);
    case QueueEvent::leave:
    case QueueEvent::leave_as_victim:
      return rule.leave(queues, i, key, event == QueueEvent::leave_as_victim);
    case QueueEvent::resize:
      return rule.resize(queues, i);
  }
}

/// Two thirds of the places, at least one, and the rest.
MOE_INLINE uint32_t segment_capacity(uint32_t all, uint32_t segment) {
  const uint32_t share = static_cast<uint32_t>(uint64_t{all} * 2 / 3);
  const uint32_t first = share > 0 ? share : 1;
  return segment == 0 ? first : all - smaller(first, all);
}

template <class Use>
MOE_INLINE void in_segment(const Params& p, void* block, uint32_t i, uint32_t segment, Use use) {
  const State s(p, block);
  Segment queues(p, s, segment, segment_capacity(s.instance(i).capacity, segment));
  with_queue_rule(p.segments[segment], [&](auto rule) { use(rule, queues); });
}

inline void tell_segment(const Params& p, void* block, QueueEvent event, uint32_t i, uint32_t segment, uint32_t key) {
  in_segment(p, block, i, segment, [&](auto rule, auto& queues) { tell_rule(rule, queues, event, i, key); });
}

/// The key of who leaves among the places that s.may_leave() marks, or kNone.
inline uint32_t ask_segment(const Params& p, void* block, uint32_t i, uint32_t segment, uint32_t newcomer) {
  const State s(p, block);
  uint32_t found = kNone;
  in_segment(p, block, i, segment, [&](auto rule, auto& queues) {
    found = rule.victim(queues, i, newcomer, [&](uint32_t key) { return s.may_leave()[s.place_of(key)] != 0; });
  });
  return found;
}

// Each segment may have any of five rules with queues: what they do is compiled once, and called.
#ifdef MOE_KERNEL_BITCODE
extern "C" {
void moe_tell_segment(const Params* p, void* block, QueueEvent event, uint32_t i, uint32_t segment, uint32_t key);
uint32_t moe_ask_segment(const Params* p, void* block, uint32_t i, uint32_t segment, uint32_t newcomer);
}
#else
inline void moe_tell_segment(const Params* p, void* block, QueueEvent event, uint32_t i, uint32_t segment,
                             uint32_t key) {
  tell_segment(*p, block, event, i, segment, key);
}
inline uint32_t moe_ask_segment(const Params* p, void* block, uint32_t i, uint32_t segment, uint32_t newcomer) {
  return ask_segment(*p, block, i, segment, newcomer);
}
#endif

/// Who may leave for an expert of the dispatch.
template <class Ctx>
struct MayLeaveForDemand {
  const Ctx& ctx;
  MOE_INLINE bool operator()(uint32_t place) const {
    const bool is_protected = ctx.p.protect_selected != 0 && ctx.selected(ctx.s.resident(place).key);
    return !is_protected && !ctx.is_coming(place);
  }
};

/// A key's segment is 0 or 1, or kNowhere while it is in neither.
///
/// Cost  of a victim: a walk over the residents, or what the segment's queues cost.
struct Segmented : QueueRule {
  static constexpr bool kSegmented = true;
  static constexpr uint8_t kNowhere = 2;

  template <class Ctx>
  static MOE_INLINE uint32_t capacity(const Ctx& ctx, uint32_t i, uint32_t segment) {
    return segment_capacity(ctx.capacity(i), segment);
  }

  /// A hit in b goes to a, whose victim goes to b; when nobody may leave a it stays.
  template <class Ctx>
  static inline void hit(Ctx& ctx, uint32_t i, uint32_t key) {
    const uint32_t segment = ctx.s.segments()[key];
    tell(ctx, QueueEvent::hit, i, segment, key);
    if (segment == 0) return;
    if (ctx.s.instance(i).in_segment[0] < capacity(ctx, i, 0)) return move(ctx, i, key, 0);
    const uint32_t demoted = choose(ctx, i, 0, key, MayLeaveForDemand{ctx});
    if (demoted == kNone) return;
    move(ctx, i, key, 0);
    move(ctx, i, ctx.s.resident(demoted).key, 1);
  }

  template <class Ctx>
  static inline void miss(Ctx& ctx, uint32_t i, uint32_t key) {
    tell(ctx, QueueEvent::miss, i, 0, key);
  }

  /// Who leaves the whole cache: of b, while anybody there may.
  template <class Ctx, class MayLeave>
  static inline uint32_t victim(Ctx& ctx, uint32_t i, uint32_t, MayLeave may_leave) {
    const auto by_place = [&](uint32_t place) { return may_leave(ctx.s.resident(place).key); };
    uint32_t place = choose(ctx, i, 1, kNone, by_place);
    if (place == kNone) place = choose(ctx, i, 0, kNone, by_place);
    return place == kNone ? kNone : ctx.s.resident(place).key;
  }

  /// Where a newcomer would go. `of_second(may_leave)` names who leaves b when both are full: the segment's own rule
  /// is asked where it is null. False: nowhere.
  template <class Ctx, class MayLeave, class Instead>
  static inline bool find_vacancy(Ctx& ctx, uint32_t i, uint32_t key, MayLeave may_leave, bool has_instead,
                                  Instead instead, Vacancy& vacancy) {
    const Instance& instance = ctx.s.instance(i);
    if (instance.in_segment[0] < capacity(ctx, i, 0)) {
      if (instance.num_free > 0) return true;
      vacancy.leaver = choose(ctx, i, 1, key, may_leave);  // b holds more than its part
      return vacancy.leaver != kNone;
    }
    const uint32_t demoted = choose(ctx, i, 0, key, may_leave);
    if (demoted == kNone) return false;
    vacancy.demoted = demoted;
    if (instance.in_segment[1] < capacity(ctx, i, 1)) return true;
    vacancy.leaver = has_instead ? instead([&](uint32_t place) { return is_in(ctx, place, 1) && may_leave(place); })
                                 : choose(ctx, i, 1, ctx.s.resident(demoted).key, may_leave);
    if (vacancy.leaver == kNone) vacancy = {demoted, kNone};  // a's victim leaves at once
    return true;
  }

  /// Into a, or into b when a is full: pins and the like.
  template <class Ctx>
  static inline void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    insert_into(ctx, i, key, ctx.s.instance(i).in_segment[0] < capacity(ctx, i, 0) ? 0 : 1);
  }

  template <class Ctx>
  static inline void insert_into(Ctx& ctx, uint32_t i, uint32_t key, uint32_t segment) {
    ctx.s.segments()[key] = static_cast<uint8_t>(segment);
    ++ctx.s.instance(i).in_segment[segment];
    tell(ctx, QueueEvent::insert, i, segment, key);
  }

  template <class Ctx>
  static inline void leave(Ctx& ctx, uint32_t i, uint32_t key, bool as_victim) {
    const uint32_t segment = ctx.s.segments()[key];
    ctx.s.segments()[key] = kNowhere;
    --ctx.s.instance(i).in_segment[segment];
    tell(ctx, as_victim ? QueueEvent::leave_as_victim : QueueEvent::leave, i, segment, key);
  }

  template <class Ctx>
  static inline void resize(Ctx& ctx, uint32_t i) {
    for (uint32_t segment = 0; segment < 2; ++segment) tell(ctx, QueueEvent::resize, i, segment, kNone);
  }

  /// After a smaller capacity: what does not fit into a any more goes to b.
  template <class Ctx>
  static inline void shrink(Ctx& ctx, uint32_t i) {
    while (ctx.s.instance(i).in_segment[0] > capacity(ctx, i, 0)) {
      const uint32_t place = choose_any(ctx, i);
      if (place == kNone) return;
      move(ctx, i, ctx.s.resident(place).key, 1);
    }
  }

  /// Entering a segment counts as a load there.
  template <class Ctx>
  static inline void move(Ctx& ctx, uint32_t i, uint32_t key, uint32_t segment) {
    leave(ctx, i, key, /*as_victim=*/segment == 1);
    const uint32_t place = ctx.s.place_of(key);
    ctx.s.resident(place).load = ++ctx.s.header().load_counter;
    if (keeps(ctx.p, kKeepsFreq)) ctx.s.freq()[place] = 1;
    tell(ctx, QueueEvent::miss, i, segment, key);
    insert_into(ctx, i, key, segment);
    if (segment == 1 && i == ctx.instance) SegmentOrders(ctx).moved(place);
  }

 private:
  template <class Ctx>
  static MOE_INLINE bool is_in(const Ctx& ctx, uint32_t place, uint32_t segment) {
    const uint32_t key = ctx.s.resident(place).key;
    return key != kNone && ctx.s.segments()[key] == segment;
  }

  template <class Ctx>
  static MOE_INLINE void tell(const Ctx& ctx, QueueEvent event, uint32_t i, uint32_t segment, uint32_t key) {
    if (has_queues_of_its_own(ctx.p.segments[segment]))
      moe_tell_segment(&ctx.p, ctx.frame.block, event, i, segment, key);
  }

  /// The place of who leaves a segment by its own rule, if an unpinned one may.
  template <class Ctx, class MayLeave>
  static inline uint32_t choose(Ctx& ctx, uint32_t i, uint32_t segment, uint32_t newcomer, MayLeave may_leave) {
    if constexpr (std::is_same_v<MayLeave, MayLeaveForDemand<Ctx>>) {
      if (SegmentOrders(ctx).serves(ctx.p, segment)) return SegmentOrders(ctx).first(segment);
    }
    return choose_by(ctx, i, segment, newcomer, [&](uint32_t place) {
      const bool may = may_leave(place);
      return ((ctx.s.resident(place).flags & kPinned) == 0) & may;
    });
  }

  /// Of a, pinned or not.
  template <class Ctx>
  static inline uint32_t choose_any(Ctx& ctx, uint32_t i) {
    return choose_by(ctx, i, 0, kNone, [](uint32_t) { return true; });
  }

  template <class Ctx, class MayLeave>
  static MOE_INLINE uint32_t choose_by(Ctx& ctx, uint32_t i, uint32_t segment, uint32_t newcomer, MayLeave may_leave) {
    const uint32_t rule = ctx.p.segments[segment];
    if (!has_queues_of_its_own(rule)) {
      const uint32_t site = ctx.p.first_site + (segment == 0 ? kSiteLeast : kSiteSecondLeast);
      return find_by_walk(ctx, i, static_cast<Eviction>(rule), site, [&](uint32_t place) {
        const uint32_t key = ctx.s.resident(place).key;
        const bool may = may_leave(place);
        return (ctx.s.segments()[key] == segment) & may;
      });
    }
    const uint32_t first = ctx.s.first_place(i);
    for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
      ctx.s.may_leave()[place] = is_in(ctx, place, segment) && may_leave(place);
    }
    const uint32_t found = moe_ask_segment(&ctx.p, ctx.frame.block, i, segment, newcomer);
    return found == kNone ? kNone : ctx.s.place_of(found);
  }
};

}  // namespace moe::decision
