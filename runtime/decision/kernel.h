// SPDX-License-Identifier: Apache-2.0
// The dispatch itself, for any rule. docs/semantics.md numbers the steps.
//
// Written once and compiled three times: by clang to bitcode, which the code generator specialises with a policy's
// Params; by the host compiler with Params read at run time (static_dispatch); and by the benchmark with constexpr
// Params. No allocation, no call out, no exception: what it needs lies in the state block.
#pragma once
#include "runtime/decision/adapt.h"
#include "runtime/decision/arrival.h"
#include "runtime/decision/balance.h"
#include "runtime/decision/collect.h"
#include "runtime/decision/install.h"
#include "runtime/decision/prefetch.h"
#include "runtime/decision/record.h"
#include "runtime/decision/rules/arc.h"
#include "runtime/decision/rules/freq_threshold.h"
#include "runtime/decision/rules/least.h"
#include "runtime/decision/rules/lirs.h"
#include "runtime/decision/rules/order.h"
#include "runtime/decision/rules/random.h"
#include "runtime/decision/rules/ranked.h"
#include "runtime/decision/rules/s3_fifo.h"
#include "runtime/decision/rules/segmented.h"
#include "runtime/decision/rules/sieve.h"
#include "runtime/decision/rules/w_tinylfu.h"
#include "runtime/decision/schedule.h"
#include "runtime/decision/side_buffer.h"
#include "runtime/decision/tier_moves.h"
#include "runtime/decision/triggers.h"
#include "runtime/decision/window.h"

