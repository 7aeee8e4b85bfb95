// SPDX-License-Identifier: Apache-2.0
// The kernels that serve every policy, expressions and changing rules included: what is compiled to bitcode for one
// policy at a time (runtime/decision/kernels.cpp), compiled here with the constants read at run time. In a namespace of
// its own, since a program may also have libmoe's static kernels, whose templates have the same names and do less.
#define decision any_policy
#define MOE_KERNEL_BITCODE
#include "runtime/decision/kernels.cpp"

namespace moe::any_policy {

// By Eviction.
#define MOE_OF_EVERY_RULE(what)                                                                                     \
  {what##_lru, what##_lfu,  what##_score,     what##_freq_threshold, what##_fifo,  what##_sieve,    what##_s3_fifo, \
   what##_arc, what##_lirs, what##_w_tinylfu, what##_random,         what##_least, what##_segmented}

template <class Fn>
using OfEveryRule = Fn * [static_cast<size_t>(Eviction::segmented) + 1];

constexpr OfEveryRule<decltype(moe_kernel_lru)> kKernels = MOE_OF_EVERY_RULE(moe_kernel);
constexpr OfEveryRule<decltype(moe_evict_lru)> kEvict = MOE_OF_EVERY_RULE(moe_evict);
constexpr OfEveryRule<decltype(moe_relieve_lru)> kRelieve = MOE_OF_EVERY_RULE(moe_relieve);
constexpr OfEveryRule<decltype(moe_prefetch_lru)> kPrefetch = MOE_OF_EVERY_RULE(moe_prefetch);
constexpr OfEveryRule<decltype(moe_resize_lru)> kResize = MOE_OF_EVERY_RULE(moe_resize);
static_assert(static_cast<uint32_t>(Eviction::fifo) == 4 && static_cast<uint32_t>(Eviction::w_tinylfu) == 9 &&
                  static_cast<uint32_t>(Eviction::least) == 11,
              "the tables have the order of Eviction");

// foreign.h
extern "C" uint32_t moe_evict_other(Progress* progress, const Params* theirs, uint32_t place) {
  return kEvict[theirs->eviction](progress, theirs, place);
}
extern "C" uint32_t moe_relieve_other(Progress* progress, const Params* theirs, uint32_t i, uint32_t spare_selected) {
  return kRelieve[theirs->eviction](progress, theirs, i, spare_selected);
}
extern "C" uint32_t moe_prefetch_other(Progress* progress, const Params* theirs, uint32_t i, const Candidate* c) {
  return kPrefetch[theirs->eviction](progress, theirs, i, c);
}
extern "C" uint32_t moe_resize_other(Progress* progress, const Params* theirs, uint32_t i) {
  return kResize[theirs->eviction](progress, theirs, i);
}

/// A dispatch of the policy whose variants begin with `first`.
extern "C" uint32_t moe_dispatch_any(const Params* first, void* state, const Input* input, Output* output) {
  const Params* const p = first->changes == nullptr ? first : first + moe_variant_of(first->changes, state, input);
  return kKernels[p->eviction](p, state, input, output);
}

}  // namespace moe::any_policy
