// SPDX-License-Identifier: Apache-2.0
// Instances of other layers under other rules than those of the dispatch: with `scope = layer` bands, phases and rules
// may give each layer its own. What a dispatch does to them goes through these functions, which the code generator
// defines for each policy as a choice among the rules that it has; where no rules differ nothing calls them.
#pragma once
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

#ifdef MOE_KERNEL_BITCODE
extern "C" {
/// Ends the residency of what is in `place`, as no victim. Always 1.
uint32_t moe_evict_other(Progress* progress, const Params* theirs, uint32_t place);
/// One victim of instance `i` leaves, but none that the dispatch selected if those are spared. 0: nobody can.
uint32_t moe_relieve_other(Progress* progress, const Params* theirs, uint32_t i, uint32_t spare_selected);
/// A place in instance `i` for a candidate. 0: it gets none.
uint32_t moe_prefetch_other(Progress* progress, const Params* theirs, uint32_t i, const Candidate* candidate);
/// Instance `i` has another capacity now: its structures learn of it, and who is beyond it leaves. Always 1.
uint32_t moe_resize_other(Progress* progress, const Params* theirs, uint32_t i);
}
#else
inline uint32_t moe_evict_other(Progress*, const Params*, uint32_t) { return 0; }
inline uint32_t moe_relieve_other(Progress*, const Params*, uint32_t, uint32_t) { return 0; }
inline uint32_t moe_prefetch_other(Progress*, const Params*, uint32_t, const Candidate*) { return 0; }
inline uint32_t moe_resize_other(Progress*, const Params*, uint32_t) { return 0; }
#endif

/// The constants that instance `i` has installed, where they are others than these; else null.
template <class Rule>
MOE_INLINE const Params* other_rules(const Context<Rule>& ctx, uint32_t i) {
  const Changes* const changes = changes_of(ctx.p);
  if (changes == nullptr || ctx.p.room.rules_differ == 0 || i == ctx.instance) return nullptr;
  const uint32_t variant = ctx.s.instance(i).variant;
  return variant == ctx.p.variant ? nullptr : &changes->variants[variant];
}

/// Does something to an instance under other rules. They get a copy of the progress, for the reason that moe_evaluate
/// gives.
template <class Rule, class Call>
MOE_INLINE bool as_other(Context<Rule>& ctx, Call call) {
  Progress copy = ctx;
  const bool done = call(&copy) != 0;
  ctx.num_evicted = copy.num_evicted;
  return done;
}

/// Ends the residency of what is in `place`, of any instance, as no victim.
template <class Rule>
MOE_INLINE void evict_anywhere(Context<Rule>& ctx, uint32_t place) {
  const Params* const theirs = other_rules(ctx, ctx.s.instance_of_place(place));
  if (theirs == nullptr) return ctx.evict(place);
  as_other(ctx, [&](Progress* progress) { return moe_evict_other(progress, theirs, place); });
}

}  // namespace moe::decision