namespace moe::decision {

/// Step 1 for one expert, its instance's access number `access`, which the caller counts: a hit moves all but the
/// rings. Returns whether it is a hit. Hits and misses come as they please, so that a branch between them is
/// mispredicted every other time: where a rule lets it, what a hit moves is moved for a miss as well, in a place of
/// nobody's.
template <class Rule>
MOE_INLINE bool count_access(Context<Rule>& ctx, const Output& out, uint32_t entry, uint64_t access) {
  const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[entry];
  Rule::on_access(ctx, key, access);
  if (has_window(ctx.p)) count_in_window(ctx, key, access);
  record_access(ctx, key, access);
  if (changes_of(ctx.p) != nullptr && counts_depth(ctx.p)) note_depth(ctx, key);
  Entry& e = ctx.s.entries()[entry];
  // A weight of -0 becomes +0: ranks compare bits.
  const double weight = static_cast<double>(out.weight[entry]) + 0.0;
  e.access = access;
  e.weight = weight;
  if (uses_side_buffer(ctx.p)) {
    e.place = kNone;
    e.from_side = take_from_side(ctx, key);
    if (e.from_side != 0) return false;
  }
  // What the host computes under balance counts as a miss, resident or not.
  const uint32_t place = ctx.p.balance != 0 && e.on_host != 0 ? kNone : ctx.place_to_hit(key);
  e.place = place;
  const bool hit = place != kNone;
  if (Rule::kQueue && !hit) return false;
  const uint32_t at = hit ? place : ctx.s.nobodys_place();
  Resident& r = ctx.s.resident(at);
  if (has_samples(ctx.p)) note_access(ctx, r, hit);
  ++r.uses;
  r.last_use = access;
  r.ema = ctx.p.score_ema_alpha * weight + (1.0 - ctx.p.score_ema_alpha) * r.ema;
  if (Rule::kRanked) ctx.s.rank()[at] = Rule::rank_on_hit(ctx, ctx.s.rank()[at], r.ema);
  if (keeps(ctx.p, kKeepsFreq)) ctx.s.freq()[at] += 1;
  if constexpr (Rule::kQueue) Rule::hit(ctx, ctx.instance, key);
  ctx.take_out(ctx.instance, at);
  return hit;
}

MOE_INLINE bool is_pinned(const Resident& r) { return (r.flags & kPinned) != 0; }

/// Whether hits are handled before misses, with all of the dispatch protected; else its experts are handled in turn.
constexpr bool handles_together(const Params& p) { return p.protect_selected != 0 && p.one_by_one == 0; }

/// Of a dispatch whose experts are handled in turn.
template <class Rule>
MOE_INLINE uint32_t victim_in_turn(Context<Rule>& ctx) {
  if (ctx.p.protect_selected != 0) {  // one_by_one
    return Rule::pick(ctx, ctx.instance, [&ctx](uint32_t place) __attribute__((always_inline)) {
      return !ctx.selected(ctx.s.resident(place).key) && !ctx.is_coming(place);
    });
  }
  if constexpr (Rule::kRanked) {
    if (!loads_arrive(ctx.p)) return Rule::smallest(ctx, ctx.instance);
  }
  return Rule::pick(ctx, ctx.instance,
                    [&ctx](uint32_t place) __attribute__((always_inline)) { return !ctx.is_coming(place); });
}

template <class Rule, bool Together>
MOE_INLINE uint32_t victim_of_demand(Context<Rule>& ctx, [[maybe_unused]] uint32_t newcomer) {
  if constexpr (HidesProtected<Rule>) {
    if (!loads_arrive(ctx.p) && (Together || ctx.p.protect_selected == 0)) {
      const uint32_t leaver = Rule::anyone(ctx, ctx.instance);
      return leaver == kNone ? kNone : ctx.s.place_of(leaver);
    }
  }
  if constexpr (Rule::kQueue) {
    const bool spares = ctx.p.protect_selected != 0;
    return find_victim(ctx, ctx.instance, newcomer, [&](uint32_t place) __attribute__((always_inline)) {
      return !(spares && ctx.selected(ctx.s.resident(place).key)) && !ctx.is_coming(place);
    });
  } else if constexpr (Together) {
    return Rule::demand_victim(ctx);
  } else {
    return victim_in_turn(ctx);
  }
}

/// Whom a demand load would replace. False: it finds no place.
template <class Rule, bool Together>
MOE_INLINE bool find_vacancy(Context<Rule>& ctx, uint32_t key, Vacancy& vacancy) {
  if constexpr (Rule::kSegmented) {
    const auto no_other = [](auto) { return kNone; };
    return Rule::find_vacancy(ctx, ctx.instance, key, MayLeaveForDemand<Context<Rule>>{ctx}, /*has_instead=*/false,
                              no_other, vacancy);
  }
  if (ctx.s.instance(ctx.instance).num_free > 0) return true;
  vacancy.leaver = victim_of_demand<Rule, Together>(ctx, key);
  return vacancy.leaver != kNone;
}

/// A place for a demand load, evicting if need be; kNone: it streams.
template <class Rule, bool Together>
MOE_INLINE uint32_t admit(Context<Rule>& ctx, uint32_t key, const Entry& e) {
  if constexpr (Rule::kQueue) Rule::miss(ctx, ctx.instance, key);
  if (ctx.p.admit == kAdmitNever) return kNone;
  if constexpr (Rule::kThreshold) {
    if (!FreqThreshold::reaches(ctx, key)) return kNone;
  }
  Vacancy vacancy;
  const uint32_t cursor = ctx.cursor;
  if (!find_vacancy<Rule, Together>(ctx, key, vacancy)) return kNone;
  const uint32_t victim = vacancy.leaver;
  if (ctx.p.admit == kAdmitWhen) {
    const uint32_t leaver = victim == kNone ? kNone : ctx.s.resident(victim).key;
    if (ctx.ask(kSiteAdmit, key, kNone, leaver) == 0) {
      ctx.cursor = cursor;  // the next newcomer asks for the same victim
      return kNone;
    }
  }
  if constexpr (Rule::kThreshold && !Together) {
    const bool competes = victim != kNone && ctx.p.protect_selected == 0;
    if (competes && ctx.s.counts()[ctx.s.resident(victim).key] > ctx.s.counts()[key]) return kNone;
  }
  const uint32_t place = make_way(ctx, ctx.instance, vacancy);
  if (uses_tiers(ctx.p)) tiers_load(ctx.frame, key);
  ctx.occupy(ctx.instance, place, key, e.access, e.weight);
  ctx.s.resident(place).uses = 1;
  if (keeps(ctx.p, kKeepsFreq)) ctx.s.freq()[place] = 1;
  if constexpr (Rule::kQueue) Rule::insert(ctx, ctx.instance, key);
  return place;
}

/// Loads what entry `e` needs, if it finds a place. The final rank waits for settle() when the dispatch is handled
/// together.
template <class Rule, bool Together>
MOE_INLINE void load(Context<Rule>& ctx, uint32_t key, Entry& e) {
  e.place = admit<Rule, Together>(ctx, key, e);
  if (e.place == kNone) return;
  if (Rule::kRanked) {
    const int64_t rank = Rule::rank_on_load(ctx, e.weight);
    ctx.s.rank()[e.place] = Together ? kNeverVictim : rank;
    e.saved_rank = rank;
  }
  if constexpr (HidesProtected<Rule> && Together) Rule::hide(ctx, ctx.instance, key);
  if (Rule::kRemembersRanks && Together) ctx.s.rank()[e.place] = kNeverVictim;
  if (!Together) {
    ctx.join_rings(ctx.instance, e.place);
  } else if (Rule::kOrder && !Rule::kTouches) {
    ctx.order(ctx.instance).append(e.place);
  }
}

/// Step 3 for one miss.
template <class Rule, bool Together>
MOE_INLINE Action handle_miss(Context<Rule>& ctx, const Output& out, uint32_t entry) {
  Entry& e = ctx.s.entries()[entry];
  const MissAction miss = static_cast<MissAction>(is_plain(ctx.p) ? ctx.p.miss : e.miss);
  if (miss == MissAction::cpu) return kCpu;
  if (miss == MissAction::shared) return kShared;
  if (miss == MissAction::skip) return kSkip;
  load<Rule, Together>(ctx, ctx.layer * ctx.p.num_experts + out.expert[entry], e);
  if (miss == MissAction::degrade) return kDegrade;
  if (e.place == kNone && miss != MissAction::load) return kCpu;
  if (e.place == kNone) {
    if (uses_tiers(ctx.p)) tiers_pass(ctx.frame, ctx.layer * ctx.p.num_experts + out.expert[entry]);
    return kStream;
  }
  if (miss == MissAction::load) return kLoad;
  if (loads_arrive(ctx.p) && ctx.p.arrival != 0) load_behind(ctx, e.place);
  return kCpuLoad;
}

/// Takes the dispatch's hits out of the search.
template <class Rule>
MOE_INLINE void shield(Context<Rule>& ctx, uint32_t n) {
  Entry* const entries = ctx.s.entries();
  for (uint32_t j = 0; j < n; ++j) {
    const bool hit = entries[j].place != kNone;
    if constexpr (HidesProtected<Rule>) {
      if (hit) Rule::hide(ctx, ctx.instance, ctx.s.resident(entries[j].place).key);
      continue;
    }
    int64_t& rank = ctx.s.rank()[hit ? entries[j].place : ctx.s.nobodys_place()];
    entries[j].saved_rank = rank;
    rank = kNeverVictim;
  }
}

/// Hits in the side buffer take their places as loads do.
template <class Rule>
inline void load_from_side(Context<Rule>& ctx, const Output& out, uint32_t n) {
  for (uint32_t j = 0; j < n; ++j) {
    Entry& e = ctx.s.entries()[j];
    if (e.from_side != 0) load<Rule, true>(ctx, ctx.layer * ctx.p.num_experts + out.expert[j], e);
  }
}

/// Ends protection: ranks come back (if `shielded`), and the dispatch's experts become the last of the rings that go by
/// last use, in order of access.
template <class Rule>
MOE_INLINE void settle(Context<Rule>& ctx, const Output& out, uint32_t n, bool shielded) {
  Entry* const entries = ctx.s.entries();
  Ring::Appender order(ctx.order(ctx.instance));
  Ring::Appender recency(ctx.recency(ctx.instance));
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t place = entries[j].place;
    if (place == kNone) continue;
    const Resident& r = ctx.s.resident(place);
    if (Rule::kThreshold && ctx.s.place_of(ctx.layer * ctx.p.num_experts + out.expert[j]) == kNone) continue;
    if (Rule::kRanked && shielded) ctx.s.rank()[place] = entries[j].saved_rank;
    if constexpr (HidesProtected<Rule>) {
      if (shielded) Rule::insert(ctx, ctx.instance, r.key);
    }
    if (is_pinned(r)) continue;
    if (Rule::kTouches) order.append(place);
    if (ctx.keeps_recency()) recency.append(place);
  }
  if (Rule::kTouches) order.finish();
  if (ctx.keeps_recency()) recency.finish();
}

