// SPDX-License-Identifier: Apache-2.0
// A chain of strategies: the first that names anybody has said what is predicted now.
#pragma once
#include "runtime/decision/predict/affinity.h"
#include "runtime/decision/predict/learner.h"
#include "runtime/decision/predict/most.h"
#include "runtime/decision/predict/sequence.h"
#include "runtime/decision/predict/told.h"
#include "runtime/decision/predict/trajectory.h"

namespace moe::decision {

constexpr bool is_chain(const Params& p) { return p.next_strategies != 0; }

/// The dispatch has run: predictors learn from it once their strategy has been in force, whether they will be asked or
/// not. history and lookahead share one.
template <class Rule>
MOE_FOLDED void observe(Context<Rule>& ctx, const Input& in, Output& out, uint32_t n) {
  constexpr uint32_t kAll = ~0u;
  const auto bit = [](Strategy strategy) { return 1u << static_cast<uint32_t>(strategy); };
  uint32_t made = kAll;
  if (changes_of(ctx.p) != nullptr) {
    uint32_t& strategies = ctx.s.header().strategies;
    for (uint32_t i = 0; i < 8; ++i) strategies |= 1u << link_of(ctx.p, i);
    made = strategies;
  }
  const uint32_t windows = bit(Strategy::history) | bit(Strategy::lookahead);
  if (has_history(ctx.p) && (made & windows) != 0) record_history(ctx, out, n);
  if (has_predictor(ctx.p, Strategy::affinity) && (made & bit(Strategy::affinity)) != 0) {
    Affinity::observe(ctx, out.expert, n);
  }
  if (has_predictor(ctx.p, Strategy::sequence) && (made & bit(Strategy::sequence)) != 0) {
    Sequence(ctx.p, ctx.s).observe(ctx.layer, out, n);
  }
  if (has_predictor(ctx.p, Strategy::trajectory) && (made & bit(Strategy::trajectory)) != 0) {
    Trajectory(ctx.p, ctx.s).observe(ctx.layer, in, out, n);
  }
}

/// Writes to the ranking what a strategy without an order of its own names; returns how many.
template <class Rule>
MOE_FOLDED uint32_t name(const Context<Rule>& ctx, Strategy strategy) {
  if (in_chain(ctx.p, Strategy::affinity) && strategy == Strategy::affinity) return Affinity::name(ctx);
  if (in_chain(ctx.p, Strategy::most) && strategy == Strategy::most) return name_most(ctx);
  if (has_use_head(ctx.p) && strategy == Strategy::learned) return Learner(ctx.p, ctx.s).name(ctx.layer);
  if (in_chain(ctx.p, Strategy::sequence) && strategy == Strategy::sequence) {
    return Sequence(ctx.p, ctx.s).name(ctx.layer);
  }
  if (in_chain(ctx.p, Strategy::trajectory) && strategy == Strategy::trajectory) {
    return Trajectory(ctx.p, ctx.s).name(ctx.layer);
  }
  return 0;
}

/// Whether history, lookahead or gate name anybody.
template <class Rule>
MOE_FOLDED bool names(const Context<Rule>& ctx, const Input& in, Strategy strategy) {
  const bool by_window = strategy == Strategy::history || strategy == Strategy::lookahead;
  if (!by_window && strategy != Strategy::gate) return false;
  const Targets targets = targets_of(ctx.p, strategy, ctx.layer);
  for (uint32_t ahead = targets.first; ahead <= targets.last; ++ahead) {
    const uint32_t layer = (ctx.layer + ahead) % ctx.p.num_layers;
    if (has_history(ctx.p) && by_window && history_names(ctx, layer)) return true;
    if (in_chain(ctx.p, Strategy::gate) && !by_window && hint_for(in, layer) != nullptr) return true;
  }
  return false;
}

/// Candidates of history, lookahead or gate, nearest layer first. Returns whether it names anybody.
template <class Rule, class List>
MOE_FOLDED bool offer_layers_here(const Context<Rule>& ctx, const Input& in, Strategy strategy, List& list) {
  const bool by_window = strategy == Strategy::history || strategy == Strategy::lookahead;
  const Targets targets = targets_of(ctx.p, strategy, ctx.layer);
  bool any = false;
  for (uint32_t ahead = targets.first; ahead <= targets.last && !list.full(); ++ahead) {
    const uint32_t layer = (ctx.layer + ahead) % ctx.p.num_layers;
    if (has_history(ctx.p) && by_window) any |= offer_history(ctx, layer, list);
    if (in_chain(ctx.p, Strategy::gate) && !by_window) any |= offer_hint(ctx, in, layer, list);
  }
  return any;
}

template <class Rule, class List>
MOE_FOLDED bool offer_layers(const Context<Rule>& ctx, const Input& in, Strategy strategy, List& list) {
#ifdef MOE_CALLS_PHASES
  const bool by_window = strategy == Strategy::history || strategy == Strategy::lookahead;
  if (by_window && calls_windows(ctx.p) && ctx.p.has_when == 0) {
    const Frame& frame = ctx.frame;
    const uint64_t offered = moe_phase_offer_windows(frame.params, &moe_layout, frame.block, &in, frame.output,
                                                     static_cast<uint32_t>(strategy));
    list.set_count(static_cast<uint32_t>(offered));
    return offered >> 32 != 0;
  }
#endif
  return offer_layers_here(ctx, in, strategy, list);
}

/// Candidates of a ranking: in one order, or layer by layer as they lie there.
template <class Rule, class List>
MOE_FOLDED void offer_ranking(const Context<Rule>& ctx, Strategy strategy, uint32_t size, List& list) {
  Named* const ranking = ranking_of(ctx.s);
  if (mixes_layers(ctx.p) && (strategy == Strategy::sequence || strategy == Strategy::trajectory)) {
    uint32_t* const listed = ctx.s.template at<uint32_t>(ctx.s.predict().listed);
    for (uint32_t l = 0; ctx.p.top != 0 && l < ctx.p.num_layers; ++l) listed[l] = 0;
    in_rank_order(ranking, size, [&](const Named& r) {
      list.offer(r.key, r.predicted, ctx.p.top != 0 ? ++listed[r.key / ctx.p.num_experts] : 0);
      return !list.full();
    });
    return;
  }
  for (uint32_t begin = 0, end = 0; begin < size && !list.full(); begin = end) {
    const uint32_t layer = ranking[begin].key / ctx.p.num_experts;
    while (end < size && ranking[end].key / ctx.p.num_experts == layer) ++end;
    uint32_t nth = 0;
    in_rank_order(ranking + begin, end - begin, [&](const Named& r) {
      list.offer(r.key, r.predicted, ++nth);
      return !list.full();
    });
  }
}

/// Asks one strategy: candidates go to `list`. Returns whether it names anybody.
template <class Rule, class List>
MOE_FOLDED bool ask_link(const Context<Rule>& ctx, const Input& in, Strategy strategy, List& list) {
  if (!has_table(ctx.p)) return offer_layers(ctx, in, strategy, list);
  const uint32_t num_ranked = name(ctx, strategy);
  if (num_ranked == 0 && !names(ctx, in, strategy)) return false;
  tell(ctx, in, strategy, num_ranked);
  if (num_ranked != 0) {
    offer_ranking(ctx, strategy, num_ranked, list);
  } else {
    offer_layers(ctx, in, strategy, list);
  }
  return true;
}

/// Asks the chain. Returns the strategy that named somebody; none: nobody did.
template <class Rule, class List>
MOE_FOLDED Strategy ask(const Context<Rule>& ctx, const Input& in, List& list) {
  for (uint64_t links = uint64_t{ctx.p.next_strategies} << 4 | ctx.p.strategy; links != 0; links >>= 4) {
    const auto strategy = static_cast<Strategy>(links & 15);
    if (ask_link(ctx, in, strategy, list)) return strategy;
  }
  if (has_table(ctx.p)) forget(ctx);
  return Strategy::none;
}

}  // namespace moe::decision
