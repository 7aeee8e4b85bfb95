// SPDX-License-Identifier: Apache-2.0
// The end of a dispatch: `promote A -> B when E`, `demote A -> B when E`, and who goes up a rung.
#pragma once
#include "runtime/decision/tiers.h"

namespace moe::decision {

/// As a prefetch, of an expert that has just been used from elsewhere.
template <class Rule>
inline void promote_to_first(Context<Rule>& ctx, Output& out, uint32_t key, double weight) {
  const uint32_t i = ctx.instance;
  Vacancy vacancy;
  const auto may_leave = [&ctx](uint32_t place) __attribute__((always_inline)) {
    const bool is_protected = ctx.p.protect_selected != 0 && ctx.selected(ctx.s.resident(place).key);
    return !is_protected && !ctx.is_coming(place);
  };
  if constexpr (Rule::kQueue) Rule::miss(ctx, i, key);
  if constexpr (Rule::kSegmented) {
    const auto no_other = [](auto) { return kNone; };
    if (!Rule::find_vacancy(ctx, i, key, may_leave, /*has_instead=*/false, no_other, vacancy)) return;
  } else if (ctx.s.instance(i).num_free <= 0) {
    vacancy.leaver = find_victim(ctx, i, key, may_leave);
    if (vacancy.leaver == kNone) return;
  }
  const uint32_t place = make_way(ctx, i, vacancy);
  tiers_load(ctx.frame, key);
  ctx.occupy(i, place, key, ctx.s.instance(i).accesses, weight);
  if (keeps(ctx.p, kCountsPrefetches)) ctx.s.resident(place).flags |= kUnusedPrefetch;
  if (Rule::kRanked) ctx.s.rank()[place] = Rule::rank_on_prefetch(weight);
  if constexpr (Rule::kQueue) Rule::insert(ctx, i, key);
  ctx.join_rings(i, place);
  out.prefetched[out.num_prefetched++] = key;
}

/// One move of an expert of the dispatch, if its condition holds.
template <class Rule>
inline void move_by_rule(Context<Rule>& ctx, Output& out, const TierRule& rule, uint32_t key, double weight) {
  const auto ask = [&](auto call) { return ask_tiers(ctx.frame, call); };
  const uint32_t place = ctx.s.place_of(key);
  const bool is_there =
      rule.from == 0 ? place != kNone : ask([&](const Frame* f) { return moe_tiers_holds(f, rule.from, key); }) != 0;
  if (!is_there || (rule.to == 0 && place != kNone)) return;
  if (ask([&](const Frame* f) { return moe_tiers_asks(f, rule.site, key); }) == 0) return;
  if (rule.to == 0) return promote_to_first(ctx, out, key, weight);
  if (rule.from == 0) {
    if ((ctx.s.resident(place).flags & kPinned) != 0) return;
    ctx.evict(place);
  }
  ask([&](const Frame* f) { moe_tiers_put(f, rule.to, key, rule.from); });
  if (rule.promote == 0 && rule.from != 0) ask([&](const Frame* f) { moe_tiers_take(f, rule.from, key); });
}

template <class Rule>
inline void move_between_tiers(Context<Rule>& ctx, Output& out) {
  const TierSet* const set = tier_set_of(ctx.p, ctx.layer);
  if (set == nullptr) return;
  for (uint32_t j = 0; j < out.num_entries; ++j) {
    const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[j];
    for (uint32_t k = 0; k < set->num_rules; ++k) {
      if (set->rules[k].site != kNone) move_by_rule(ctx, out, set->rules[k], key, ctx.s.entries()[j].weight);
    }
    const uint32_t place = ctx.s.place_of(key);
    if (set->num_rungs == 0 || place == kNone) continue;
    ask_tiers(ctx.frame, [&](const Frame* f) { moe_tiers_raise(f, key, place); });
  }
}

}  // namespace moe::decision