/// Steps 1 to 3 with the dispatch's experts protected.
template <class Rule>
MOE_INLINE void run_protected(Context<Rule>& ctx, const Output& out, uint32_t n) {
  uint32_t* const misses = ctx.s.misses();
  uint32_t num_misses = 0;
  uint32_t num_absent = 0;  // misses, and hits in the side buffer
  uint64_t access = ctx.s.instance(ctx.instance).accesses;
  for (uint32_t j = 0; j < n; ++j) {
    const bool hit = count_access(ctx, out, j, ++access);
    const bool miss = !hit && is_miss(ctx, ctx.s.entries()[j]);
    out.action[j] = miss ? kLoad : kHit;
    misses[num_misses] = j;
    num_misses += miss;
    num_absent += !hit;
  }
  ctx.s.instance(ctx.instance).accesses = access;
  if (!uses_side_buffer(ctx.p)) num_absent = num_misses;
  if constexpr (Rule::kThreshold) FreqThreshold::leave_below(ctx);
  if (num_absent != 0) {
    if (Rule::kRanked || HidesProtected<Rule>) shield(ctx, n);
    if (uses_side_buffer(ctx.p)) load_from_side(ctx, out, n);
    if (!is_plain(ctx.p)) choose_actions(ctx, out, 0, n);
    for (uint32_t i = 0; i < num_misses; ++i) out.action[misses[i]] = handle_miss<Rule, true>(ctx, out, misses[i]);
  }
  settle(ctx, out, n, num_absent != 0);
}

