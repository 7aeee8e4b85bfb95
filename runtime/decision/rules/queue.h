// SPDX-License-Identifier: Apache-2.0
// What the rules with queues of their own share (sieve, s3_fifo, arc, lirs, w_tinylfu, random). docs/semantics.md,
// "Eviction rules", says what they decide.
//
// Such a rule provides, beside what QueueRule fills in, for instance `i` and in this order for an
// access:
//   hit(ctx, i, key)                      a resident was used
//   miss(ctx, i, key)                     `key` would be loaded, and may yet find no place
//   victim(ctx, i, newcomer, may_leave)   the key of the first in the rule's own order that may leave, or kNone;
//                                         `newcomer` is kNone under memory pressure. may_leave(key): whether it is
//                                         neither pinned nor protected
//   leave(ctx, i, key, as_victim)         `key` is no resident any more
//   insert(ctx, i, key)                   `key` is a resident now; also of pins and of what a swap takes over
//   resize(ctx, i)                        the instance has another capacity now
// Pinned residents are members as all others.
//
// Their queues are lists of keys, not of places: a ghost has no place. One node per key serves all lists of a rule, as
// a key is in one of them at most.
#pragma once
#include "runtime/decision/rules/rule.h"

namespace moe::decision {

struct QueueRule : RuleDefaults {
  static constexpr bool kQueue = true;
  static constexpr bool kHides = false;  ///< hide(ctx, i, key), anyone(ctx, i): see random

  template <class Ctx>
  static MOE_INLINE void miss(Ctx&, uint32_t, uint32_t) {}
  template <class Ctx>
  static MOE_INLINE void resize(Ctx&, uint32_t) {}
};

template <class Rule>
concept HidesProtected = requires { requires Rule::kHides; };

/// Keys from the one that leaves first to the one that came last.
///
/// Cost       every operation: O(1).
/// Memory     8 bytes per key, shared by the lists over one array of links.
/// Invariant  linked keys form a ring through the list's sentinel; `size` counts them. Of a key in no list the link's
///            `prev` is kNone.
class KeyList {
 public:
  MOE_INLINE KeyList(Link* links, uint32_t sentinel, uint32_t& size)
      : links_(links), sentinel_(sentinel), size_(size) {}
  MOE_INLINE uint32_t size() const { return size_; }
  MOE_INLINE uint32_t begin() const { return links_[sentinel_].next; }
  MOE_INLINE uint32_t end() const { return sentinel_; }
  MOE_INLINE uint32_t next(uint32_t key) const { return links_[key].next; }
  MOE_INLINE void push_back(uint32_t key) const {
    const uint32_t last = links_[sentinel_].prev;
    links_[key] = {last, sentinel_};
    links_[last].next = key;
    links_[sentinel_].prev = key;
    ++size_;
  }
  MOE_INLINE void remove(uint32_t key) const {
    const Link link = links_[key];
    links_[link.prev].next = link.next;
    links_[link.next].prev = link.prev;
    links_[key].prev = kNone;
    --size_;
  }
  MOE_INLINE void move_to_back(uint32_t key) const {
    remove(key);
    push_back(key);
  }
  /// The list must not be empty.
  MOE_INLINE uint32_t pop_front() const {
    const uint32_t key = begin();
    remove(key);
    return key;
  }
  template <class MayLeave>
  MOE_INLINE uint32_t first_that(MayLeave may_leave) const {
    for (uint32_t key = begin(); key != end(); key = next(key)) {
      if (may_leave(key)) return key;
    }
    return kNone;
  }

 private:
  Link* links_;
  uint32_t sentinel_;
  uint32_t& size_;
};

/// List `which` (below kMaxLists) of instance `i`.
template <class Ctx>
MOE_INLINE KeyList key_list(const Ctx& ctx, uint32_t i, uint32_t which) {
  return {ctx.s.links(), ctx.p.num_keys() + i * kMaxLists + which, ctx.s.queue(i).size[which]};
}

/// floor(percent of whole), at least 1.
constexpr uint32_t share_of(uint32_t whole, uint32_t percent) {
  const uint32_t share = static_cast<uint32_t>(uint64_t{whole} * percent / 100);
  return share > 0 ? share : 1;
}

constexpr uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/// Who leaves instance `i` for `newcomer`: the rule's first among the unpinned whose place may_leave accepts; kNone:
/// nobody may.
template <class Rule, class MayLeave>
MOE_INLINE uint32_t find_victim(Context<Rule>& ctx, uint32_t i, uint32_t newcomer, MayLeave may_leave) {
  if constexpr (Rule::kQueue) {
    const uint32_t key = Rule::victim(ctx, i, newcomer, [&](uint32_t member) {
      const uint32_t place = ctx.s.place_of(member);
      return (ctx.s.resident(place).flags & kPinned) == 0 && may_leave(place);
    });
    return key == kNone ? kNone : ctx.s.place_of(key);
  } else {
    return Rule::pick(ctx, i, may_leave);
  }
}

}  // namespace moe::decision
