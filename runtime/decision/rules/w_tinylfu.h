// SPDX-License-Identifier: Apache-2.0
// w_tinylfu: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions
// on Storage 13(4), 2017: sections 3.2-3.4 (counters and their aging), 4 (the window and the segmented main part).
#pragma once
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// Lists: the window, probation, the protected segment, each in order of last use.
///
/// A key's use count holds, from the low end, 4 bits of count, 4 of its list (1 + list, 0 for none), and the number of
/// halvings when the count was written. Who reads it makes up for those since: halving rounds down, so that k of them
/// are one shift by k, and aging costs nothing for the keys that nobody asks for.
///
/// Cost  O(1) beside passing over those that may not leave.
struct WTinyLfu : QueueRule {
  enum List : uint32_t { kWindow, kProbation, kProtected };
  static constexpr uint64_t kMaxCount = 15;          ///< four bits
  static constexpr uint64_t kAccessesPerPlace = 10;  ///< between two halvings

  template <class Ctx>
  static MOE_INLINE void hit(Ctx& ctx, uint32_t i, uint32_t key) {
    count(ctx, i, key);
    const uint32_t list = list_of(ctx, key);
    move_to(ctx, i, key, list == kWindow ? kWindow : kProtected);
    resize(ctx, i);
  }

  /// Protected is too large: its oldest returns to probation.
  template <class Ctx>
  static MOE_INLINE void resize(Ctx& ctx, uint32_t i) {
    const KeyList segment = key_list(ctx, i, kProtected);
    while (segment.size() > protected_capacity(ctx, i)) move_to(ctx, i, segment.begin(), kProbation);
  }

  template <class Ctx>
  static MOE_INLINE void miss(Ctx& ctx, uint32_t i, uint32_t key) {
    count(ctx, i, key);
  }

  template <class Ctx, class MayLeave>
  static inline uint32_t victim(Ctx& ctx, uint32_t i, uint32_t, MayLeave may_leave) {
    const KeyList window = key_list(ctx, i, kWindow);
    const uint32_t from_window = window.first_that(may_leave);
    uint32_t from_main = key_list(ctx, i, kProbation).first_that(may_leave);
    if (from_main == kNone) from_main = key_list(ctx, i, kProtected).first_that(may_leave);
    if (from_window == kNone) return from_main;
    if (from_main == kNone) return from_window;
    if (window.size() + newcomers(ctx, i) <= window_capacity(ctx, i)) return from_main;
    if (frequency(ctx, i, from_window) <= frequency(ctx, i, from_main)) return from_window;
    move_to(ctx, i, from_window, kProbation);
    return from_main;
  }

  template <class Ctx>
  static MOE_INLINE void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    push_back(ctx, i, key, kWindow);
    const KeyList window = key_list(ctx, i, kWindow);
    const uint32_t* const size = ctx.s.queue(i).size;
    const uint32_t main_capacity = ctx.capacity(i) - window_capacity(ctx, i);
    while (window.size() > window_capacity(ctx, i) && size[kProbation] + size[kProtected] < main_capacity) {
      move_to(ctx, i, window.begin(), kProbation);
    }
  }

  template <class Ctx>
  static MOE_INLINE void leave(Ctx& ctx, uint32_t i, uint32_t key, bool) {
    key_list(ctx, i, list_of(ctx, key)).remove(key);
    ctx.s.use_counts()[key] &= ~uint64_t{0xF0};
  }

 private:
  /// None where a capacity that shrank is exceeded.
  template <class Ctx>
  static MOE_INLINE uint32_t newcomers(const Ctx& ctx, uint32_t i) {
    if (ctx.p.room.capacity_varies == kCapacityFixed) return 1;
    const uint32_t* const size = ctx.s.queue(i).size;
    return uint64_t{size[kWindow]} + size[kProbation] + size[kProtected] > ctx.capacity(i) ? 0 : 1;
  }

  template <class Ctx>
  static MOE_INLINE uint32_t window_capacity(const Ctx& ctx, uint32_t i) {
    return smaller(ctx.capacity(i), share_of(ctx.capacity(i), 1));
  }
  template <class Ctx>
  static MOE_INLINE uint32_t protected_capacity(const Ctx& ctx, uint32_t i) {
    return share_of(ctx.capacity(i) - window_capacity(ctx, i), 80);
  }

  template <class Ctx>
  static MOE_INLINE uint32_t list_of(const Ctx& ctx, uint32_t key) {
    return static_cast<uint32_t>(ctx.s.use_counts()[key] >> 4 & 15) - 1;
  }

  template <class Ctx>
  static MOE_INLINE uint64_t frequency(const Ctx& ctx, uint32_t i, uint32_t key) {
    const uint64_t stored = ctx.s.use_counts()[key];
    const uint64_t halvings = ctx.s.queue(i).halvings - (stored >> 8);
    return halvings < 4 ? (stored & kMaxCount) >> halvings : 0;
  }

  template <class Ctx>
  static MOE_INLINE void count(Ctx& ctx, uint32_t i, uint32_t key) {
    QueueState& state = ctx.s.queue(i);
    uint64_t& stored = ctx.s.use_counts()[key];
    const uint64_t before = frequency(ctx, i, key);
    stored = state.halvings << 8 | (stored & 0xF0) | (before < kMaxCount ? before + 1 : before);
    if (++state.accesses < kAccessesPerPlace * ctx.capacity(i)) return;
    state.accesses = 0;
    ++state.halvings;
  }

  template <class Ctx>
  static MOE_INLINE void push_back(Ctx& ctx, uint32_t i, uint32_t key, List list) {
    key_list(ctx, i, list).push_back(key);
    uint64_t& stored = ctx.s.use_counts()[key];
    stored = (stored & ~uint64_t{0xF0}) | (uint64_t{1} + list) << 4;
  }

  template <class Ctx>
  static MOE_INLINE void move_to(Ctx& ctx, uint32_t i, uint32_t key, List list) {
    key_list(ctx, i, list_of(ctx, key)).remove(key);
    push_back(ctx, i, key, list);
  }
};

}  // namespace moe::decision
