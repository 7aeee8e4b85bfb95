// SPDX-License-Identifier: Apache-2.0
// Step 4 of a dispatch: what the strategy names, and places for it.
#pragma once
#include "runtime/decision/predict/chain.h"
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

constexpr Strategy strategy_of(const Params& p) { return static_cast<Strategy>(p.strategy); }

/// Collects candidates until the budget is used; the first ones win.
template <class Rule>
class CandidateList {
 public:
  MOE_INLINE explicit CandidateList(const Context<Rule>& ctx) : ctx_(ctx), list_(ctx.s.candidates()) {}
  MOE_INLINE bool full() const { return count_ == ctx_.p.budget; }
  MOE_INLINE uint32_t count() const { return count_; }
  MOE_INLINE const Candidate& operator[](uint32_t i) const { return list_[i]; }
  /// The `nth` that the strategy names of its layer, from 1. Must not be full.
  MOE_INLINE void offer(uint32_t key, double probability, uint32_t nth) {
    if (ctx_.p.top != 0 && nth > ctx_.p.top) return;
    if (probability < ctx_.p.min_probability || ctx_.s.place_of(key) != kNone || ctx_.selected(key)) return;
    if (ctx_.p.has_when != 0 && moe_evaluate(&ctx_.frame, kSiteWhen, key, kNone, kNone) == 0) return;
    list_[count_++] = {key, 0, probability};
  }

 private:
  const Context<Rule>& ctx_;
  Candidate* list_;
  uint32_t count_ = 0;
};

/// A place for candidate `c` of `strategy`: a free one, or a victim's that is predicted less likely. False: no such, or
/// `admit` of prefetch refuses it.
template <class Rule>
MOE_FOLDED bool make_room(Context<Rule>& ctx, const Input& in, Strategy strategy, uint32_t i, const Candidate& c) {
  uint32_t victim = kNone;
  if constexpr (Rule::kQueue) Rule::miss(ctx, i, c.key);
  if (ctx.s.instance(i).num_free == 0) {
    victim = find_victim(ctx, i, c.key, [&](uint32_t place) __attribute__((always_inline)) {
      const uint32_t key = ctx.s.resident(place).key;
      return !ctx.selected(key) && predicted(ctx, in, strategy, key) < c.predicted;
    });
    if (victim == kNone) return false;
  }
  if (ctx.p.prefetch_admit == kPrefetchNever) return false;
  if (ctx.p.prefetch_admit == kPrefetchWhen) {
    const uint32_t leaver = victim == kNone ? kNone : ctx.s.resident(victim).key;
    if (moe_evaluate(&ctx.frame, kSitePrefetchAdmit, c.key, kNone, leaver) == 0) return false;
  }
  if (victim != kNone) ctx.evict(victim, /*as_victim=*/true);
  return true;
}

/// Returns the number of prefetches written to `out.prefetched`.
template <class Rule>
MOE_FOLDED uint32_t prefetch(Context<Rule>& ctx, const Input& in, const Output& out, uint32_t num_entries) {
  observe(ctx, in, out, num_entries);
  CandidateList<Rule> list(ctx);
  const Strategy asked = ask(ctx, in, list);
  const Strategy strategy = is_chain(ctx.p) ? asked : strategy_of(ctx.p);  // mostly a constant
  uint32_t n = 0;
  for (uint32_t j = 0; j < list.count(); ++j) {
    const Candidate c = list[j];
    const uint32_t i = ctx.s.instance_of_layer(c.key / ctx.p.num_experts);
    if (!make_room(ctx, in, strategy, i, c)) continue;
    const uint32_t place = ctx.occupy(i, c.key, ctx.s.instance(i).accesses, c.predicted);
    if (keeps(ctx.p, kKeepsForetold)) ctx.s.foretold()[place] = c.predicted;
    if (Rule::kThreshold) ctx.exempt(place);
    if (Rule::kRanked) ctx.s.rank()[place] = Rule::rank_on_prefetch(c.predicted);
    if constexpr (Rule::kQueue) Rule::insert(ctx, i, c.key);
    ctx.join_rings(i, place);
    out.prefetched[n++] = c.key;
  }
  return n;
}

}  // namespace moe::decision
