// SPDX-License-Identifier: Apache-2.0
// history and lookahead: what a layer used in its last dispatches it will use again.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// Layers ahead of the dispatch's: [first, last].
struct Targets {
  uint32_t first;
  uint32_t last;
};

/// The layers that a strategy speaks of at a dispatch of `layer`.
MOE_INLINE Targets targets_of(const Params& p, Strategy strategy, uint32_t layer) {
  const uint32_t left = p.num_layers - 1 - layer;  // those after it; sequence and trajectory do not wrap
  switch (strategy) {
    case Strategy::history: {
      const uint32_t distance = (p.lookahead - 1) % p.num_layers + 1;
      return {distance, distance};
    }
    case Strategy::affinity:
    case Strategy::learned:
      return {1, 1};
    case Strategy::sequence:
      return {1, p.lookahead < left ? p.lookahead : left};
    case Strategy::trajectory:
      return {p.lookahead, left};
    default:
      return {1, reach_of(p)};
  }
}

/// Remembers which experts a layer's dispatch used.
template <class Rule>
MOE_FOLDED void record_history(Context<Rule>& ctx, const uint32_t* experts, uint32_t n) {
  const uint32_t layer = ctx.layer;
  const uint64_t number = ++ctx.s.history_length(layer);
  uint64_t* const bits = ctx.s.history_bits(layer, (number - 1) % ctx.p.history_window);
  uint32_t* const counts = ctx.s.history_counts() + layer * ctx.p.num_experts;
  const bool full = number > ctx.p.history_window;
  for (uint32_t word = 0; word < ctx.s.bit_words(); ++word) {
    for (uint64_t rest = full ? bits[word] : 0; rest != 0; rest &= rest - 1) {
      --counts[word * 64 + static_cast<uint32_t>(std::countr_zero(rest))];
    }
    bits[word] = 0;
  }
  uint64_t* const last = ctx.s.history_last() + layer * ctx.p.num_experts;
  for (uint32_t j = 0; j < n; ++j) {
    bits[experts[j] / 64] |= uint64_t{1} << (experts[j] % 64);
    ++counts[experts[j]];
    last[experts[j]] = number;
  }
}

template <class Rule>
MOE_INLINE double history_share(const Context<Rule>& ctx, uint32_t key) {
  const uint64_t length = ctx.s.history_length(key / ctx.p.num_experts);
  const uint64_t window = length < ctx.p.history_window ? length : ctx.p.history_window;
  if (window == 0) return 0;
  return static_cast<double>(ctx.s.history_counts()[key]) / static_cast<double>(window);
}

/// Whether the layer's window has an expert.
template <class Rule>
MOE_INLINE bool history_names(const Context<Rule>& ctx, uint32_t layer) {
  const uint32_t* const counts = ctx.s.history_counts() + layer * ctx.p.num_experts;
  uint32_t any = 0;
  for (uint32_t e = 0; e < ctx.p.num_experts; ++e) any |= counts[e];
  return any != 0;
}

/// Experts of `layer`'s window, most frequent first, then more recent, then lower id: each round finds the next in that
/// order. Returns whether there is any.
template <class Rule, class List>
MOE_FOLDED bool offer_history(const Context<Rule>& ctx, uint32_t layer, List& list) {
  const uint32_t base = layer * ctx.p.num_experts;
  const uint32_t* const counts = ctx.s.history_counts() + base;
  const uint64_t* const last = ctx.s.history_last() + base;
  auto before = [&](uint32_t a, uint32_t b) {
    if (counts[a] != counts[b]) return counts[a] > counts[b];
    if (last[a] != last[b]) return last[a] > last[b];
    return a < b;
  };
  uint32_t previous = kNone;
  for (uint32_t nth = 1; !list.full(); ++nth) {
    uint32_t best = kNone;
    for (uint32_t e = 0; e < ctx.p.num_experts; ++e) {
      if (counts[e] == 0 || (previous != kNone && !before(previous, e))) continue;
      if (best == kNone || before(e, best)) best = e;
    }
    if (best == kNone) break;
    list.offer(base + best, history_share(ctx, base + best), nth);
    previous = best;
  }
  return previous != kNone;
}

}  // namespace moe::decision
