// SPDX-License-Identifier: Apache-2.0
// `arrival`: what is loaded behind the host takes its place at once, and can be hit after some more dispatches of its
// layer.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// Into its place by last use, ties by the earlier load: those used last are at the end.
template <class Rule>
MOE_INLINE void move_by_load(Context<Rule>& ctx, const Ring& ring, uint32_t place) {
  const Resident& r = ctx.s.resident(place);
  ring.remove(place);
  uint32_t before = ring.tail();
  const auto comes_later = [&](const Resident& other) { return other.last_use == r.last_use && other.load > r.load; };
  while (before != ring.end() && comes_later(ctx.s.resident(before))) before = ring.previous(before);
  ring.insert_after(before, place);
}

/// Loads that arrive with this dispatch of the layer count as used now, before its own accesses.
template <class Rule>
inline void arrive(Context<Rule>& ctx) {
  if (ctx.s.header().num_arriving == 0) return;
  const uint64_t now = ctx.s.layer_dispatches()[ctx.layer];
  const uint32_t base = ctx.layer * ctx.p.num_experts;
  for (uint32_t key = base; key < base + ctx.p.num_experts; ++key) {
    const uint32_t place = ctx.s.place_of(key);
    if (place == kNone || ctx.s.arrives()[place] != now) continue;
    --ctx.s.header().num_arriving;
    ctx.s.resident(place).last_use = ctx.s.instance(ctx.instance).accesses;
    if (Rule::kTouches) move_by_load(ctx, ctx.order(ctx.instance), place);
    if (ctx.keeps_recency()) move_by_load(ctx, ctx.recency(ctx.instance), place);
  }
}

/// What is in `place` was loaded behind by the dispatch in progress.
template <class Rule>
MOE_INLINE void load_behind(Context<Rule>& ctx, uint32_t place) {
  ctx.s.arrives()[place] = ctx.s.layer_dispatches()[ctx.layer] + ctx.p.arrival + 1;
  ++ctx.s.header().num_arriving;
}

}  // namespace moe::decision
