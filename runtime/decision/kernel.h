// SPDX-License-Identifier: Apache-2.0
// The dispatch itself, for any rule. docs/semantics.md numbers the steps.
//
// Written once and compiled three times: by clang to bitcode, which the code generator specialises with a policy's
// Params; by the host compiler with Params read at run time (static_dispatch); and by the benchmark with constexpr
// Params. No allocation, no call out, no exception: what it needs lies in the state block.
#pragma once
#include "runtime/decision/collect.h"
#include "runtime/decision/prefetch.h"
#include "runtime/decision/rules/arc.h"
#include "runtime/decision/rules/freq_threshold.h"
#include "runtime/decision/rules/lirs.h"
#include "runtime/decision/rules/order.h"
#include "runtime/decision/rules/random.h"
#include "runtime/decision/rules/ranked.h"
#include "runtime/decision/rules/s3_fifo.h"
#include "runtime/decision/rules/sieve.h"
#include "runtime/decision/rules/w_tinylfu.h"
#include "runtime/decision/triggers.h"

namespace moe::decision {

/// Step 1 for one expert: the access is counted; a hit moves all but the rings.
template <class Rule>
MOE_INLINE void count_access(Context<Rule>& ctx, const Output& out, uint32_t entry) {
  const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[entry];
  const uint64_t access = ++ctx.s.instance(ctx.instance).accesses;
  Rule::on_access(ctx, key, access);
  Entry& e = ctx.s.entries()[entry];
  // A weight of -0 becomes +0: ranks compare bits.
  const double weight = static_cast<double>(out.weight[entry]) + 0.0;
  const uint32_t place = ctx.s.place_of(key);
  e.access = access;
  e.weight = weight;
  e.place = place;
  if (place == kNone) return;
  Resident& r = ctx.s.resident(place);
  ++r.uses;
  r.last_use = access;
  r.ema = ctx.p.score_ema_alpha * weight + (1.0 - ctx.p.score_ema_alpha) * r.ema;
  if (Rule::kRanked) ctx.s.rank()[place] = Rule::rank_on_hit(ctx, ctx.s.rank()[place], r.ema);
  if constexpr (Rule::kQueue) Rule::hit(ctx, ctx.instance, key);
}

MOE_INLINE bool is_pinned(const Resident& r) { return (r.flags & kPinned) != 0; }

/// A place for a demand load, evicting if need be; kNone: it streams.
template <class Rule, bool Protect>
MOE_INLINE uint32_t admit(Context<Rule>& ctx, uint32_t key, const Entry& e) {
  if (ctx.p.admit == 0) return kNone;
  if constexpr (Rule::kThreshold) {
    if (!FreqThreshold::reaches(ctx, key)) return kNone;
  }
  if constexpr (Rule::kQueue) Rule::miss(ctx, ctx.instance, key);
  if (ctx.s.instance(ctx.instance).num_free == 0) {
    uint32_t victim;
    if constexpr (HidesProtected<Rule>) {
      const uint32_t leaver = Rule::anyone(ctx, ctx.instance);
      victim = leaver == kNone ? kNone : ctx.s.place_of(leaver);
    } else if constexpr (Rule::kQueue) {
      victim = find_victim(ctx, ctx.instance, key,
                           [&](uint32_t place) { return !Protect || !ctx.selected(ctx.s.resident(place).key); });
    } else if constexpr (Protect) {
      victim = Rule::demand_victim(ctx);
    } else if constexpr (Rule::kRanked) {
      victim = Rule::smallest(ctx, ctx.instance);
    } else {
      victim = Rule::pick(ctx, ctx.instance, [](uint32_t) { return true; });
    }
    if (victim == kNone) return kNone;
    if constexpr (Rule::kThreshold && !Protect) {
      if (ctx.s.counts()[ctx.s.resident(victim).key] > ctx.s.counts()[key]) return kNone;
    }
    ctx.evict(victim, /*as_victim=*/true);
  }
  const uint32_t place = ctx.occupy(ctx.instance, key, e.access, e.weight);
  ctx.s.resident(place).uses = 1;
  if constexpr (Rule::kQueue) Rule::insert(ctx, ctx.instance, key);
  return place;
}

/// Step 3 for one miss. Rings and the final rank wait for settle() when the dispatch is protected; fifo's order is that
/// of loads.
template <class Rule, bool Protect>
MOE_INLINE Action handle_miss(Context<Rule>& ctx, const Output& out, uint32_t entry) {
  const MissAction miss = static_cast<MissAction>(ctx.p.miss);
  if (miss == MissAction::cpu) return kCpu;
  const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[entry];
  Entry& e = ctx.s.entries()[entry];
  e.place = admit<Rule, Protect>(ctx, key, e);
  if (e.place == kNone) return miss == MissAction::load ? kStream : kCpu;
  if (Rule::kRanked) {
    const int64_t rank = Rule::rank_on_load(ctx, e.weight);
    ctx.s.rank()[e.place] = Protect ? kNeverVictim : rank;
    e.saved_rank = rank;
  }
  if constexpr (HidesProtected<Rule> && Protect) Rule::hide(ctx, ctx.instance, key);
  if (!Protect) {
    ctx.join_rings(ctx.instance, e.place);
  } else if (Rule::kOrder && !Rule::kTouches) {
    ctx.order(ctx.instance).append(e.place);
  }
  return miss == MissAction::load ? kLoad : kCpuLoad;
}

/// Takes the dispatch's hits out of the search.
template <class Rule>
MOE_INLINE void shield(Context<Rule>& ctx, uint32_t n) {
  Entry* const entries = ctx.s.entries();
  for (uint32_t j = 0; j < n; ++j) {
    if (entries[j].place == kNone) continue;
    if constexpr (HidesProtected<Rule>) {
      Rule::hide(ctx, ctx.instance, ctx.s.resident(entries[j].place).key);
      continue;
    }
    entries[j].saved_rank = ctx.s.rank()[entries[j].place];
    ctx.s.rank()[entries[j].place] = kNeverVictim;
  }
}

/// Ends protection: ranks come back (if `shielded`), and rings take the dispatch's experts in order of access.
template <class Rule>
MOE_INLINE void settle(Context<Rule>& ctx, const Output& out, uint32_t n, bool shielded) {
  Entry* const entries = ctx.s.entries();
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
    if (out.action[j] == kHit) {
      ctx.move_to_end(ctx.instance, place);
    } else {
      if (Rule::kTouches) ctx.order(ctx.instance).append(place);
      if (ctx.keeps_recency()) ctx.recency(ctx.instance).append(place);
    }
  }
}

