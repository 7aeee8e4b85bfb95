// SPDX-License-Identifier: Apache-2.0
// The end of a dispatch: its counters, then the rules of `adapt` in order of text, then `choose`. What rules and
// choices change is which variant of the policy decides from the next dispatch on.
#pragma once
#include "runtime/decision/lots.h"
#include "runtime/decision/per_layer.h"
#include "runtime/decision/triggers.h"

namespace moe::decision {

/// The variant in force for a dispatch of `layer`.
MOE_INLINE uint32_t variant_of(const Changes& changes, const Header& header, uint32_t phase, uint32_t layer) {
  const uint32_t selection = header.alternative << changes.num_mask_bits | header.mask;
  return changes.selector[(selection * 2 + phase) * changes.num_bands + changes.band_of_layer[layer]];
}

/// Adds what this dispatch contributes to a stretch. True: the stretch is complete.
template <class Rule>
MOE_INLINE bool stretch_done(const Context<Rule>& ctx, const Output& out, const AdaptRule& rule, uint64_t& counter) {
  const Input& in = *ctx.frame.input;
  switch (static_cast<StretchUnit>(rule.unit)) {
    case StretchUnit::accesses:
      counter += out.num_entries;
      break;
    case StretchUnit::dispatches:
      counter += 1;
      break;
    case StretchUnit::tokens:  // the last layer ends them
      counter += ctx.layer + 1 == ctx.p.num_layers ? in.num_tokens : 0;
      break;
  }
  return counter >= rule.stretch;
}

/// `use` of the latest active rule in order of text. Without one the choice stands, or the policy itself.
MOE_INLINE void refresh_alternative(const Changes& changes, Header& header) {
  const uint32_t used = changes.alternative_of[header.mask];
  if (used != kNone) {
    header.alternative = used;
  } else if (changes.num_choices == 0) {
    header.alternative = 0;
  }
}

/// What an active rule does at once.
template <class Rule>
inline void fire(Context<Rule>& ctx, const Changes& changes, Output& out, uint32_t j) {
  const AdaptRule& rule = changes.rules[j];
  out.fired[out.num_fired++] = j;
  for (uint32_t k = 0; k < rule.num_actions; ++k) {
    const RuleAction& action = changes.actions[rule.first_action + k];
    if (action.kind == static_cast<uint32_t>(RuleActionKind::trigger_pressure)) relieve_pressure(ctx, out);
    if (action.kind == static_cast<uint32_t>(RuleActionKind::rebalance) && changes.per_layer != nullptr) {
      rebalance(ctx, *changes.per_layer, static_cast<Allocation>(action.value));
    }
  }
}

/// Rule `j`, whose condition holds or not. True: other rules are active now.
template <class Rule>
inline bool step_rule_here(Context<Rule>& ctx, const Changes& changes, Output& out, uint32_t j, bool holds) {
  Header& header = ctx.s.header();
  const AdaptRule& rule = changes.rules[j];
  RuleState& state = ctx.s.rule_states()[j];
  if (holds) {
    state.failed = 0;
    const bool complete = stretch_done(ctx, out, rule, state.held);
    const bool rested = state.ever == 0 || header.dispatches - state.last_fired > rule.cooldown;
    if (state.fired != 0 || !complete || !rested) return false;
    const bool changed = state.active == 0;
    state.fired = state.ever = 1;
    state.last_fired = header.dispatches;
    state.active = 1;
    header.mask |= rule.mask;
    fire(ctx, changes, out, j);
    return changed;
  }
  state.held = 0;
  state.fired = 0;
  if (rule.revert == 0 || state.active == 0 || !stretch_done(ctx, out, rule, state.failed)) return false;
  state.active = 0;
  header.mask &= ~rule.mask;
  return true;
}

template <class Rule>
MOE_INLINE bool step_rule(Context<Rule>& ctx, const Changes& changes, Output& out, uint32_t j, bool holds) {
#ifdef MOE_CALLS_PHASES
  if constexpr (Phases<Rule>::kFindVictims) {
    if (has_phases(ctx.p)) {
      const Frame& frame = ctx.frame;
      const uint64_t done = Phases<Rule>::kRule(frame.params, &moe_layout, frame.block, frame.input, &out,
                                                ctx.num_evicted, j, holds ? 1 : 0);
      ctx.num_evicted = static_cast<uint32_t>(done);
      return done >> 32 != 0;
    }
  }
#endif
  return step_rule_here(ctx, changes, out, j, holds);
}

template <class Rule>
inline void adapt(Context<Rule>& ctx, const Changes& changes, Output& out) {
  bool changed = false;
  for (uint32_t j = 0; j < changes.num_rules; ++j) {
    changed |= step_rule(ctx, changes, out, j, moe_condition(&ctx.frame, j) != 0);
  }
  if (changed) refresh_alternative(changes, ctx.s.header());
}

/// The next arm: one that never played, in order of text; else the one with the highest mean, or any by lot.
inline uint32_t next_arm(const ChooseRule& rule, const ArmState* arms, uint64_t& lots) {
  for (uint32_t a = 0; a < rule.num_arms; ++a) {
    if (arms[a].plays == 0) return a;
  }
  uint32_t best = 0;
  for (uint32_t a = 1; a < rule.num_arms; ++a) best = arms[a].mean > arms[best].mean ? a : best;
  if (Lots<Stream::arms>::unit(lots) < rule.explore) best = Lots<Stream::arms>::below(lots, rule.num_arms);
  return best;
}

/// Epsilon-greedy: at the end of every period the arm in force is paid, and another may play.
template <class Rule>
inline void choose(Context<Rule>& ctx, const Changes& changes) {
  Header& header = ctx.s.header();
  for (uint32_t c = 0; c < changes.num_choices; ++c) {
    const ChooseRule& rule = changes.choices[c];
    ChoiceState& state = ctx.s.choice_states()[c];
    ArmState* const arms = ctx.s.arm_states(ctx.frame.input->phase) + rule.first_arm;
    if (header.dispatches == 1) state.arm = kNone;
    ++state.since;
    if (state.arm != kNone) {
      if (state.since < rule.every) continue;
      const double reward = moe_condition(&ctx.frame, changes.num_rules + c);
      ArmState& arm = arms[state.arm];
      ++arm.plays;
      arm.mean += ((reward != reward ? 0.0 : reward) - arm.mean) / static_cast<double>(arm.plays);
    }
    state.arm = next_arm(rule, arms, header.arm_lots);
    state.since = 0;
    header.alternative = changes.arms[rule.first_arm + state.arm];
    refresh_alternative(changes, header);
  }
}

template <class Rule>
MOE_INLINE void note_sample(const Context<Rule>& ctx, Output& out) {
#ifdef MOE_CALLS_PHASES
  const Frame& frame = ctx.frame;
  moe_phase_sample(frame.params, &moe_layout, frame.block, frame.input, &out, ctx.num_evicted, ctx.hits,
                   ctx.prefetch_used);
#else
  add_sample(ctx.p, ctx.s, ctx, out);
#endif
}

template <class Rule>
MOE_INLINE void end_dispatch(Context<Rule>& ctx, Output& out) {
  const Changes* const changes = changes_of(ctx.p);
  if (changes != nullptr || ctx.p.num_remembered != 0) ++ctx.s.header().dispatches;
  if (has_samples(ctx.p)) note_sample(ctx, out);
  if (ctx.p.num_remembered != 0) remember(ctx);
  if (changes == nullptr) return;
  if (const PerLayer* const shared = changes->per_layer; shared != nullptr && shared->interval != 0) {
    const bool due = ctx.s.header().dispatches % shared->interval == 0;
    if (due) rebalance(ctx, *shared, static_cast<Allocation>(shared->allocation));
  }
  if (changes->num_rules != 0) adapt(ctx, *changes, out);
  if (changes->num_choices != 0) choose(ctx, *changes);
}

}  // namespace moe::decision
