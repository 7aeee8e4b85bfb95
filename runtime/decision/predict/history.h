// SPDX-License-Identifier: Apache-2.0
// history and lookahead: what a layer used in its last dispatches it will use again.
#pragma once
#include "runtime/decision/phases.h"

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

/// Dispatches of `layer` that its counts are of: what was asked for last.
template <class Rule>
MOE_INLINE uint32_t counted_window(const Context<Rule>& ctx, uint32_t layer) {
  return history_varies(ctx.p) ? ctx.s.history_counted(layer) : ctx.p.history_window;
}

/// Remembers which experts a layer's dispatch used.
template <class Rule>
MOE_FOLDED void record_history_here(Context<Rule>& ctx, const uint32_t* experts, uint32_t n) {
  const uint32_t layer = ctx.layer;
  const uint64_t number = ++ctx.s.history_length(layer);
  const uint32_t most = max_history_window(ctx.p);
  const uint32_t window = counted_window(ctx, layer);
  uint32_t* const counts = ctx.s.history_counts() + layer * ctx.p.num_experts;
  if (number > window) {
    const uint64_t* const oldest = ctx.s.history_bits(layer, (number - 1 - window) % most);
    for (uint32_t word = 0; word < ctx.s.bit_words(); ++word) {
      for (uint64_t rest = oldest[word]; rest != 0; rest &= rest - 1) {
        --counts[word * 64 + static_cast<uint32_t>(std::countr_zero(rest))];
      }
    }
  }
  uint64_t* const bits = ctx.s.history_bits(layer, (number - 1) % most);
  for (uint32_t word = 0; word < ctx.s.bit_words(); ++word) bits[word] = 0;
  uint64_t* const last = ctx.s.history_last() + layer * ctx.p.num_experts;
  for (uint32_t j = 0; j < n; ++j) {
    bits[experts[j] / 64] |= uint64_t{1} << (experts[j] % 64);
    ++counts[experts[j]];
    last[experts[j]] = number;
  }
}

template <class Rule>
MOE_FOLDED void record_history(Context<Rule>& ctx, Output& out, uint32_t n) {
#ifdef MOE_CALLS_PHASES
  const Frame& frame = ctx.frame;
  if (calls_windows(ctx.p)) {
    return moe_phase_record_history(frame.params, &moe_layout, frame.block, frame.input, &out, n);
  }
#endif
  record_history_here(ctx, out.expert, n);
}

/// The counts of `layer` over the window in force, where variants differ in it.
template <class Rule>
MOE_FOLDED void count_history(Context<Rule>& ctx, uint32_t layer) {
  const uint32_t window = ctx.p.history_window;
  if (ctx.s.history_counted(layer) == window) return;
  ctx.s.history_counted(layer) = window;
  uint32_t* const counts = ctx.s.history_counts() + layer * ctx.p.num_experts;
  for (uint32_t e = 0; e < ctx.p.num_experts; ++e) counts[e] = 0;
  const uint64_t length = ctx.s.history_length(layer);
  for (uint64_t j = 0; j < (length < window ? length : window); ++j) {
    const uint64_t* const bits = ctx.s.history_bits(layer, (length - 1 - j) % max_history_window(ctx.p));
    for (uint32_t word = 0; word < ctx.s.bit_words(); ++word) {
      for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
        ++counts[word * 64 + static_cast<uint32_t>(std::countr_zero(rest))];
      }
    }
  }
}

/// Likewise of every layer that the chain's windows speak of.
template <class Rule>
MOE_FOLDED void count_histories(Context<Rule>& ctx) {
  for (uint32_t link = 0; link < 8; ++link) {
    const auto strategy = static_cast<Strategy>(link_of(ctx.p, link));
    if (strategy != Strategy::history && strategy != Strategy::lookahead) continue;
    const Targets targets = targets_of(ctx.p, strategy, ctx.layer);
    for (uint32_t ahead = targets.first; ahead <= targets.last; ++ahead) {
      count_history(ctx, (ctx.layer + ahead) % ctx.p.num_layers);
    }
  }
}

template <class Rule>
MOE_INLINE double history_share(const Context<Rule>& ctx, uint32_t key) {
  const uint64_t length = ctx.s.history_length(key / ctx.p.num_experts);
  const uint64_t window = length < ctx.rules().history_window ? length : ctx.rules().history_window;
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

inline constexpr uint32_t kMaxHistoryWindow = 4096;  ///< the language's limit

/// An expert's place in the order of its layer's window, as a number: the more frequent, then the more recent, then the
/// lower id is the greater. 0: the window has no such use. Counts and ages fit in 13 bits, ids in 16.
MOE_INLINE int64_t order_in_window(uint64_t count, uint64_t last, uint64_t length, uint32_t expert) {
  static_assert(kMaxHistoryWindow < 1u << 13 && kMaxExperts < 1u << 16);
  const uint64_t age = length - last;  // below the window where the count is not 0
  const uint64_t order = count << 32 | (kMaxHistoryWindow - (age & 0x1FFF)) << 16 | (0xFFFF - expert);
  return count == 0 ? 0 : static_cast<int64_t>(order);
}

/// Experts of `layer`'s window in that order. Returns whether there is any. Cost: a pass over the layer's experts,
/// which vectorises, and one for each that is offered.
template <class Rule, class List>
MOE_FOLDED bool offer_history(const Context<Rule>& ctx, uint32_t layer, List& list) {
  const uint32_t base = layer * ctx.p.num_experts;
  const uint32_t experts = ctx.p.num_experts;
  const uint32_t* const counts = ctx.s.history_counts() + base;
  const uint64_t* const last = ctx.s.history_last() + base;
  const uint32_t* const places = &ctx.s.place_of(base);
  const uint64_t length = ctx.s.history_length(layer);
  int64_t* const order = ctx.s.history_order();
  uint32_t any = 0;
  // Whoever is resident would be refused; but with `top` the refused count as well.
  const bool skip_residents = ctx.p.top == 0;
#ifdef __clang__  // rows of the state block do not overlap
#pragma clang loop vectorize(assume_safety)
#endif
  for (uint32_t e = 0; e < experts; ++e) {
    any |= counts[e];
    const int64_t its = order_in_window(counts[e], last[e], length, e);
    order[e] = skip_residents && places[e] != kNone ? 0 : its;
  }
  int64_t previous = INT64_MAX;
  for (uint32_t nth = 1; !list.full(); ++nth) {
    int64_t best = 0;
    for (uint32_t e = 0; e < experts; ++e) {
      const int64_t its = order[e] < previous ? order[e] : 0;
      best = its > best ? its : best;
    }
    if (best == 0) break;
    const uint32_t key = base + 0xFFFF - static_cast<uint32_t>(best & 0xFFFF);
    list.offer(key, history_share(ctx, key), nth);
    previous = best;
  }
  return any != 0;
}

}  // namespace moe::decision
