// SPDX-License-Identifier: Apache-2.0
// The kernels as the code generator links them: clang compiles this file to bitcode, and a policy takes the one it
// names.
#include "runtime/decision/kernel.h"
#include "runtime/decision/values.h"

namespace moe::decision {

#ifdef MOE_CALLS_PHASES
MOE_DECLARE_PHASES(lru, Lru)
MOE_DECLARE_PHASES(fifo, Fifo)
MOE_DECLARE_PHASES(lfu, Lfu)
MOE_DECLARE_PHASES(score, Score)
MOE_DECLARE_PHASES(freq_threshold, FreqThreshold)
MOE_DECLARE_PHASES(sieve, Sieve)
MOE_DECLARE_PHASES(s3_fifo, S3Fifo)
MOE_DECLARE_PHASES(arc, Arc)
MOE_DECLARE_PHASES(lirs, Lirs)
MOE_DECLARE_PHASES(w_tinylfu, WTinyLfu)
MOE_DECLARE_PHASES(random, Random)
MOE_DECLARE_EVICT_PHASES(least, Least)
#endif

// A dispatch under a rule, and what a dispatch of another layer does to an instance under it (foreign.h).
#define MOE_KERNEL(name, Rule)                                                                                        \
  extern "C" uint32_t moe_kernel_##name(const Params* params, void* state, const Input* input, Output* output) {      \
    return dispatch<Rule>(*params, state, *input, *output);                                                           \
  }                                                                                                                   \
  extern "C" uint32_t moe_evict_##name(Progress* progress, const Params* theirs, uint32_t place) {                    \
    return under<Rule>(progress, theirs, [&](auto& ctx) { return ctx.evict(place), true; });                          \
  }                                                                                                                   \
  extern "C" uint32_t moe_relieve_##name(Progress* progress, const Params* theirs, uint32_t i, uint32_t spare) {      \
    return under<Rule>(progress, theirs, [&](auto& ctx) { return relieve_instance(ctx, i, spare != 0); });            \
  }                                                                                                                   \
  extern "C" uint32_t moe_prefetch_##name(Progress* progress, const Params* theirs, uint32_t i, const Candidate* c) { \
    Refusal refusal;                                                                                                  \
    return under<Rule>(progress, theirs, [&](auto& ctx) { return take_in(ctx, i, *c, refusal); });                    \
  }                                                                                                                   \
  extern "C" uint32_t moe_resize_##name(Progress* progress, const Params* theirs, uint32_t i) {                       \
    return under<Rule>(progress, theirs, [&](auto& ctx) { return resize(ctx, i), true; });                            \
  }

namespace {

template <class Rule, class Use>
MOE_INLINE uint32_t under(Progress* progress, const Params* theirs, Use use) {
  Context<Rule> ctx(*theirs, *progress);
  const bool done = use(ctx);
  progress->num_evicted = ctx.num_evicted;
  return done ? 1 : 0;
}

template <class Use>
MOE_INLINE void on_tiers(const Frame* frame, uint32_t key, Use use) {
  const uint32_t layer = key / frame->params->num_experts;
  if (tier_set_of(*frame->params, layer) == nullptr) return;
  Tiers tiers(*frame, layer);
  use(tiers);
}

}  // namespace

MOE_KERNEL(lru, Lru)
MOE_KERNEL(fifo, Fifo)
MOE_KERNEL(lfu, Lfu)
MOE_KERNEL(score, Score)
MOE_KERNEL(freq_threshold, FreqThreshold)
MOE_KERNEL(sieve, Sieve)
MOE_KERNEL(s3_fifo, S3Fifo)
MOE_KERNEL(arc, Arc)
MOE_KERNEL(lirs, Lirs)
MOE_KERNEL(w_tinylfu, WTinyLfu)
MOE_KERNEL(random, Random)
MOE_KERNEL(least, Least)
MOE_KERNEL(segmented, Segmented)

extern "C" __attribute__((noinline)) void moe_tell_segment(const Params* p, void* block, QueueEvent event, uint32_t i,
                                                           uint32_t segment, uint32_t key) {
  tell_segment(*p, block, event, i, segment, key);
}
extern "C" __attribute__((noinline)) uint32_t moe_ask_segment(const Params* p, void* block, uint32_t i,
                                                              uint32_t segment, uint32_t newcomer) {
  return ask_segment(*p, block, i, segment, newcomer);
}

// What a policy without tiers calls nowhere (tier_calls.h).
#define MOE_OUTSIDE extern "C" __attribute__((noinline))
MOE_OUTSIDE void moe_tiers_start(const Params* p, void* block) { start_tiers(*p, block); }
MOE_OUTSIDE void moe_tiers_load(const Frame* f, uint32_t key) {
  on_tiers(f, key, [&](Tiers& tiers) { tiers.load(key); });
}
MOE_OUTSIDE void moe_tiers_pass(const Frame* f, uint32_t key) {
  on_tiers(f, key, [&](Tiers& tiers) { tiers.pass_through(key); });
}
MOE_OUTSIDE void moe_tiers_left(const Frame* f, uint32_t key) {
  on_tiers(f, key, [&](Tiers& tiers) { tiers.left(key); });
}
MOE_OUTSIDE uint32_t moe_tiers_has_lower(const Frame* f, uint32_t key) {
  uint32_t has = 0;
  on_tiers(f, key, [&](Tiers& tiers) { has = tiers.has_lower_copy(key); });
  return has;
}
MOE_OUTSIDE uint32_t moe_tiers_holds(const Frame* f, uint32_t tier, uint32_t key) {
  uint32_t holds = 0;
  on_tiers(f, key, [&](Tiers& tiers) { holds = tiers.holds(tier, key); });
  return holds;
}
MOE_OUTSIDE uint32_t moe_tiers_asks(const Frame* f, uint32_t site, uint32_t key) {
  uint32_t answer = 0;
  on_tiers(f, key, [&](Tiers& tiers) { answer = tiers.asks(site, key); });
  return answer;
}
MOE_OUTSIDE void moe_tiers_put(const Frame* f, uint32_t tier, uint32_t key, uint32_t from) {
  on_tiers(f, key, [&](Tiers& tiers) { tiers.put(tier, key, from); });
}
MOE_OUTSIDE void moe_tiers_take(const Frame* f, uint32_t tier, uint32_t key) {
  on_tiers(f, key, [&](Tiers& tiers) { tiers.take(tier, key); });
}
MOE_OUTSIDE void moe_tiers_raise(const Frame* f, uint32_t key, uint32_t place) {
  on_tiers(f, key, [&](Tiers& tiers) { tiers.raise(key, place); });
}
MOE_OUTSIDE void moe_tiers_tell(const Params* p, void* block, const TierSet* set, uint32_t tier, QueueEvent event,
                                uint32_t key) {
  tell_tier(*p, block, *set, tier, event, key);
}
MOE_OUTSIDE uint32_t moe_tiers_ask(const Params* p, void* block, const TierSet* set, uint32_t tier, uint32_t newcomer) {
  return ask_tier(*p, block, *set, tier, newcomer);
}

/// The variant that decides `input`; the code generator emits the choice among their kernels.
extern "C" uint32_t moe_variant_of(const Changes* changes, const void* state, const Input* input) {
  return variant_of(*changes, *static_cast<const Header*>(state), input->phase, input->layer);
}

}  // namespace moe::decision
