// SPDX-License-Identifier: Apache-2.0
// per_layer: the slots of the cache, shared out anew among the layers. docs/semantics.md, "per_layer".
#pragma once
#include "runtime/decision/foreign.h"
#include "runtime/decision/install.h"
#include "runtime/decision/metrics.h"

namespace moe::decision {

/// utility: at which depth of the layer's order of last use this access would have hit, residents before ghosts.
template <class Rule>
inline void note_depth(Context<Rule>& ctx, uint32_t key) {
  const uint32_t most = ctx.p.max_capacity();
  const uint32_t i = ctx.instance;
  const uint32_t place = ctx.s.place_of(key);
  uint32_t depth = 0;
  if (place != kNone) {
    const uint64_t last_use = ctx.s.resident(place).last_use;
    const uint32_t first = ctx.s.first_place(i);
    for (uint32_t other = first; other < first + most; ++other) {
      const Resident& r = ctx.s.resident(other);
      depth += r.key != kNone && r.last_use > last_use ? 1 : 0;
    }
  } else {
    uint32_t* const ghosts = ctx.s.ghosts(i);
    uint32_t& n = ctx.s.num_ghosts(i);
    uint32_t at = n;  // the newest come last
    while (at > 0 && ghosts[at - 1] != key) --at;
    if (at == 0) return;
    depth = ctx.s.instance(i).capacity + (n - at);
    for (; at < n; ++at) ghosts[at - 1] = ghosts[at];
    --n;
  }
  if (depth < most) ++ctx.s.hits_at_depth(i)[depth];
}

/// Slot by slot to the layer whose next slot promises most hits; ties to the layer with fewer slots, then the lower.
template <class Rule>
inline void share_by_utility(Context<Rule>& ctx, const PerLayer& limits, uint64_t rest) {
  uint32_t* const slots = ctx.s.slots();
  const auto gain = [&](uint32_t layer) {
    return slots[layer] < ctx.p.max_capacity() ? ctx.s.hits_at_depth(layer)[slots[layer]] : 0;
  };
  for (; rest > 0; --rest) {
    uint32_t best = kNone;
    for (uint32_t layer = 0; layer < ctx.p.num_layers; ++layer) {
      if (slots[layer] >= limits.max_capacity) continue;
      const bool better =
          best == kNone || gain(layer) > gain(best) || (gain(layer) == gain(best) && slots[layer] < slots[best]);
      if (better) best = layer;
    }
    ++slots[best];
  }
}

/// One round among the layers that are not full: each gets the whole part of its quota. When a cap cut somebody short,
/// what is left goes into the next round; otherwise it goes to the largest fractions, one slot each.
template <class Rule>
inline void share_round(Context<Rule>& ctx, const PerLayer& limits, uint64_t& rest) {
  uint32_t* const slots = ctx.s.slots();
  double* const fraction = ctx.s.slot_fractions();
  uint32_t num_open = 0;
  double sum = 0;
  for (uint32_t layer = 0; layer < ctx.p.num_layers; ++layer) {
    fraction[layer] = -1;  // not open, or served
    if (slots[layer] >= limits.max_capacity) continue;
    ++num_open;
    sum += ctx.s.slot_weights()[layer];
  }
  const double whole = static_cast<double>(rest);
  bool capped = false;
  for (uint32_t layer = 0; layer < ctx.p.num_layers; ++layer) {
    if (slots[layer] >= limits.max_capacity) continue;
    const double quota = sum > 0 ? whole * ctx.s.slot_weights()[layer] / sum : whole / static_cast<double>(num_open);
    const uint64_t room = limits.max_capacity - slots[layer];
    const uint64_t wanted = static_cast<uint64_t>(math::floor(quota));
    uint64_t part = wanted < room ? wanted : room;
    part = part < rest ? part : rest;
    capped |= wanted > room;
    fraction[layer] = quota - math::floor(quota);
    slots[layer] += static_cast<uint32_t>(part);
    rest -= part;
  }
  while (!capped && rest > 0) {
    uint32_t best = kNone;
    for (uint32_t layer = 0; layer < ctx.p.num_layers; ++layer) {
      if (fraction[layer] < 0 || slots[layer] >= limits.max_capacity) continue;
      if (best == kNone || fraction[layer] > fraction[best]) best = layer;
    }
    if (best == kNone) return;
    fraction[best] = -1;
    ++slots[best];
    --rest;
  }
}

/// The slots of each layer, into s.slots(). A signal of which no layer has any counts as uniform.
template <class Rule>
inline void share_out(Context<Rule>& ctx, const PerLayer& limits, Allocation allocation) {
  const uint32_t layers = ctx.p.num_layers;
  const uint64_t used = uint64_t{limits.min_capacity} * layers;
  const uint64_t most = uint64_t{limits.max_capacity} * layers;
  const uint64_t wanted = limits.has_total != 0 ? limits.total : uint64_t{layers} * ctx.p.capacity;
  const uint64_t total = wanted < most ? wanted : most;
  uint64_t rest = total > used ? total - used : 0;
  for (uint32_t layer = 0; layer < layers; ++layer) ctx.s.slots()[layer] = limits.min_capacity;
  if (allocation == Allocation::utility) return share_by_utility(ctx, limits, rest);
  for (uint32_t layer = 0; layer < layers; ++layer) {
    const double signal = allocation == Allocation::entropy ? entropy(ctx.p, ctx.s, layer) : 1.0;
    ctx.s.slot_weights()[layer] = signal > 0 && signal < math::kInfinity ? signal : 0.0;
  }
  while (rest > 0) share_round(ctx, limits, rest);
}

/// A resized layer keeps its contents and counters; what no longer fits leaves by the rule in force there.
template <class Rule>
inline void rebalance(Context<Rule>& ctx, const PerLayer& limits, Allocation allocation) {
  share_out(ctx, limits, allocation);
  for (uint32_t i = 0; i < ctx.p.num_instances(); ++i) {
    if (limits.counts_depth != 0) {
      for (uint32_t depth = 0; depth < ctx.p.max_capacity(); ++depth) ctx.s.hits_at_depth(i)[depth] = 0;
    }
    Instance& instance = ctx.s.instance(i);
    if (instance.capacity == ctx.s.slots()[i]) continue;
    set_capacity(instance, ctx.s.slots()[i]);
    const Params* const theirs = other_rules(ctx, i);
    if (theirs == nullptr) {
      resize(ctx, i);
    } else {
      as_other(ctx, [&](Progress* progress) { return moe_resize_other(progress, theirs, i); });
    }
  }
}

}  // namespace moe::decision
