// SPDX-License-Identifier: Apache-2.0
// Step 4 of a dispatch: what the strategy names, and places for it.
#pragma once
#include "runtime/decision/foreign.h"
#include "runtime/decision/predict/chain.h"
#include "runtime/decision/rules/segmented.h"
#include "runtime/decision/side_buffer.h"

namespace moe::decision {

constexpr Strategy strategy_of(const Params& p) { return static_cast<Strategy>(p.strategy); }

/// Collects candidates until the budget is used; the first ones win.
template <class Rule>
class CandidateList {
 public:
  MOE_INLINE explicit CandidateList(const Context<Rule>& ctx) : ctx_(ctx), list_(ctx.s.candidates()) {}
  MOE_INLINE bool full() const { return count_ == ctx_.p.budget; }
  MOE_INLINE uint32_t count() const { return count_; }
  /// Others have put so many there.
  MOE_INLINE void set_count(uint32_t count) { count_ = count; }
  MOE_INLINE const Candidate& operator[](uint32_t i) const { return list_[i]; }
  /// The `nth` that the strategy names of its layer, from 1. Must not be full.
  MOE_INLINE void offer(uint32_t key, double probability, uint32_t nth) {
    if (ctx_.p.top != 0 && nth > ctx_.p.top) return;
    if (probability < ctx_.p.min_probability || ctx_.s.place_of(key) != kNone || ctx_.selected(key)) return;
    if (ctx_.p.has_when != 0 && ctx_.ask(kSiteWhen, key, kNone, kNone) == 0) return;
    list_[count_++] = {key, 0, probability};
  }

 private:
  const Context<Rule>& ctx_;
  Candidate* list_;
  uint32_t count_ = 0;
};

/// A refusal that tells of others: an instance none of whose experts is less likely than a candidate has none that is
/// less likely than the next one either, unless that one is more likely or something else has come in between.
struct Refusal {
  uint32_t instance = kNone;
  double predicted = 0;
  MOE_INLINE bool covers(uint32_t i, const Candidate& c) const { return i == instance && c.predicted <= predicted; }
};

/// A place for candidate `c`: a free one, or a victim's that is predicted less likely. kNone: no such, or `admit` of
/// prefetch refuses it.
template <class Rule>
MOE_FOLDED uint32_t make_room(Context<Rule>& ctx, uint32_t i, const Candidate& c, Refusal& refusal) {
  Vacancy vacancy;
  if constexpr (Rule::kQueue) Rule::miss(ctx, i, c.key);
  const auto may_leave = [&](uint32_t place) __attribute__((always_inline)) {
    const uint32_t key = ctx.s.resident(place).key;
    return !ctx.selected(key) && !ctx.is_coming(place) &&
           predicted(ctx, static_cast<Strategy>(c.strategy), key) < c.predicted;
  };
  const bool has_own = ctx.rules().has_prefetch_evict != 0;
  const auto own = [&](auto may) { return find_leaver(ctx, i, may); };
  if constexpr (Rule::kSegmented) {
    if (!Rule::find_vacancy(ctx, i, c.key, may_leave, has_own, own, vacancy)) return kNone;
  } else if (ctx.s.instance(i).num_free <= 0) {
    vacancy.leaver = has_own ? own(may_leave) : find_victim(ctx, i, c.key, may_leave);
    if (vacancy.leaver == kNone) {
      // Queues notice whom they have no place for, one by one.
      if (!Rule::kQueue && !has_own) refusal = {i, c.predicted};
      return kNone;
    }
  }
  const uint32_t victim = vacancy.leaver;
  if (ctx.rules().prefetch_admit == kPrefetchNever) return kNone;
  if (ctx.rules().prefetch_admit == kPrefetchWhen) {
    const uint32_t leaver = victim == kNone ? kNone : ctx.s.resident(victim).key;
    if (ctx.ask(kSitePrefetchAdmit, c.key, kNone, leaver) == 0) return kNone;
  }
  return make_way(ctx, i, vacancy);
}

/// True: `c` is resident in instance `i` from now on.
template <class Rule>
MOE_FOLDED bool take_in(Context<Rule>& ctx, uint32_t i, const Candidate& c, Refusal& refusal) {
  const uint32_t place = make_room(ctx, i, c, refusal);
  if (place == kNone) return false;
  if (uses_tiers(ctx.p)) tiers_load(ctx.frame, c.key);
  ctx.occupy(i, place, c.key, ctx.s.instance(i).accesses, c.predicted);
  if (keeps(ctx.p, kKeepsForetold)) ctx.s.foretold()[place] = c.predicted;
  if (has_window(ctx.p)) ctx.exempt(place);
  if (keeps(ctx.p, kCountsPrefetches)) ctx.s.resident(place).flags |= kUnusedPrefetch;
  if (Rule::kRanked) ctx.s.rank()[place] = Rule::rank_on_prefetch(c.predicted);
  if constexpr (Rule::kQueue) Rule::insert(ctx, i, c.key);
  ctx.join_rings(i, place);
  return true;
}

/// Returns the number of prefetches written to `out.prefetched`.
template <class Rule>
MOE_FOLDED uint32_t prefetch(Context<Rule>& ctx, const Input& in, const Output& out) {
  if (history_varies(ctx.p)) count_histories(ctx);
  CandidateList<Rule> list(ctx);
  const Strategy asked = ask(ctx, in, list);
  const Strategy strategy = is_chain(ctx.p) ? asked : strategy_of(ctx.p);  // mostly a constant
  uint32_t n = 0;
  Refusal refusal;
  for (uint32_t j = 0; j < list.count(); ++j) {
    Candidate c = list[j];
    c.strategy = static_cast<uint32_t>(strategy);
    const uint32_t i = ctx.s.instance_of_layer(c.key / ctx.p.num_experts);
    if (uses_side_buffer(ctx.p)) {
      if (ctx.s.aside()[c.key] != 0) continue;
      if (ctx.p.side_buffer != 0) {
        if (put_aside(ctx, c.key)) out.prefetched[n++] = c.key;
        continue;
      }
    }
    if (refusal.covers(i, c)) continue;
    const Params* const theirs = other_rules(ctx, i);
    const auto other = [&](Progress* progress) { return moe_prefetch_other(progress, theirs, i, &c); };
    if (!(theirs == nullptr ? take_in(ctx, i, c, refusal) : as_other(ctx, other))) continue;
    out.prefetched[n++] = c.key;
    refusal = {};
  }
  return n;
}

}  // namespace moe::decision
