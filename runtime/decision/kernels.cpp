// SPDX-License-Identifier: Apache-2.0
// The kernels as the code generator links them: clang compiles this file to bitcode, and a policy takes the one it
// names.
#include "runtime/decision/kernel.h"
#include "runtime/decision/values.h"

namespace moe::decision {

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
    return under<Rule>(progress, theirs, [&](auto& ctx) { return take_in(ctx, i, *c); });                             \
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

extern "C" __attribute__((noinline)) void moe_tell_segment(const Params* p, void* block, SegmentEvent event, uint32_t i,
                                                           uint32_t segment, uint32_t key) {
  tell_segment(*p, block, event, i, segment, key);
}
extern "C" __attribute__((noinline)) uint32_t moe_ask_segment(const Params* p, void* block, uint32_t i,
                                                              uint32_t segment, uint32_t newcomer) {
  return ask_segment(*p, block, i, segment, newcomer);
}

/// The variant that decides `input`; the code generator emits the choice among their kernels.
extern "C" uint32_t moe_variant_of(const Changes* changes, const void* state, const Input* input) {
  return variant_of(*changes, *static_cast<const Header*>(state), input->phase, input->layer);
}

}  // namespace moe::decision
