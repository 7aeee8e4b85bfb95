// SPDX-License-Identifier: Apache-2.0
// Phases of a dispatch that policies share. What a dispatch does seldom is no part of a policy's own code, which would
// only take longer to make: it is compiled when this library is built (codegen/phases.cpp), with the constants read at
// run time, and called. The static kernels, and those that serve every policy, have it inside.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// Of a rule, or of all. `num_evicted`: so far in this dispatch; returned is how many it is now.
using PhaseFn = uint32_t(const Params*, const Layout*, void* block, const Input*, Output*, uint32_t num_evicted);
/// Returns the number of experts, or kNone.
using CollectPhaseFn = uint32_t(const Params*, const Layout*, void* block, const Input*, Output*);
using SamplePhaseFn = void(const Params*, const Layout*, void* block, const Input*, Output*, uint32_t num_evicted,
                           uint32_t hits, uint32_t prefetch_used);
/// Of a dispatch that selects `n` experts.
using ExpertsPhaseFn = void(const Params*, const Layout*, void* block, const Input*, Output*, uint32_t n);
/// Returns how many candidates there are, and in the upper half 1 where the strategy names anybody.
using OfferPhaseFn = uint64_t(const Params*, const Layout*, void* block, const Input*, const Output*,
                              uint32_t strategy);
/// One rule of `adapt`, of which `holds` says whether its condition does. Returned is the number of evicted, and in the
/// upper half 1 where other rules are active now.
using RulePhaseFn = uint64_t(const Params*, const Layout*, void* block, const Input*, Output*, uint32_t num_evicted,
                             uint32_t rule, uint32_t holds);
using QueuePhaseFn = void(const Params*, const Layout*, void* block, uint32_t i);

/// Which phases of a rule there are.
template <class Rule>
struct Phases {
  static constexpr bool kEvict = false;        ///< those that end residencies: drop, expire
  static constexpr bool kFindVictims = false;  ///< those that look for victims besides, without an expression
};

#ifdef MOE_CALLS_PHASES

inline constexpr bool kCallsPhases = true;

#define MOE_SELDOM __attribute__((cold))
extern "C" {
/// make_layout() of the policy, which the code generator defines.
extern const Layout moe_layout __attribute__((visibility("hidden")));
CollectPhaseFn moe_phase_collect;
MOE_SELDOM CollectPhaseFn moe_phase_collect_tokens;
ExpertsPhaseFn moe_phase_sort_entries;
ExpertsPhaseFn moe_phase_record_history;
OfferPhaseFn moe_phase_offer_windows;
SamplePhaseFn moe_phase_sample;
QueuePhaseFn moe_phase_lirs_restore;
}

#define MOE_EVICT_PHASES(name)              \
  extern "C" {                              \
  MOE_SELDOM PhaseFn moe_phase_drop_##name; \
  PhaseFn moe_phase_expire_##name;          \
  }
#define MOE_VICTIM_PHASES(name)                \
  MOE_EVICT_PHASES(name)                       \
  extern "C" {                                 \
  MOE_SELDOM PhaseFn moe_phase_relieve_##name; \
  MOE_SELDOM PhaseFn moe_phase_install_##name; \
  RulePhaseFn moe_phase_rule_##name;           \
  }

/// Those of a rule that goes by an expression.
#define MOE_DECLARE_EVICT_PHASES(name, Rule)                     \
  MOE_EVICT_PHASES(name)                                         \
  template <>                                                    \
  struct Phases<Rule> {                                          \
    static constexpr bool kEvict = true;                         \
    static constexpr bool kFindVictims = false;                  \
    static constexpr PhaseFn* kDrop = moe_phase_drop_##name;     \
    static constexpr PhaseFn* kExpire = moe_phase_expire_##name; \
  };
#define MOE_DECLARE_PHASES(name, Rule)                             \
  MOE_VICTIM_PHASES(name)                                          \
  template <>                                                      \
  struct Phases<Rule> {                                            \
    static constexpr bool kEvict = true;                           \
    static constexpr bool kFindVictims = true;                     \
    static constexpr PhaseFn* kDrop = moe_phase_drop_##name;       \
    static constexpr PhaseFn* kExpire = moe_phase_expire_##name;   \
    static constexpr PhaseFn* kRelieve = moe_phase_relieve_##name; \
    static constexpr PhaseFn* kInstall = moe_phase_install_##name; \
    static constexpr RulePhaseFn* kRule = moe_phase_rule_##name;   \
  };

template <class Rule>
MOE_INLINE void call_phase(Context<Rule>& ctx, Output& out, PhaseFn* phase) {
  const Frame& frame = ctx.frame;
  ctx.num_evicted = phase(frame.params, &moe_layout, frame.block, frame.input, &out, ctx.num_evicted);
}

#else

inline constexpr bool kCallsPhases = false;

#endif

/// With history or lookahead a dispatch takes long where a layer has many experts: calling what it always does costs a
/// twentieth then, and saves half of the policy's code.
constexpr bool calls_windows(const Params& p) { return kCallsPhases && has_history(p) && p.num_experts >= 32; }

/// What a phase knows nothing of: tiers and other instances' rules have expressions, and what was told of a resident
/// that has left.
constexpr bool has_phases(const Params& p) {
  return p.num_tier_sets == 0 && !has_arrival(p) && !has_side_buffer(p) && p.room.rules_differ == 0;
}

}  // namespace moe::decision
