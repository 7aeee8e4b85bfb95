// SPDX-License-Identifier: Apache-2.0
// random: lots decide.
#pragma once
#include "runtime/decision/lots.h"
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// Who may be drawn is a set of bits in order of keys: unpinned residents, without those that a protected dispatch
/// selects while it looks for victims. One generator for all instances.
///
/// Cost  a demand load's victim: two passes over the set's words, num_keys / 64 of them; another's: over its members.
struct Random : QueueRule {
  static constexpr bool kHides = true;

  static constexpr uint64_t start(uint64_t seed) { return Lots<Stream::evictions>::start(seed); }

  template <class Ctx>
  static MOE_INLINE void hit(Ctx&, uint32_t, uint32_t) {}

  template <class Ctx, class MayLeave>
  static MOE_FOLDED uint32_t victim(Ctx& ctx, uint32_t i, uint32_t, MayLeave may_leave) {
    uint32_t num_candidates = 0;
    each_member(ctx, i, [&](uint32_t key) {
      num_candidates += may_leave(key);
      return false;
    });
    if (num_candidates == 0) return kNone;
    uint32_t left = draw(ctx, num_candidates);
    return each_member(ctx, i, [&](uint32_t key) { return may_leave(key) && left-- == 0; });
  }

  /// The victim among all whose bits are set.
  template <class Ctx>
  static MOE_FOLDED uint32_t anyone(Ctx& ctx, uint32_t i) {
    const uint64_t* const words = ctx.s.bits(i);
    uint32_t num_candidates = 0;
    for (uint32_t w = 0; w < key_words(ctx.p); ++w) num_candidates += static_cast<uint32_t>(std::popcount(words[w]));
    if (num_candidates == 0) return kNone;
    uint32_t left = draw(ctx, num_candidates);
    uint32_t w = 0;
    for (;; ++w) {
      const uint32_t here = static_cast<uint32_t>(std::popcount(words[w]));
      if (left < here) break;
      left -= here;
    }
    uint64_t rest = words[w];
    for (; left > 0; --left) rest &= rest - 1;
    return first_key(ctx, i) + w * 64 + static_cast<uint32_t>(std::countr_zero(rest));
  }

  template <class Ctx>
  static MOE_INLINE void insert(Ctx& ctx, uint32_t i, uint32_t key) {
    if ((ctx.s.resident(ctx.s.place_of(key)).flags & kPinned) == 0) word(ctx, i, key) |= bit(ctx, i, key);
  }

  template <class Ctx>
  static MOE_INLINE void leave(Ctx& ctx, uint32_t i, uint32_t key, bool) {
    hide(ctx, i, key);
  }

  /// Takes a resident out of the draw. insert() puts it back.
  template <class Ctx>
  static MOE_INLINE void hide(Ctx& ctx, uint32_t i, uint32_t key) {
    word(ctx, i, key) &= ~bit(ctx, i, key);
  }

 private:
  template <class Ctx>
  static MOE_INLINE uint32_t draw(Ctx& ctx, uint32_t bound) {
    return Lots<Stream::evictions>::below(ctx.s.lots(), bound);
  }

  template <class Ctx>
  static MOE_INLINE uint32_t first_key(const Ctx& ctx, uint32_t i) {
    return i * (ctx.p.num_keys() / ctx.p.num_instances());
  }
  template <class Ctx>
  static MOE_INLINE uint64_t& word(Ctx& ctx, uint32_t i, uint32_t key) {
    return ctx.s.bits(i)[(key - first_key(ctx, i)) / 64];
  }
  template <class Ctx>
  static MOE_INLINE uint64_t bit(const Ctx& ctx, uint32_t i, uint32_t key) {
    return uint64_t{1} << ((key - first_key(ctx, i)) % 64);
  }

  /// Shows the members by ascending key until `stop` says true; returns that one, or kNone.
  template <class Ctx, class Stop>
  static MOE_INLINE uint32_t each_member(const Ctx& ctx, uint32_t i, Stop stop) {
    const uint64_t* const words = ctx.s.bits(i);
    for (uint32_t w = 0; w < key_words(ctx.p); ++w) {
      for (uint64_t rest = words[w]; rest != 0; rest &= rest - 1) {
        const uint32_t key = first_key(ctx, i) + w * 64 + static_cast<uint32_t>(std::countr_zero(rest));
        if (stop(key)) return key;
      }
    }
    return kNone;
  }
};

}  // namespace moe::decision
