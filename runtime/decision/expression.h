// SPDX-License-Identifier: Apache-2.0
// The places where a kernel asks one of the policy's expressions, and what an expression can ask back.
//
// The code generator defines moe_evaluate() for each policy: a switch over its sites, each straight-line code whose
// leaves are the moe_value_*() functions of values.h. All of it is inlined into the kernel, so an expression costs
// what its loads and its arithmetic cost. The statically compiled kernels have no expressions: has_sites() policies are
// for compiled code only.
#pragma once
#include "runtime/decision/layout.h"

namespace moe::decision {

/// Which expression. The arms of `on miss` follow one another from kFirstArm on.
enum Site : uint32_t {
  kSiteLeast = 0,          ///< eviction = least(E), of a resident
  kSiteAdmit = 1,          ///< admit = when(E), of a newcomer; the victim is who would leave
  kSiteWhen = 2,           ///< prefetch's when
  kSitePrefetchAdmit = 3,  ///< prefetch's admit
  kSiteOrder = 4,          ///< order = least(E), of a selected expert
  kSitePrefetchEvict = 5,  ///< prefetch's evict = least(E), of a resident
  kSiteDrop = 6,           ///< drop, of a selected expert
  kSiteGpuTime = 7,        ///< mode balance, as the next three: of a selected expert
  kSiteCpuTime = 8,
  kSiteCpuSetup = 9,
  kSiteLoadTime = 10,
  kSiteMost = 11,         ///< prefetch's strategy most(E), of any expert
  kSiteSecondLeast = 12,  ///< least(E) of b in a | b; that of a is kSiteLeast
  kFirstArm = 13,
};
// Of a variant's expressions; Params::first_site is added.

/// Those of tiers follow the arms.
constexpr uint32_t tier_site(const Params& p, uint32_t which) { return kFirstArm + p.num_arms + which; }

/// A dispatch in progress, as expressions see it.
struct Frame {
  const Params* params;
  void* block;
  const Input* input;
  const Output* output;
  uint32_t layer;
  uint32_t loads_chosen;  ///< by the schedule, so far
};

#ifdef MOE_KERNEL_BITCODE
/// The policy's part. It only reads.
extern "C" __attribute__((pure)) double moe_policy_evaluate(const Frame* frame, uint32_t site, uint32_t key,
                                                            uint32_t place, uint32_t victim);
/// `place`: of a resident; kNone: the expert is not resident. `victim`: a key, or kNone. What the policy reads is a
/// copy: a context whose address went to a function that is not known yet would have to live in memory, and the
/// constants it was made with could not be followed through it.
MOE_INLINE double moe_evaluate(const Frame* frame, uint32_t site, uint32_t key, uint32_t place, uint32_t victim) {
  const Frame copy = *frame;
  return moe_policy_evaluate(&copy, site, key, place, victim);
}
/// The condition of a rule of `adapt`, or the reward of a `choose`: those of the rules first. The policy's part, too.
extern "C" __attribute__((pure)) double moe_policy_condition(const Frame* frame, uint32_t which);
MOE_INLINE double moe_condition(const Frame* frame, uint32_t which) {
  const Frame copy = *frame;
  return moe_policy_condition(&copy, which);
}
#else
inline double moe_evaluate(const Frame*, uint32_t, uint32_t, uint32_t, uint32_t) { return 0; }
inline double moe_condition(const Frame*, uint32_t) { return 0; }
#endif

/// When a load queued now would be there, and how long the host takes for `tokens`; NaN without a cost model, so that
/// every comparison with them is false.
MOE_INLINE double load_ms(const Frame& f) {
  const Measured* const m = f.input->measured;
  if (m == nullptr || m->has_cost_model == 0) return __builtin_nan("");
  return m->queue_wait_ms + m->transfer_ms * (static_cast<double>(f.loads_chosen) + 1);
}
MOE_INLINE double cpu_ms(const Frame& f, double tokens) {
  const Measured* const m = f.input->measured;
  if (m == nullptr || m->has_cost_model == 0) return __builtin_nan("");
  return m->cpu_setup_ms + tokens * m->cpu_token_ms;
}

/// Whether Params are constants. What only code made for a policy can do costs the static kernels nothing.
#ifdef MOE_KERNEL_BITCODE
inline constexpr bool kMadeForOnePolicy = true;
#else
inline constexpr bool kMadeForOnePolicy = false;
#endif
constexpr bool loads_arrive(const Params& p) { return kMadeForOnePolicy && has_arrival(p); }
constexpr bool uses_side_buffer(const Params& p) { return kMadeForOnePolicy && has_side_buffer(p); }
/// Whether the static kernels have all of it.
constexpr bool is_beyond_static(const Params& p) {
  return has_arrival(p) || has_side_buffer(p) || is_segmented(p) || p.num_tier_sets != 0 || p.changes != nullptr;
}

/// What changes over time, in compiled code only: the static kernels are for policies without changes.
constexpr const Changes* changes_of([[maybe_unused]] const Params& p) {
#if defined(MOE_KERNEL_BITCODE) || defined(MOE_PHASES)
  return p.changes;
#else
  return nullptr;
#endif
}

inline constexpr uint32_t kMaxSteady = 3;
/// The kept parts of least(E), as expressions: they follow the arms.
constexpr uint32_t first_steady_site(const Params& p) { return kFirstArm + p.num_arms; }

constexpr bool has_sites(const Params& p) {
  return p.eviction == static_cast<uint32_t>(Eviction::least) || p.admit == kAdmitWhen ||
         p.prefetch_admit == kPrefetchWhen || p.has_when != 0 || p.has_order != 0 ||
         (p.has_prefetch_evict != 0 && p.prefetch_evict == static_cast<uint32_t>(Eviction::least)) || p.num_arms != 0 ||
         p.has_drop != 0 || p.balance_times != 0 || in_chain(p, Strategy::most) || is_segmented(p) ||
         p.num_tier_sets != 0;
}

}  // namespace moe::decision