/// Steps 1 to 3 with the dispatch's experts protected.
template <class Rule>
MOE_INLINE void run_protected(Context<Rule>& ctx, const Output& out, uint32_t n) {
  Entry* const entries = ctx.s.entries();
  uint32_t misses = 0;
  for (uint32_t j = 0; j < n; ++j) {
    count_access(ctx, out, j);
    const bool miss = entries[j].place == kNone;
    out.action[j] = miss ? kLoad : kHit;
    misses += miss;
  }
  if constexpr (Rule::kThreshold) FreqThreshold::leave_below(ctx);
  if (misses != 0) {
    if (Rule::kRanked || HidesProtected<Rule>) shield(ctx, n);
    for (uint32_t j = 0; j < n; ++j) {
      if (out.action[j] != kHit) out.action[j] = handle_miss<Rule, true>(ctx, out, j);
    }
  }
  settle(ctx, out, n, misses != 0);
}

/// Steps 1, 2, 3 and 5 access by access.
template <class Rule>
MOE_INLINE void run_unprotected(Context<Rule>& ctx, const Output& out, uint32_t n) {
  for (uint32_t j = 0; j < n; ++j) {
    count_access(ctx, out, j);
    const uint32_t place = ctx.s.entries()[j].place;
    if constexpr (Rule::kThreshold) FreqThreshold::leave_below(ctx);
    if (place == kNone) {
      out.action[j] = handle_miss<Rule, false>(ctx, out, j);
    } else {
      out.action[j] = kHit;
      const Resident& r = ctx.s.resident(place);
      if (r.key != kNone && !is_pinned(r)) ctx.move_to_end(ctx.instance, place);
    }
    // Step 3 of the dispatch ends with step 3 of its last access.
    if constexpr (Rule::kThreshold) {
      if (j + 1 == n) FreqThreshold::end_exemption(ctx);
    }
    run_triggers(ctx);
  }
}

/// Step 0: what the mechanism could not keep leaves.
template <class Rule>
inline void drop(Context<Rule>& ctx, const Input& in) {
  for (uint32_t j = 0; j < in.num_dropped; ++j) {
    const uint32_t place = ctx.s.place_of(in.dropped[j]);
    if (place == kNone || is_pinned(ctx.s.resident(place))) continue;
    ctx.evict(place);
  }
}

template <class Rule>
MOE_INLINE uint32_t dispatch(const Params& p, void* block, const Input& in, Output& out) {
  const uint32_t n = collect(p, State(p, block), in, out);
  if (n == kNone) return kInvalid;
  Context<Rule> ctx(p, block, in, out);
  if (in.num_dropped != 0) drop(ctx, in);
  if (p.protect_selected != 0) {
    run_protected(ctx, out, n);
  } else {
    run_unprotected(ctx, out, n);
  }
  if constexpr (Rule::kThreshold) {
    if (p.protect_selected != 0 || n == 0) FreqThreshold::end_exemption(ctx);
  }
  out.num_prefetched = strategy_of(p) != Strategy::none ? prefetch(ctx, in, out, n) : 0;
  if (p.protect_selected != 0 || strategy_of(p) != Strategy::none) run_triggers(ctx);
  out.num_entries = n;
  out.num_evicted = ctx.num_evicted;
  return kOk;
}

}  // namespace moe::decision
