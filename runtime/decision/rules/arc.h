// SPDX-License-Identifier: Apache-2.0
// arc: N. Megiddo, D. S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, Figure 4.
#pragma once
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// Lists: T1, T2, B1, B2, each in order of last use. A key's mark is 1 + its list, 0 for none; `target` is the paper's
/// p.
///
/// Cost       O(1) beside passing over those that may not leave.
/// Invariant  |T1| + |B1| <= c and all four <= 2c.
struct Arc : QueueRule {
  enum List : uint32_t { kOnce, kAgain, kOnceGhosts, kAgainGhosts };

  /// Case I.
  template <class Ctx>
  static MOE_INLINE void hit(Ctx& ctx, uint32_t i, uint32_t key) {
    move_to(ctx, i, key, kAgain);
  }

  /// Cases II and III: the adaptation. The ghost stays until the key really enters.
  template <class Ctx>
  static MOE_INLINE void miss(Ctx& ctx, uint32_t i, uint32_t key) {
    const uint8_t mark = ctx.s.marks()[key];
    const double b1 = static_cast<double>(key_list(ctx, i, kOnceGhosts).size());
    const double b2 = static_cast<double>(key_list(ctx, i, kAgainGhosts).size());
    double& target = ctx.s.queue(i).target;
    const double most = static_cast<double>(ctx.capacity(i));
    if (mark == 1 + kOnceGhosts) {
      const double more = target + (b2 / b1 > 1.0 ? b2 / b1 : 1.0);
      target = more < most ? more : most;
    } else if (mark == 1 + kAgainGhosts) {
      const double less = target - (b1 / b2 > 1.0 ? b1 / b2 : 1.0);
      target = less > 0.0 ? less : 0.0;
    }
  }

  /// REPLACE. When the list that it points at has nobody who may leave, the other one gives.
  template <class Ctx, class MayLeave>
  static inline uint32_t victim(Ctx& ctx, uint32_t i, uint32_t newcomer, MayLeave may_leave) {
    const double size = static_cast<double>(key_list(ctx, i, kOnce).size());
    const double target = ctx.s.queue(i).target;
    const bool known = newcomer != kNone && ctx.s.marks()[newcomer] == 1 + kAgainGhosts;
    const bool from_once = size > target || (size == target && known);
    for (uint32_t turn = 0; turn < 2; ++turn) {
      const uint32_t found = key_list(ctx, i, (turn == 0) == from_once ? kOnce : kAgain).first_that(may_leave);
      if (found != kNone) return found;
    }
    return kNone;
  }

  template <class Ctx>
  static MOE_INLINE void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    move_to(ctx, i, key, ctx.s.marks()[key] != 0 ? kAgain : kOnce);
    trim_ghosts(ctx, i);
  }

  template <class Ctx>
  static MOE_INLINE void leave(Ctx& ctx, uint32_t i, uint32_t key, bool as_victim) {
    uint8_t& mark = ctx.s.marks()[key];
    if (as_victim) {
      move_to(ctx, i, key, mark == 1 + kOnce ? kOnceGhosts : kAgainGhosts);
    } else {
      forget(ctx, i, key);
    }
    trim_ghosts(ctx, i);
  }

  template <class Ctx>
  static MOE_INLINE void resize(Ctx& ctx, uint32_t i) {
    double& target = ctx.s.queue(i).target;
    const double most = static_cast<double>(ctx.capacity(i));
    target = target < most ? target : most;
    trim_ghosts(ctx, i);
  }

 private:
  template <class Ctx>
  static MOE_INLINE void forget(Ctx& ctx, uint32_t i, uint32_t key) {
    uint8_t& mark = ctx.s.marks()[key];
    key_list(ctx, i, mark - 1u).remove(key);
    mark = 0;
  }

  template <class Ctx>
  static MOE_INLINE void move_to(Ctx& ctx, uint32_t i, uint32_t key, List list) {
    if (ctx.s.marks()[key] != 0) forget(ctx, i, key);
    key_list(ctx, i, list).push_back(key);
    ctx.s.marks()[key] = static_cast<uint8_t>(1 + list);
  }

  /// What case IV does before it replaces, done after the insertion: the same ghosts remain, also when places were
  /// free.
  template <class Ctx>
  static MOE_INLINE void trim_ghosts(Ctx& ctx, uint32_t i) {
    const uint32_t* const size = ctx.s.queue(i).size;
    const uint64_t c = ctx.capacity(i);
    while (size[kOnceGhosts] != 0 && uint64_t{size[kOnce]} + size[kOnceGhosts] > c) {
      forget(ctx, i, key_list(ctx, i, kOnceGhosts).begin());
    }
    while (size[kAgainGhosts] != 0 &&
           uint64_t{size[kOnce]} + size[kOnceGhosts] + size[kAgain] + size[kAgainGhosts] > 2 * c) {
      forget(ctx, i, key_list(ctx, i, kAgainGhosts).begin());
    }
  }
};

}  // namespace moe::decision