template <class Rule>
MOE_INLINE void end_exemptions(Context<Rule>& ctx) {
  if (uses_side_buffer(ctx.p)) forget_aside(ctx);
  if (!has_window(ctx.p)) return;
  const bool any = end_exemption(ctx);
  if constexpr (Rule::kThreshold) {
    if (any) FreqThreshold::leave_below(ctx);
  }
}

/// Steps 1, 2, 3 and 5 access by access.
template <class Rule>
MOE_INLINE void run_in_turn(Context<Rule>& ctx, const Output& out, Output& all, uint32_t n) {
  for (uint32_t j = 0; j < n; ++j) {
    const bool hit = count_access(ctx, out, j, ++ctx.s.instance(ctx.instance).accesses);
    Entry& e = ctx.s.entries()[j];
    const uint32_t place = e.place;
    if constexpr (Rule::kThreshold) FreqThreshold::leave_below(ctx);
    if (!hit && !is_miss(ctx, e)) {
      out.action[j] = kHit;
      load<Rule, false>(ctx, ctx.layer * ctx.p.num_experts + out.expert[j], e);
    } else if (!hit) {
      if (!is_plain(ctx.p)) choose_actions(ctx, out, j, j + 1);
      out.action[j] = handle_miss<Rule, false>(ctx, out, j);
    } else {
      out.action[j] = kHit;
      const Resident& r = ctx.s.resident(place);
      if (r.key != kNone && !is_pinned(r)) ctx.move_to_end(ctx.instance, place);
    }
    // Step 3 of the dispatch ends with step 3 of its last access.
    if (j + 1 == n) end_exemptions(ctx);
    run_triggers(ctx, all);
  }
}

/// Step 0: what the mechanism could not keep leaves.
template <class Rule>
inline void drop_here(Context<Rule>& ctx, const Input& in) {
  for (uint32_t j = 0; j < in.num_dropped; ++j) {
    const uint32_t place = ctx.s.place_of(in.dropped[j]);
    if (place == kNone || is_pinned(ctx.s.resident(place))) continue;
    evict_anywhere(ctx, place);
  }
}

template <class Rule>
MOE_INLINE void drop(Context<Rule>& ctx, const Input& in, [[maybe_unused]] Output& out) {
  if constexpr (Phases<Rule>::kEvict) {
    if (has_phases(ctx.p)) return call_phase(ctx, out, Phases<Rule>::kDrop);
  }
  drop_here(ctx, in);
}

template <class Rule>
MOE_INLINE uint32_t dispatch(const Params& p, void* block, const Input& in, Output& out) {
  if (uses_tiers(p) && State(p, block).header().tiers_started == 0) moe_tiers_start(&p, block);
  const Output arrays = out;  // whose addresses no store of the kernel can change
  uint32_t n = collect(p, State(p, block), block, in, arrays, out);
  if (n == kNone) return kInvalid;
  Context<Rule> ctx(p, block, in, out);
  if (uses_tiers(p)) ctx.s.header().num_moves = ctx.s.header().num_copies = 0;
  if (changes_of(p) != nullptr) install(ctx, out);
  out.num_dropped = 0;
  n = begin_dispatch(ctx, in, out, n);
  if (has_learner(p)) Learner(p, ctx.s).observe(ctx, out);
  if (p.balance != 0) balance(ctx, out, n);
  if (in.num_dropped != 0) drop(ctx, in, out);
  const bool together = handles_together(p);
  if (together) {
    run_protected(ctx, arrays, n);
  } else {
    run_in_turn(ctx, arrays, out, n);
  }
  if (together || n == 0) end_exemptions(ctx);
  observe(ctx, in, out, n);
  out.num_prefetched = 0;
  if (strategy_of(p) != Strategy::none) {
    out.num_prefetched = prefetch(ctx, in, out);
  } else if (has_table(p)) {
    forget(ctx);
  }
  if (together || n == 0 || strategy_of(p) != Strategy::none) run_triggers(ctx, out);
  out.num_entries = n;
  out.num_fired = 0;
  if (uses_tiers(p)) move_between_tiers(ctx, out);
  end_dispatch(ctx, out);
  out.num_moves = uses_tiers(p) ? ctx.s.header().num_moves : 0;
  out.num_copies = uses_tiers(p) ? ctx.s.header().num_copies : 0;
  out.num_evicted = ctx.num_evicted;
  return kOk;
}

}  // namespace moe::decision
