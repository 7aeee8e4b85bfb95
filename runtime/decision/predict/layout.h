// SPDX-License-Identifier: Apache-2.0
// What predictors keep, and where it lies in the state block. Each predict/NAME.h says what its part means.
#pragma once
#include "runtime/decision/abi.h"

// Large, and mostly not for the policy in hand: inlined where the policy's constants fold it, before anything optimises
// it; elsewhere the compiler may share it.
#ifdef MOE_KERNEL_BITCODE
#define MOE_FOLDED inline __attribute__((always_inline))
#else
#define MOE_FOLDED inline
#endif

namespace moe::decision {

/// A chain has every strategy at most once, so eight links.
constexpr uint32_t link_of(const Params& p, uint32_t i) {
  return i == 0 ? p.strategy : (p.next_strategies >> (4 * (i - 1))) & 15;
}
/// Whether the strategy is a link of the chain.
constexpr bool in_chain(const Params& p, Strategy strategy) {
  const uint32_t s = static_cast<uint32_t>(strategy);
  return link_of(p, 0) == s || link_of(p, 1) == s || link_of(p, 2) == s || link_of(p, 3) == s || link_of(p, 4) == s ||
         link_of(p, 5) == s || link_of(p, 6) == s || link_of(p, 7) == s;
}
/// Whether the state has the strategy's predictor, which then observes every dispatch.
constexpr bool has_predictor(const Params& p, Strategy strategy) { return in_chain(p, strategy); }
constexpr bool has_history(const Params& p) {
  return has_predictor(p, Strategy::history) || has_predictor(p, Strategy::lookahead);
}
/// Whether the state has a table of all that was predicted, by key. Without one a prediction is worked out for who may
/// have to leave, and nobody else.
constexpr bool has_table(const Params& p) {
  return (p.keeps & (kKeepsPredicted | kKeepsForetold)) != 0 || has_predictor(p, Strategy::affinity) ||
         has_predictor(p, Strategy::sequence) || has_predictor(p, Strategy::learned) ||
         has_predictor(p, Strategy::trajectory) || has_predictor(p, Strategy::most);
}
/// Whether the experts of several layers are candidates in one order.
constexpr bool mixes_layers(const Params& p) {
  return has_predictor(p, Strategy::sequence) || has_predictor(p, Strategy::trajectory);
}
/// The two models of the `learn` block, each where something asks it.
constexpr bool has_value_head(const Params& p) { return p.learn_window != 0 && (p.keeps & kKeepsValue) != 0; }
constexpr bool has_use_head(const Params& p) { return p.learn_window != 0 && has_predictor(p, Strategy::learned); }
constexpr bool has_learner(const Params& p) { return has_value_head(p) || has_use_head(p); }
/// Whether something depends on where requests begin.
constexpr bool reads_requests(const Params& p) {
  return (p.keeps & kKeepsRequestUses) != 0 || has_learner(p) || has_predictor(p, Strategy::sequence);
}
/// Whether tables are missing that code made for the policy has.
constexpr bool needs_tables(const Params& p) {
  return ((p.profile & kProfileShares) != 0 && p.share_rows == nullptr) ||
         ((p.profile & kProfileWeights) != 0 && p.weights == nullptr);
}
/// Layers that `lookahead` reaches, each once.
constexpr uint32_t reach_of(const Params& p) { return p.lookahead < p.num_layers ? p.lookahead : p.num_layers; }

/// The most experts that a strategy names which has no order of its own to walk.
constexpr size_t max_named(const Params& p) {
  if (mixes_layers(p)) return p.num_keys();
  if (has_predictor(p, Strategy::most)) return size_t{reach_of(p)} * p.num_experts;
  return has_predictor(p, Strategy::affinity) || has_predictor(p, Strategy::learned) ? p.num_experts : 0;
}

/// Offsets in bytes; part of Layout.
struct PredictLayout {
  size_t weight_rates, routed;                    // of all keys, and scratch of one dispatch
  size_t table, told, foretold, ranking, listed;  // the last predictions, and what is named now
  size_t learner, learner_layers, choices, dense, use_rates, learner_idle, learner_uses;  // what both models see
  size_t value_weights, value_dense, values, value_choices;
  size_t use_weights, use_dense, use_outputs;
  size_t dense_now, shares_now, value_outputs, errors;  // scratch of one dispatch
  size_t sequence, sequence_counts, sequence_store, sequence_norms, sequence_cosines, sequence_matches, sequence_sums;
  size_t trajectory, maps, map_store, map_norms, map_dots, map_scratch, map_row, map_places;
  size_t affinity, pairs, followed, affinity_dispatches, affinity_sums, affinity_last;
};

/// `take(count, size)` returns the offset of the next part. `places`: of all instances.
template <class Take>
__attribute__((always_inline)) constexpr PredictLayout lay_predictors(const Params& p, size_t places, Take take) {
  PredictLayout at{};
  const size_t keys = p.num_keys();
  const size_t layers = p.num_layers;
  const size_t experts = p.num_experts;
  at.weight_rates = take(keys * p.num_weight_rates, sizeof(double));
  at.routed = take(p.num_weight_rates != 0 ? 3 * experts : 0, sizeof(double));
  at.table = take(has_table(p) ? keys : 0, sizeof(double));
  at.told = take(has_table(p) ? 1 : 0, 2 * sizeof(uint32_t));
  at.foretold = take((p.keeps & kKeepsForetold) != 0 ? places : 0, sizeof(double));
  at.ranking = take(max_named(p), 3 * sizeof(double));
  at.listed = take(mixes_layers(p) && p.top != 0 ? layers : 0, sizeof(uint32_t));

  const bool affinity = has_predictor(p, Strategy::affinity);
  const bool counts_pairs = affinity && (p.profile & kProfileShares) == 0;
  at.affinity = take(affinity ? 1 : 0, 4 * sizeof(uint32_t));
  at.affinity_last = take(affinity ? experts : 0, sizeof(uint32_t));
  at.affinity_sums = take(affinity ? experts : 0, sizeof(double));
  at.pairs = take(counts_pairs ? keys * experts : 0, sizeof(double));
  at.followed = take(counts_pairs ? keys : 0, sizeof(double));
  at.affinity_dispatches = take(counts_pairs ? layers : 0, sizeof(uint64_t));

  const bool sequence = has_predictor(p, Strategy::sequence);
  const size_t store = p.store;
  at.sequence = take(sequence ? 1 : 0, 4 * sizeof(uint32_t));
  at.sequence_counts = take(sequence ? keys : 0, sizeof(double));
  at.sequence_store = take(sequence ? keys * store : 0, sizeof(double));
  at.sequence_norms = take(sequence ? layers * store : 0, sizeof(double));
  at.sequence_cosines = take(sequence ? layers * store : 0, sizeof(double));
  at.sequence_matches = take(sequence ? store : 0, sizeof(uint64_t));
  at.sequence_sums = take(sequence ? store : 0, sizeof(double));

  const bool trajectory = has_predictor(p, Strategy::trajectory);
  at.trajectory = take(trajectory ? 1 : 0, 3 * sizeof(double));
  at.maps = take(trajectory ? keys * store : 0, sizeof(float));
  at.map_store = take(trajectory ? keys * store : 0, sizeof(float));
  at.map_norms = take(trajectory ? layers * store : 0, sizeof(double));
  at.map_dots = take(trajectory ? store : 0, sizeof(double));
  at.map_scratch = take(trajectory ? store : 0, sizeof(double));
  at.map_row = take(trajectory ? experts : 0, 3 * sizeof(double));
  at.map_places = take(trajectory ? store : 0, sizeof(uint32_t));

  const bool learner = has_learner(p), value = has_value_head(p), use = has_use_head(p);
  const size_t choices = p.learn_window * experts;
  at.learner = take(learner ? 1 : 0, 2 * sizeof(double));
  at.learner_layers = take(learner ? layers : 0, 4 * sizeof(double));
  at.choices = take(learner ? choices : 0, 2 * sizeof(double));
  at.dense = take(learner ? kNumDenseInputs * keys : 0, sizeof(double));
  at.use_rates = take(learner ? 5 * keys : 0, sizeof(double));
  at.learner_idle = take(learner ? keys : 0, sizeof(double));
  at.learner_uses = take(learner ? keys : 0, sizeof(double));
  at.dense_now = take(learner ? kNumDenseInputs * experts : 0, sizeof(double));
  at.shares_now = take(learner ? experts : 0, sizeof(double));
  at.errors = take(learner ? experts : 0, sizeof(double));
  at.value_weights = take(value ? choices * keys : 0, sizeof(double));
  at.value_dense = take(value ? kNumDenseInputs * keys : 0, sizeof(double));
  at.values = take(value ? keys : 0, sizeof(double));
  at.value_choices = take(value ? choices * layers : 0, 2 * sizeof(double));
  at.value_outputs = take(value ? experts : 0, sizeof(double));
  at.use_weights = take(use ? choices * keys : 0, sizeof(double));
  at.use_dense = take(use ? kNumDenseInputs * keys : 0, sizeof(double));
  at.use_outputs = take(use ? experts : 0, sizeof(double));
  return at;
}

}  // namespace moe::decision
