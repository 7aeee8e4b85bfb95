// SPDX-License-Identifier: Apache-2.0
// lirs: S. Jiang, X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement Policy to Improve Buffer
// Cache Performance", SIGMETRICS 2002, sections 3.2 and 3.3.
#pragma once
#include "runtime/decision/phases.h"
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// Lists: the stack S over one array of links; over the other the resident HIR queue Q and the keys that have left but
/// are in S, by when they left. Which is which needs no marks: a key of S is LIR if it is in neither of the two.
///
/// Cost       O(1) amortised beside passing over those that may not leave: pruning takes out what an access put in.
/// Invariant  S is empty or has a LIR member at its bottom, and every LIR member is in it. |LIR| <= its share;
///            |S| <= 2c unless all of it is resident.
struct Lirs : QueueRule {
  enum List : uint32_t { kStack, kHir, kGone };

  template <class Ctx>
  static MOE_INLINE void hit(Ctx& ctx, uint32_t i, uint32_t key) {
    const KeyList stack = key_list(ctx, i, kStack);
    const bool was_lir = is_lir(ctx, key);
    const bool was_in_stack = is_in_stack(ctx, key);
    if (was_in_stack) stack.remove(key);
    stack.push_back(key);
    if (!was_lir) {
      const KeyList hir = second_list(ctx, i, kHir);
      hir.remove(key);
      if (was_in_stack) {
        ++ctx.s.queue(i).num_lir;
      } else {
        hir.push_back(key);
      }
    }
    restore(ctx, i);
  }

  /// Q's first. A LIR member only when nobody in Q may leave, the one used longest ago.
  template <class Ctx, class MayLeave>
  static inline uint32_t victim(Ctx& ctx, uint32_t i, uint32_t, MayLeave may_leave) {
    const uint32_t found = second_list(ctx, i, kHir).first_that(may_leave);
    if (found != kNone) return found;
    return key_list(ctx, i, kStack).first_that([&](uint32_t key) { return is_lir(ctx, key) && may_leave(key); });
  }

  template <class Ctx>
  static MOE_INLINE void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    const KeyList stack = key_list(ctx, i, kStack);
    const bool was_in_stack = is_in_stack(ctx, key);
    if (was_in_stack) {
      stack.remove(key);
      second_list(ctx, i, kGone).remove(key);
    }
    stack.push_back(key);
    // While there is room every newcomer is LIR.
    if (was_in_stack || ctx.s.queue(i).num_lir < lir_capacity(ctx, i)) {
      ++ctx.s.queue(i).num_lir;
    } else {
      second_list(ctx, i, kHir).push_back(key);
    }
    restore(ctx, i);
  }

  /// In the paper a LIR member would have to become HIR first, which takes it out of S.
  template <class Ctx>
  static MOE_INLINE void leave(Ctx& ctx, uint32_t i, uint32_t key, bool as_victim) {
    const bool was_lir = is_lir(ctx, key);
    const bool was_in_stack = is_in_stack(ctx, key);
    if (was_lir) {
      --ctx.s.queue(i).num_lir;
    } else {
      second_list(ctx, i, kHir).remove(key);
    }
    if (was_in_stack && (was_lir || !as_victim)) {
      key_list(ctx, i, kStack).remove(key);
    } else if (was_in_stack) {
      second_list(ctx, i, kGone).push_back(key);
    }
    restore(ctx, i);
  }

  template <class Ctx>
  static MOE_INLINE void resize(Ctx& ctx, uint32_t i) {
    restore(ctx, i);
  }

 private:
  template <class Ctx>
  static MOE_INLINE KeyList second_list(const Ctx& ctx, uint32_t i, List which) {
    return {ctx.s.second_links(), ctx.p.num_keys() + i * kMaxLists + which, ctx.s.queue(i).size[which]};
  }
  template <class Ctx>
  static MOE_INLINE bool is_in_stack(const Ctx& ctx, uint32_t key) {
    return ctx.s.links()[key].prev != kNone;
  }
  template <class Ctx>
  static MOE_INLINE bool is_lir(const Ctx& ctx, uint32_t key) {
    return is_in_stack(ctx, key) && ctx.s.second_links()[key].prev == kNone;
  }
  template <class Ctx>
  static MOE_INLINE uint32_t lir_capacity(const Ctx& ctx, uint32_t i) {
    return ctx.capacity(i) - smaller(ctx.capacity(i), share_of(ctx.capacity(i), 1));
  }

  template <class Ctx>
  static MOE_INLINE bool has_too_many_lir(const Ctx& ctx, uint32_t i) {
    return ctx.s.queue(i).num_lir > lir_capacity(ctx, i);
  }
  /// The paper bounds S but leaves the bound open; this is libCacheSim's.
  template <class Ctx>
  static MOE_INLINE bool is_too_long(const Ctx& ctx, uint32_t i) {
    return key_list(ctx, i, kStack).size() > uint64_t{2} * ctx.capacity(i) && second_list(ctx, i, kGone).size() != 0;
  }
  template <class Ctx>
  static MOE_INLINE bool needs_pruning(const Ctx& ctx, uint32_t i) {
    const KeyList stack = key_list(ctx, i, kStack);
    return stack.size() != 0 && !is_lir(ctx, stack.begin());
  }

  template <class Ctx>
  static MOE_INLINE void restore(Ctx& ctx, uint32_t i) {
#ifdef MOE_CALLS_PHASES
    if constexpr (requires { ctx.frame; }) {  // of the cache itself
      if (!needs_pruning(ctx, i) && !has_too_many_lir(ctx, i) && !is_too_long(ctx, i)) return;
      return moe_phase_lirs_restore(&ctx.p, &moe_layout, ctx.frame.block, i);
    }
#endif
    restore_here(ctx, i);
  }

 public:
  template <class Ctx>
  static inline void restore_here(Ctx& ctx, uint32_t i) {
    const KeyList stack = key_list(ctx, i, kStack);
    for (;;) {
      prune(ctx, i);
      if (!has_too_many_lir(ctx, i)) break;
      second_list(ctx, i, kHir).push_back(stack.pop_front());
      --ctx.s.queue(i).num_lir;
    }
    while (is_too_long(ctx, i)) stack.remove(second_list(ctx, i, kGone).pop_front());
  }

 private:
  /// Stack pruning (3.3): HIR at the bottom would be LIR's equals on their next use.
  template <class Ctx>
  static MOE_INLINE void prune(Ctx& ctx, uint32_t i) {
    const KeyList stack = key_list(ctx, i, kStack);
    while (needs_pruning(ctx, i)) {
      const uint32_t key = stack.pop_front();
      if (ctx.s.place_of(key) == kNone) second_list(ctx, i, kGone).remove(key);
    }
  }
};

}  // namespace moe::decision
