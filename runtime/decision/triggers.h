// SPDX-License-Identifier: Apache-2.0
// Step 5 of a dispatch: memory pressure, then TTL.
#pragma once
#include "runtime/decision/foreign.h"
#include "runtime/decision/phases.h"
#include "runtime/decision/rules/walk.h"

namespace moe::decision {

/// One resident of instance `i` leaves because of pressure. `spare_selected`: experts of the dispatch in progress may
/// not yet.
template <class Rule>
inline bool relieve_instance(Context<Rule>& ctx, uint32_t i, bool spare_selected) {
  const uint32_t victim = find_victim(ctx, i, kNone, [&](uint32_t place) __attribute__((always_inline)) {
    return !spare_selected || !ctx.selected(ctx.s.resident(place).key);
  });
  if (victim == kNone) return false;
  ctx.evict(victim);
  return true;
}

/// The dispatching layer's instance first, then the next layers' in turn: from `step` on, which moves past those that
/// have nobody.
template <class Rule>
inline bool relieve(Context<Rule>& ctx, bool spare_selected, uint32_t& step) {
  const uint32_t instances = ctx.p.num_instances();
  for (; step < instances; ++step) {
    const uint32_t i = (ctx.instance + step) % instances;
    const Params* const theirs = other_rules(ctx, i);
    const auto other = [&](Progress* progress) { return moe_relieve_other(progress, theirs, i, spare_selected); };
    const bool relieved = theirs == nullptr ? relieve_instance(ctx, i, spare_selected) : as_other(ctx, other);
    if (relieved) return true;
  }
  return false;
}

template <class Rule>
MOE_INLINE double memory_share(const Context<Rule>& ctx) {
  return static_cast<double>(ctx.s.header().num_resident) * ctx.p.expert_size_gb / ctx.p.memory_budget_gb;
}

/// Until memory is back to the headroom, or nobody is left that may leave.
template <class Rule>
inline void relieve_pressure_here(Context<Rule>& ctx) {
  bool spare_selected = ctx.p.protect_selected != 0;
  uint32_t step = 0;
  while (!(memory_share(ctx) <= ctx.p.memory_headroom)) {
    if (relieve(ctx, spare_selected, step)) continue;
    if (!spare_selected) return;
    spare_selected = false;
    step = 0;
  }
}

template <class Rule>
MOE_INLINE void relieve_pressure(Context<Rule>& ctx, [[maybe_unused]] Output& out) {
  if constexpr (Phases<Rule>::kFindVictims) {
    if (has_phases(ctx.p)) return call_phase(ctx, out, Phases<Rule>::kRelieve);
  }
  relieve_pressure_here(ctx);
}

/// Under a | b, where moves change what breaks ties.
template <class Rule>
inline void expire_by_walk(Context<Rule>& ctx, uint64_t last) {
  for (;;) {
    const uint32_t place = find_by_walk(ctx, ctx.instance, Eviction::lru, kNone, [&](uint32_t candidate) {
      const Resident& r = ctx.s.resident(candidate);
      return (r.flags & kPinned) == 0 && r.last_use <= last;
    });
    if (place == kNone) return;
    ctx.evict(place);
  }
}

/// The oldest until one was used after `last`.
template <class Rule>
inline void expire_here(Context<Rule>& ctx, const Ring& ring, uint64_t last) {
  for (uint32_t place = ring.head(); place != ring.end(); place = ring.head()) {
    if (ctx.s.resident(place).last_use > last) return;
    ctx.evict(place);
  }
}

template <class Rule>
MOE_INLINE Ring ring_of_last_use(const Context<Rule>& ctx) {
  return Rule::kTouches ? ctx.order(ctx.instance) : ctx.recency(ctx.instance);
}

template <class Rule>
inline void expire(Context<Rule>& ctx, [[maybe_unused]] Output& out) {
  const uint64_t accesses = ctx.s.instance(ctx.instance).accesses;
  if (accesses < ctx.p.ttl) return;
  const uint64_t last = accesses - ctx.p.ttl;
  if constexpr (Rule::kSegmented) return expire_by_walk(ctx, last);
  const Ring ring = ring_of_last_use(ctx);
  if constexpr (Phases<Rule>::kEvict) {
    if (has_phases(ctx.p)) {
      const uint32_t oldest = ring.head();
      if (oldest == ring.end() || ctx.s.resident(oldest).last_use > last) return;
      return call_phase(ctx, out, Phases<Rule>::kExpire);
    }
  }
  expire_here(ctx, ring, last);
}

template <class Rule>
MOE_INLINE void run_triggers(Context<Rule>& ctx, Output& out) {
  if (ctx.p.memory_threshold > 0 && memory_share(ctx) >= ctx.p.memory_threshold) relieve_pressure(ctx, out);
  if (ctx.p.ttl != 0) expire(ctx, out);
}

}  // namespace moe::decision
