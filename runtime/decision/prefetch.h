// SPDX-License-Identifier: Apache-2.0
// Step 4 of a dispatch: what the strategy names, and places for it.
#pragma once
#include "runtime/decision/foreign.h"
#include "runtime/decision/prefetch_evict.h"

namespace moe::decision {

inline constexpr uint32_t kWindowStrategies =
    1u << static_cast<uint32_t>(Strategy::history) | 1u << static_cast<uint32_t>(Strategy::lookahead);

constexpr Strategy strategy_of(const Params& p) { return static_cast<Strategy>(p.strategy); }

/// Dispatches of `layer` that its counts are of: what was asked for last.
template <class Rule>
MOE_INLINE uint32_t counted_window(const Context<Rule>& ctx, uint32_t layer) {
  return history_varies(ctx.p) ? ctx.s.history_counted(layer) : ctx.p.history_window;
}

/// Remembers which experts a layer's dispatch used.
template <class Rule>
inline void record_history(Context<Rule>& ctx, const uint32_t* experts, uint32_t n) {
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

/// The counts of `layer` over the window in force, where variants differ in it.
template <class Rule>
inline void count_history(Context<Rule>& ctx, uint32_t layer) {
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

/// The strategies' target layers for a dispatch of `layer`: [first, last] layers ahead.
struct Targets {
  uint32_t first;
  uint32_t last;
};
MOE_INLINE Targets targets_of(const Params& p) {
  if (strategy_of(p) == Strategy::history) {
    const uint32_t distance = (p.lookahead - 1) % p.num_layers + 1;
    return {distance, distance};
  }
  return {1, p.lookahead < p.num_layers ? p.lookahead : p.num_layers};
}

template <class Rule>
MOE_INLINE double history_share(const Context<Rule>& ctx, uint32_t key) {
  const uint64_t length = ctx.s.history_length(key / ctx.rules().num_experts);
  const uint64_t window = length < ctx.rules().history_window ? length : ctx.rules().history_window;
  if (window == 0) return 0;
  return static_cast<double>(ctx.s.history_counts()[key]) / static_cast<double>(window);
}

/// What the strategy says now for a resident.
template <class Rule>
inline double predicted(const Context<Rule>& ctx, uint32_t key) {
  const Input& in = *ctx.frame.input;
  const uint32_t layer = key / ctx.rules().num_experts;
  const uint32_t ahead = layer > ctx.layer ? layer - ctx.layer : layer + ctx.rules().num_layers - ctx.layer;
  const Targets targets = targets_of(ctx.rules());
  if (ahead < targets.first || ahead > targets.last) return 0;
  if (strategy_of(ctx.rules()) != Strategy::gate) return history_share(ctx, key);
  if (in.hints == nullptr) return 0;
  const Hint& hint = in.hints[layer];
  const uint32_t expert = key - layer * ctx.rules().num_experts;
  for (uint32_t j = 0; j < hint.count; ++j) {
    if (hint.ids[j] == expert) return static_cast<double>(hint.probabilities[j]) + 0.0;
  }
  return 0;
}

/// Collects candidates until the budget is used; the first ones win.
template <class Rule>
class CandidateList {
 public:
  MOE_INLINE explicit CandidateList(const Context<Rule>& ctx) : ctx_(ctx), list_(ctx.s.candidates()) {}
  MOE_INLINE bool full() const { return count_ == ctx_.rules().budget; }
  MOE_INLINE uint32_t count() const { return count_; }
  MOE_INLINE const Candidate& operator[](uint32_t i) const { return list_[i]; }
  /// Candidates of another target layer follow.
  MOE_INLINE void next_layer() { listed_ = 0; }
  MOE_INLINE void offer(uint32_t key, double probability) {
    if (ctx_.rules().top != 0 && ++listed_ > ctx_.rules().top) return;
    if (probability < ctx_.rules().min_probability || ctx_.s.place_of(key) != kNone || ctx_.selected(key)) return;
    if (ctx_.rules().has_when != 0 && ctx_.ask(kSiteWhen, key, kNone, kNone) == 0) return;
    list_[count_++] = {key, 0, probability};
  }

 private:
  const Context<Rule>& ctx_;
  Candidate* list_;
  uint32_t count_ = 0;
  uint32_t listed_ = 0;
};

/// Experts of `layer`'s window, most frequent first, then more recent, then lower id: each round finds the next in that
/// order.
template <class Rule>
inline void offer_history(const Context<Rule>& ctx, uint32_t layer, CandidateList<Rule>& list) {
  const uint32_t base = layer * ctx.rules().num_experts;
  const uint32_t* const counts = ctx.s.history_counts() + base;
  const uint64_t* const last = ctx.s.history_last() + base;
  auto before = [&](uint32_t a, uint32_t b) {
    if (counts[a] != counts[b]) return counts[a] > counts[b];
    if (last[a] != last[b]) return last[a] > last[b];
    return a < b;
  };
  uint32_t previous = kNone;
  while (!list.full()) {
    uint32_t best = kNone;
    for (uint32_t e = 0; e < ctx.rules().num_experts; ++e) {
      if (counts[e] == 0 || (previous != kNone && !before(previous, e))) continue;
      if (best == kNone || before(e, best)) best = e;
    }
    if (best == kNone) return;
    list.offer(base + best, history_share(ctx, base + best));
    previous = best;
  }
}

/// A place for candidate `c`: a free one, or a victim's that is predicted less likely. False: no such, or `admit` of
/// prefetch refuses it.
template <class Rule>
inline bool make_room(Context<Rule>& ctx, uint32_t i, const Candidate& c) {
  uint32_t victim = kNone;
  if constexpr (Rule::kQueue) Rule::miss(ctx, i, c.key);
  if (ctx.s.instance(i).num_free <= 0) {
    const auto may_leave = [&](uint32_t place) {
      const uint32_t key = ctx.s.resident(place).key;
      return !ctx.selected(key) && predicted(ctx, key) < c.predicted;
    };
    victim =
        ctx.rules().has_prefetch_evict != 0 ? find_leaver(ctx, i, may_leave) : find_victim(ctx, i, c.key, may_leave);
    if (victim == kNone) return false;
  }
  if (ctx.rules().prefetch_admit == kPrefetchNever) return false;
  if (ctx.rules().prefetch_admit == kPrefetchWhen) {
    const uint32_t leaver = victim == kNone ? kNone : ctx.s.resident(victim).key;
    if (ctx.ask(kSitePrefetchAdmit, c.key, kNone, leaver) == 0) return false;
  }
  if (victim != kNone) ctx.evict(victim, /*as_victim=*/true);
  return true;
}

/// True: `c` is resident in instance `i` from now on.
template <class Rule>
inline bool take_in(Context<Rule>& ctx, uint32_t i, const Candidate& c) {
  if (!make_room(ctx, i, c)) return false;
  const uint32_t place = ctx.occupy(i, c.key, ctx.s.instance(i).accesses, c.predicted);
  if (has_window(ctx.p)) ctx.exempt(place);
  if (keeps(ctx.p, kCountsPrefetches)) ctx.s.resident(place).flags |= kUnusedPrefetch;
  if (Rule::kRanked) ctx.s.rank()[place] = Rule::rank_on_prefetch(c.predicted);
  if constexpr (Rule::kQueue) Rule::insert(ctx, i, c.key);
  ctx.join_rings(i, place);
  return true;
}

/// Predictors learn from every dispatch once their strategy has been in force.
template <class Rule>
inline void observe(Context<Rule>& ctx, const Output& out, uint32_t num_entries) {
  if (!has_history(ctx.p)) return;
  if (changes_of(ctx.p) != nullptr) {
    uint32_t& strategies = ctx.s.header().strategies;
    strategies |= 1u << ctx.p.strategy;
    if ((strategies & kWindowStrategies) == 0) return;
  }
  record_history(ctx, out.expert, num_entries);
}

/// Returns the number of prefetches written to `out.prefetched`.
template <class Rule>
inline uint32_t prefetch(Context<Rule>& ctx, const Input& in, const Output& out) {
  const Targets targets = targets_of(ctx.p);
  if (history_varies(ctx.p) && strategy_of(ctx.p) != Strategy::gate) {
    for (uint32_t ahead = targets.first; ahead <= targets.last; ++ahead) {
      count_history(ctx, (ctx.layer + ahead) % ctx.p.num_layers);
    }
  }
  CandidateList<Rule> list(ctx);
  for (uint32_t ahead = targets.first; ahead <= targets.last && !list.full(); ++ahead) {
    const uint32_t layer = (ctx.layer + ahead) % ctx.p.num_layers;
    list.next_layer();
    if (strategy_of(ctx.p) != Strategy::gate) {
      offer_history(ctx, layer, list);
    } else if (in.hints != nullptr) {
      const Hint& hint = in.hints[layer];
      for (uint32_t j = 0; j < hint.count && !list.full(); ++j) {
        list.offer(layer * ctx.p.num_experts + hint.ids[j], static_cast<double>(hint.probabilities[j]) + 0.0);
      }
    }
  }
  uint32_t n = 0;
  for (uint32_t j = 0; j < list.count(); ++j) {
    const Candidate c = list[j];
    const uint32_t i = ctx.s.instance_of_layer(c.key / ctx.p.num_experts);
    const Params* const theirs = other_rules(ctx, i);
    const auto other = [&](Progress* progress) { return moe_prefetch_other(progress, theirs, i, &c); };
    if (theirs == nullptr ? take_in(ctx, i, c) : as_other(ctx, other)) {
      out.prefetched[n++] = c.key;
    }
  }
  return n;
}

}  // namespace moe::decision
