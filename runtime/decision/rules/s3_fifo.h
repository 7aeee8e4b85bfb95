// SPDX-License-Identifier: Apache-2.0
// s3_fifo: J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO queues are all you need for cache eviction", SOSP
// 2023, section 4.1 and Algorithm 1.
#pragma once
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// Lists: the small queue, the main queue, the ghosts. A key's mark says where it is, and its hits.
///
/// Cost  a victim: O(1) amortised over the hits that moved members on, beside those that may not leave.
struct S3Fifo : QueueRule {
  enum List : uint32_t { kSmall, kMain, kGhost };
  static constexpr uint8_t kMaxHits = 3;     ///< two bits
  static constexpr uint8_t kHitsToStay = 2;  ///< "t.freq > 1"
  enum Mark : uint8_t { kHits = 3, kInSmall = 4, kInMain = 8, kInGhost = 12 };

  template <class Ctx>
  static MOE_INLINE void hit(Ctx& ctx, uint32_t, uint32_t key) {
    uint8_t& mark = ctx.s.marks()[key];
    if ((mark & kHits) < kMaxHits) ++mark;
  }

  /// The paper's EVICT. What runs dry, or may not leave, hands over to the other queue; everybody that could leave the
  /// small one may by then have moved to the main one.
  template <class Ctx, class MayLeave>
  static inline uint32_t victim(Ctx& ctx, uint32_t i, uint32_t, MayLeave may_leave) {
    const bool small_gives = key_list(ctx, i, kSmall).size() >= small_capacity(ctx, i);
    for (uint32_t turn = small_gives ? 0 : 1; turn < 4; ++turn) {
      const uint32_t found = turn % 2 == 0 ? victim_in_small(ctx, i, may_leave) : victim_in_main(ctx, i, may_leave);
      if (found != kNone) return found;
    }
    return kNone;
  }

  template <class Ctx>
  static MOE_INLINE void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    uint8_t* const marks = ctx.s.marks();
    const KeyList ghost = key_list(ctx, i, kGhost);
    const bool known = marks[key] == kInGhost;
    if (known) ghost.remove(key);
    key_list(ctx, i, known ? kMain : kSmall).push_back(key);
    marks[key] = known ? kInMain : kInSmall;
    // Only now: the newcomer's own ghost must not be pushed out by the victim that made place for it.
    resize(ctx, i);
  }

  template <class Ctx>
  static MOE_INLINE void resize(Ctx& ctx, uint32_t i) {
    const KeyList ghost = key_list(ctx, i, kGhost);
    const uint32_t most = ctx.capacity(i) - smaller(ctx.capacity(i), small_capacity(ctx, i));
    while (ghost.size() > most) ctx.s.marks()[ghost.pop_front()] = 0;
  }

  template <class Ctx>
  static MOE_INLINE void leave(Ctx& ctx, uint32_t i, uint32_t key, bool as_victim) {
    uint8_t& mark = ctx.s.marks()[key];
    const bool from_small = (mark & ~kHits) == kInSmall;
    key_list(ctx, i, from_small ? kSmall : kMain).remove(key);
    const bool remembered = from_small && as_victim;
    if (remembered) key_list(ctx, i, kGhost).push_back(key);
    mark = remembered ? kInGhost : 0;
  }

 private:
  template <class Ctx>
  static MOE_INLINE uint32_t small_capacity(const Ctx& ctx, uint32_t i) {
    return share_of(ctx.capacity(i), 10);
  }

  /// EVICTS, but for the evictions from the main queue on its way.
  template <class Ctx, class MayLeave>
  static MOE_INLINE uint32_t victim_in_small(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    uint8_t* const marks = ctx.s.marks();
    const KeyList small = key_list(ctx, i, kSmall);
    for (uint32_t at = small.begin(); at != small.end();) {
      const uint32_t oldest = at;
      at = small.next(at);
      if (!may_leave(oldest)) continue;
      if ((marks[oldest] & kHits) < kHitsToStay) return oldest;
      small.remove(oldest);
      key_list(ctx, i, kMain).push_back(oldest);
      marks[oldest] = kInMain;
    }
    return kNone;
  }

  /// EVICTM. Ends: who goes round has a hit less the next time.
  template <class Ctx, class MayLeave>
  static MOE_INLINE uint32_t victim_in_main(Ctx& ctx, uint32_t i, MayLeave may_leave) {
    uint8_t* const marks = ctx.s.marks();
    const KeyList main = key_list(ctx, i, kMain);
    for (uint32_t at = main.begin(); at != main.end();) {
      const uint32_t oldest = at;
      at = main.next(at);
      if (!may_leave(oldest)) continue;
      if ((marks[oldest] & kHits) == 0) return oldest;
      --marks[oldest];
      main.move_to_back(oldest);
      if (at == main.end()) at = oldest;  // the only one left that may leave
    }
    return kNone;
  }
};

}  // namespace moe::decision
