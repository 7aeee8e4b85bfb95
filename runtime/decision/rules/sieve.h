// SPDX-License-Identifier: Apache-2.0
// sieve: Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi, "SIEVE is Simpler than LRU", NSDI 2024, Algorithm 1.
#pragma once
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// One list by time of entry. A key's mark is its visited bit; the hand stands at a member, or at the list's end for
/// "at the oldest".
///
/// Cost  a victim: the members passed; each had its bit set by a hit, or may not leave.
struct Sieve : QueueRule {
  template <class Ctx>
  static MOE_INLINE void hit(Ctx& ctx, uint32_t, uint32_t key) {
    ctx.s.marks()[key] = 1;
  }

  template <class Ctx, class MayLeave>
  static inline uint32_t victim(Ctx& ctx, uint32_t i, uint32_t, MayLeave may_leave) {
    const KeyList queue = key_list(ctx, i, 0);
    QueueState& state = ctx.s.queue(i);
    uint8_t* const visited = ctx.s.marks();
    const auto wrapped = [&](uint32_t at) { return at == queue.end() ? queue.begin() : at; };
    // If nobody may leave, the hand stays.
    uint32_t at = state.hand;
    uint32_t unseen = queue.size();
    for (; unseen > 0; --unseen, at = queue.next(at)) {
      at = wrapped(at);
      if (may_leave(at)) break;
    }
    if (unseen == 0) return kNone;
    // Ends within two rounds: the first one clears the bits of all that may leave.
    for (;; at = wrapped(queue.next(at))) {
      if (!may_leave(at)) continue;
      if (visited[at] == 0) break;
      visited[at] = 0;
    }
    state.hand = at;
    return at;
  }

  template <class Ctx>
  static MOE_INLINE void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    ctx.s.marks()[key] = 0;
    key_list(ctx, i, 0).push_back(key);
  }

  template <class Ctx>
  static MOE_INLINE void leave(Ctx& ctx, uint32_t i, uint32_t key, bool) {
    const KeyList queue = key_list(ctx, i, 0);
    uint32_t& hand = ctx.s.queue(i).hand;
    if (hand == key) hand = queue.next(key);
    queue.remove(key);
  }
};

}  // namespace moe::decision
