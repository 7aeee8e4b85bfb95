// SPDX-License-Identifier: Apache-2.0
// What a rule is when it says nothing else; context.h has what each name means.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// A rule derives from this and hides what it does otherwise. No virtual call: a kernel is compiled for one rule.
struct RuleDefaults {
  static constexpr bool kQueue = false;
  static constexpr bool kOrder = false;
  static constexpr bool kTouches = false;
  static constexpr bool kRanked = false;
  static constexpr bool kTagged = false;
  static constexpr bool kThreshold = false;
  static constexpr bool kSegmented = false;
  static constexpr bool kRemembersRanks = false;  ///< of a dispatch, from its first victim on

  template <class Ctx>
  static MOE_INLINE void on_access(Ctx&, uint32_t, uint64_t) {}
  template <class Ctx>
  static MOE_INLINE int64_t rank_on_load(const Ctx&, double) {
    return 0;
  }
  static MOE_INLINE int64_t rank_on_prefetch(double) { return 0; }
  template <class Ctx>
  static MOE_INLINE int64_t rank_on_hit(const Ctx&, int64_t rank, double) {
    return rank;
  }
};

}  // namespace moe::decision
