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
  kSiteMost = 5,           ///< prefetch's strategy most(E), of any expert
  kFirstArm = 6,
};

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
/// `place`: of a resident; kNone: the expert is not resident. `victim`: a key, or kNone.
extern "C" double moe_evaluate(const Frame* frame, uint32_t site, uint32_t key, uint32_t place, uint32_t victim);
#else
inline double moe_evaluate(const Frame*, uint32_t, uint32_t, uint32_t, uint32_t) { return 0; }
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

constexpr bool has_sites(const Params& p) {
  return p.eviction == static_cast<uint32_t>(Eviction::least) || p.admit == kAdmitWhen ||
         p.prefetch_admit == kPrefetchWhen || p.has_when != 0 || p.has_order != 0 || p.num_arms != 0 ||
         in_chain(p, Strategy::most);
}

}  // namespace moe::decision
