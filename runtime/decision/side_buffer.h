// SPDX-License-Identifier: Apache-2.0
// `side_buffer`: what is prefetched waits beside the cache until its layer's next dispatch, and evicts nobody.
#pragma once
#include "runtime/decision/metrics.h"

namespace moe::decision {

/// A prefetch into the buffer. False: it is there already, or `admit` of prefetch refuses it.
template <class Rule>
MOE_INLINE bool put_aside(Context<Rule>& ctx, uint32_t key) {
  const Params& rules = ctx.rules();
  if (rules.prefetch_admit == kPrefetchNever) return false;
  if (rules.prefetch_admit == kPrefetchWhen && ctx.ask(kSitePrefetchAdmit, key, kNone, kNone) == 0) return false;
  ctx.s.aside()[key] = 1;
  return true;
}

/// Whether an access is a hit in the buffer. What is used leaves it.
template <class Rule>
MOE_INLINE bool take_from_side(Context<Rule>& ctx, uint32_t key) {
  if (ctx.s.aside()[key] == 0) return false;
  ctx.s.aside()[key] = 0;
  ++ctx.hits;
  ++ctx.prefetch_used;
  return true;
}

/// The layer has run: what waited for it and was not used is gone.
template <class Rule>
inline void forget_aside(Context<Rule>& ctx) {
  uint8_t* const aside = ctx.s.aside() + ctx.layer * ctx.p.num_experts;
  for (uint32_t e = 0; e < ctx.p.num_experts; ++e) aside[e] = 0;
}

}  // namespace moe::decision
