// SPDX-License-Identifier: Apache-2.0
// What a miss does: the arms of `on miss`, hybrid, deadline, max_loads.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// Every miss does the same, whatever the dispatch is like.
constexpr bool is_plain(const Params& p) {
  return p.balance == 0 && p.num_arms == 0 && p.hybrid == 0 && p.limits_loads == 0 && p.deadline_ms == 0 &&
         (p.keeps & kCountsLoads) == 0;
}

MOE_INLINE bool is_load(MissAction action) { return action == MissAction::load || action == MissAction::cpu_load; }

/// Whether an action is possible now. `may_load`: max_loads has room for one.
template <class Rule>
MOE_INLINE bool can_do(const Context<Rule>& ctx, MissAction action, bool may_load) {
  if (!is_load(action)) return true;
  if (!may_load) return false;
  return ctx.p.deadline_ms == 0 || !(load_ms(ctx.frame) > ctx.p.deadline_ms);
}

/// The first arm whose condition holds and whose action is possible; `cpu` where none is.
template <class Rule>
MOE_INLINE MissAction action_of(const Context<Rule>& ctx, const Output& out, uint32_t entry, bool may_load) {
  if (ctx.p.balance != 0) return ctx.s.entries()[entry].on_host != 0 ? MissAction::cpu : MissAction::load;
  if (ctx.p.num_arms == 0) {
    MissAction action = static_cast<MissAction>(ctx.p.miss);
    const Measured* const measured = ctx.frame.input->measured;
    if (ctx.p.hybrid != 0 && measured != nullptr && measured->has_cost_model != 0) {
      const double on_host = cpu_ms(ctx.frame, static_cast<double>(out.num_selections[entry]));
      action = load_ms(ctx.frame) > on_host ? MissAction::cpu : MissAction::load;
    }
    return can_do(ctx, action, may_load) ? action : MissAction::cpu;
  }
  const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[entry];
  for (uint32_t i = 0; i < ctx.p.num_arms; ++i) {
    const Arm& arm = ctx.p.arms[i];
    const bool applies = arm.applies != 0 || ctx.ask(kFirstArm + i, key, kNone, kNone) != 0;
    if (applies && can_do(ctx, static_cast<MissAction>(arm.action), may_load))
      return static_cast<MissAction>(arm.action);
  }
  return MissAction::cpu;
}

/// Chooses for the misses of entries [first, end): those whose place is kNone. Under max_loads the lightest loads, of
/// equal ones the later, ask again with loads ruled out.
template <class Rule>
inline void choose_actions(Context<Rule>& ctx, const Output& out, uint32_t first, uint32_t end) {
  const uint32_t max_loads = ctx.p.limits_loads == 0 ? kNone : ctx.p.max_loads;
  const uint32_t before = ctx.frame.loads_chosen;
  Entry* const entries = ctx.s.entries();
  uint32_t loads = 0;
  for (uint32_t j = first; j < end; ++j) {
    if (entries[j].place != kNone) continue;
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
      const bool loads_now = entries[j].place == kNone && is_load(static_cast<MissAction>(entries[j].miss));
      if (loads_now && (lightest == kNone || out.weight[j] <= out.weight[lightest])) lightest = j;
    }
    entries[lightest].miss = static_cast<uint32_t>(action_of(ctx, out, lightest, false));
  }
}

}  // namespace moe::decision
