// SPDX-License-Identifier: Apache-2.0
// What a miss does: the arms of `on miss`, hybrid, deadline, max_loads.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// Every miss does the same, whatever the dispatch is like.
constexpr bool is_plain(const Params& p) {
  return p.balance == 0 && p.num_arms == 0 && p.hybrid == 0 && p.limits_loads == 0 && p.deadline_ms == 0 &&
         (p.keeps & kCountsLoads) == 0 && !loads_arrive(p);
}

MOE_INLINE bool is_load(MissAction action) {
  return action == MissAction::load || action == MissAction::cpu_load || action == MissAction::degrade;
}

/// Whether an action is possible for `key` now. `may_load`: max_loads has room for one.
template <class Rule>
MOE_INLINE bool can_do(const Context<Rule>& ctx, MissAction action, uint32_t key, bool may_load) {
  if (!is_load(action)) return true;
  if (!may_load) return false;
  if (loads_arrive(ctx.p) && ctx.s.place_of(key) != kNone) return false;  // it is on its way
  if (ctx.p.deadline_ms != 0 && load_ms(ctx.frame) > ctx.p.deadline_ms) return false;
  if (action != MissAction::degrade) return true;
  return uses_tiers(ctx.p) && ask_tiers(ctx.frame, [&](const Frame* f) { return moe_tiers_has_lower(f, key); }) != 0;
}

/// Whether an access was a miss: no hit, in the side buffer neither.
template <class Rule>
MOE_INLINE bool is_miss(const Context<Rule>& ctx, const Entry& e) {
  return e.place == kNone && !(uses_side_buffer(ctx.p) && e.from_side != 0);
}

/// The first arm whose condition holds and whose action is possible; `cpu` where none is.
template <class Rule>
MOE_INLINE MissAction action_of(const Context<Rule>& ctx, const Output& out, uint32_t entry, bool may_load) {
  const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[entry];
  if (ctx.p.balance != 0) {
    const bool is_coming = loads_arrive(ctx.p) && ctx.s.place_of(key) != kNone;
    return ctx.s.entries()[entry].on_host != 0 || is_coming ? MissAction::cpu : MissAction::load;
  }
  if (ctx.p.num_arms == 0) {
    MissAction action = static_cast<MissAction>(ctx.p.miss);
    const Measured* const measured = ctx.frame.input->measured;
    if (ctx.p.hybrid != 0 && measured != nullptr && measured->has_cost_model != 0) {
      const double on_host = cpu_ms(ctx.frame, static_cast<double>(out.num_selections[entry]));
      action = load_ms(ctx.frame) > on_host ? MissAction::cpu : MissAction::load;
    }
    return can_do(ctx, action, key, may_load) ? action : MissAction::cpu;
  }
  const uint32_t place = loads_arrive(ctx.p) ? ctx.s.place_of(key) : kNone;
  for (uint32_t i = 0; i < ctx.p.num_arms; ++i) {
    const Arm& arm = ctx.p.arms[i];
    const bool applies = arm.applies != 0 || ctx.ask(kFirstArm + i, key, place, kNone) != 0;
    const auto action = static_cast<MissAction>(arm.action);
    if (applies && can_do(ctx, action, key, may_load)) return action;
  }
  return MissAction::cpu;
}

/// Chooses for the misses of entries [first, end). Under max_loads the lightest loads, of
/// equal ones the later, ask again with loads ruled out.
template <class Rule>
inline void choose_actions(Context<Rule>& ctx, const Output& out, uint32_t first, uint32_t end) {
  const uint32_t max_loads = ctx.p.limits_loads == 0 ? kNone : ctx.p.max_loads;
  const uint32_t before = ctx.frame.loads_chosen;
  Entry* const entries = ctx.s.entries();
  uint32_t loads = 0;
  for (uint32_t j = first; j < end; ++j) {
    if (!is_miss(ctx, entries[j])) continue;
    const bool in_time = ctx.p.loads_in_order == 0 || ctx.misses_seen < max_loads;
    ++ctx.misses_seen;
    const MissAction action = action_of(ctx, out, j, in_time);
    entries[j].miss = static_cast<uint32_t>(action);
    if (!is_load(action)) continue;
    ++loads;
    ++ctx.frame.loads_chosen;
  }
  const uint32_t allowed = max_loads > before ? max_loads - before : 0;
  if (loads <= allowed) return;
  ctx.frame.loads_chosen = before + allowed;
  for (; loads > allowed; --loads) {
    uint32_t lightest = kNone;
    for (uint32_t j = first; j < end; ++j) {
      const bool loads_now = is_miss(ctx, entries[j]) && is_load(static_cast<MissAction>(entries[j].miss));
      if (loads_now && (lightest == kNone || out.weight[j] <= out.weight[lightest])) lightest = j;
    }
    entries[lightest].miss = static_cast<uint32_t>(action_of(ctx, out, lightest, false));
  }
}

}  // namespace moe::decision
