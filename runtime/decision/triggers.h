// SPDX-License-Identifier: Apache-2.0
// Step 5 of a dispatch: memory pressure, then TTL.
#pragma once
#include "runtime/decision/rules/queue.h"

namespace moe::decision {

/// Evicts one resident because of pressure: the dispatching layer's instance first, then the next layers' in turn.
/// `spare_selected`: experts of the dispatch in progress may not leave yet.
template <class Rule>
inline bool relieve(Context<Rule>& ctx, bool spare_selected) {
  const uint32_t instances = ctx.p.num_instances();
  for (uint32_t step = 0; step < instances; ++step) {
    const uint32_t victim = find_victim(ctx, (ctx.instance + step) % instances, kNone, [&](uint32_t place) {
      return !spare_selected || !ctx.selected(ctx.s.resident(place).key);
    });
    if (victim == kNone) continue;
    ctx.evict(victim);
    return true;
  }
  return false;
}

template <class Rule>
inline void memory_pressure(Context<Rule>& ctx) {
  auto used = [&ctx] {
    return static_cast<double>(ctx.s.header().num_resident) * ctx.p.expert_size_gb / ctx.p.memory_budget_gb;
  };
  if (!(used() >= ctx.p.memory_threshold)) return;
  bool spare_selected = ctx.p.protect_selected != 0;
  while (!(used() <= ctx.p.memory_headroom)) {
    if (relieve(ctx, spare_selected)) continue;
    if (!spare_selected) return;
    spare_selected = false;
  }
}

template <class Rule>
inline void expire(Context<Rule>& ctx) {
  const uint64_t accesses = ctx.s.instance(ctx.instance).accesses;
  if (accesses < ctx.p.ttl) return;
  const Ring ring = Rule::kTouches ? ctx.order(ctx.instance) : ctx.recency(ctx.instance);
  for (uint32_t place = ring.head(); place != ring.end(); place = ring.head()) {
    if (ctx.s.resident(place).last_use > accesses - ctx.p.ttl) return;
    ctx.evict(place);
  }
}

template <class Rule>
MOE_INLINE void run_triggers(Context<Rule>& ctx) {
  if (ctx.p.memory_threshold > 0) memory_pressure(ctx);
  if (ctx.p.ttl != 0) expire(ctx);
}

}  // namespace moe::decision
