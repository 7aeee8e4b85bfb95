// SPDX-License-Identifier: Apache-2.0
// What the last predictions said, by key: `predicted`, and what a candidate's victim is compared by. Kept from step 4
// of a dispatch to step 4 of the next.
#pragma once
#include "runtime/decision/predict/gate.h"
#include "runtime/decision/predict/history.h"
#include "runtime/decision/predict/ranking.h"

namespace moe::decision {

/// The rows of the table, one a layer, that are not all zero: `num` of them from `first` on, wrapping.
struct ToldRows {
  uint32_t first;
  uint32_t num;
};

MOE_FOLDED double* told(const State& s) { return s.at<double>(s.predict().table); }

/// Nothing is predicted.
template <class Rule>
MOE_FOLDED void forget(const Context<Rule>& ctx) {
  ToldRows& rows = *ctx.s.template at<ToldRows>(ctx.s.predict().told);
  for (uint32_t i = 0; i < rows.num; ++i) {
    double* const row = told(ctx.s) + size_t{(rows.first + i) % ctx.p.num_layers} * ctx.p.num_experts;
    for (uint32_t e = 0; e < ctx.p.num_experts; ++e) row[e] = 0;
  }
  rows.num = 0;
}

/// `foretold` of a resident is the last prediction above 0.
template <class Rule>
MOE_FOLDED void note(const Context<Rule>& ctx, uint32_t key, double predicted) {
  told(ctx.s)[key] = predicted;
  if (!keeps(ctx.p, kKeepsForetold) || !(predicted > 0)) return;
  const uint32_t place = ctx.s.place_of(key);
  if (place != kNone) ctx.s.foretold()[place] = predicted;
}

/// Replaces the table by what `strategy` says: `num_ranked` experts of the ranking, or what history or a hint holds.
template <class Rule>
MOE_FOLDED void tell(const Context<Rule>& ctx, const Input& in, Strategy strategy, uint32_t num_ranked) {
  forget(ctx);
  const uint32_t layers = ctx.p.num_layers;
  const Targets targets = targets_of(ctx.p, strategy, ctx.layer);
  *ctx.s.template at<ToldRows>(ctx.s.predict().told) = {
      static_cast<uint32_t>((uint64_t{ctx.layer} + targets.first) % layers), targets.last - targets.first + 1};
  const Named* const ranking = ranking_of(ctx.s);
  for (uint32_t j = 0; j < num_ranked; ++j) note(ctx, ranking[j].key, ranking[j].predicted);
  const bool by_window = strategy == Strategy::history || strategy == Strategy::lookahead;
  if (!by_window && strategy != Strategy::gate) return;
  for (uint32_t ahead = targets.first; ahead <= targets.last; ++ahead) {
    const uint32_t layer = (ctx.layer + ahead) % layers;
    const uint32_t base = layer * ctx.p.num_experts;
    if (has_history(ctx.p) && by_window) {
      for (uint32_t e = 0; e < ctx.p.num_experts; ++e) note(ctx, base + e, history_share(ctx, base + e));
    } else if (const Hint* const hint = hint_for(in, layer); hint != nullptr) {
      for (uint32_t j = 0; j < hint->count; ++j) note(ctx, base + hint->ids[j], hinted(*hint, j));
    }
  }
}

/// What `strategy`, which has just been asked, says of a resident.
template <class Rule>
MOE_FOLDED double predicted(const Context<Rule>& ctx, const Input& in, Strategy strategy, uint32_t key) {
  if (has_table(ctx.p)) return told(ctx.s)[key];
  const uint32_t layer = key / ctx.p.num_experts;
  const uint32_t ahead = layer > ctx.layer ? layer - ctx.layer : layer + ctx.p.num_layers - ctx.layer;
  const Targets targets = targets_of(ctx.p, strategy, ctx.layer);
  if (ahead < targets.first || ahead > targets.last) return 0;
  if (strategy != Strategy::gate) return history_share(ctx, key);
  return hinted_of(in, layer, key - layer * ctx.p.num_experts);
}

}  // namespace moe::decision
