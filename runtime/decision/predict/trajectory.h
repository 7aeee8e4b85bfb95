// SPDX-License-Identifier: Apache-2.0
// trajectory: the past token whose router probabilities in the first layers look most like this one's says what the
// later layers need. FineMoE (EuroSys '26), its half that needs no embeddings.
//
// A map is a token's probabilities in all layers. Similarity grows layer by layer, so the products of the last token's
// map with all stored ones are kept while it is under way, and the stored ones' norms up to each layer.
#pragma once
#include "runtime/decision/predict/ranking.h"
#include "runtime/decision/predict/similar.h"

namespace moe::decision {

struct TrajectoryState {
  double norm;          ///< of the last token's map
  uint32_t num_layers;  ///< layers 0 .. this - 1 of the maps under way have run, or were left out
  uint32_t num_tokens;  ///< of their dispatches; 1 where probabilities are unknown
  uint32_t num_maps;    ///< of the last tokens, at most `store`
  uint32_t num_stored;  ///< places from 0 on
};

class Trajectory {
 public:
  MOE_FOLDED Trajectory(const Params& p, const State& s) : p_(p), s_(s), at_(s.predict()) {}

  /// Cost  num_experts x store; after the last layer all of the maps' numbers, for a batch in a full store x `store`.
  MOE_FOLDED void observe(uint32_t layer, const Input& in, const Output& out, uint32_t n) const {
    const bool full = in.probabilities != nullptr;
    const uint32_t num_tokens = full ? in.num_tokens : 1;
    const bool goes_on = state().num_layers > 0 && layer >= state().num_layers && state().num_tokens == num_tokens;
    if (!goes_on) begin(num_tokens);
    state().num_layers = layer + 1;
    const size_t row = size_t{layer} * p_.num_experts;
    if (full) {
      const float* from = in.probabilities + size_t{num_tokens - state().num_maps} * p_.num_experts;
      for (uint32_t t = 0; t < state().num_maps; ++t) {
        for (uint32_t e = 0; e < p_.num_experts; ++e) map(t)[row + e] = *from++;
      }
    } else {
      for (uint32_t j = 0; j < n; ++j) map(0)[row + out.expert[j]] = out.weight[j] + 0.0f;
    }
    if (state().num_maps == 0) return;
    const float* const last = map(state().num_maps - 1) + row;
    add_products(last, p_.num_experts, stored(layer), p_.store, dots());
    state().norm = add_squares(last, p_.num_experts, state().norm);
    if (state().num_layers == p_.num_layers) keep();
  }

  /// Writes what it names to the ranking; returns how many.
  MOE_FOLDED uint32_t name(uint32_t layer) const {
    if (state().num_stored == 0 || state().num_maps == 0 || p_.lookahead > p_.num_layers - 1 - layer) return 0;
    double* const cosines = scratch();
    to_cosines(dots(), state().norm, norms(layer), p_.store, cosines);
    const uint32_t best = first_largest(cosines, state().num_stored);
    const double rest = 1.0 - cosines[best];
    const double enough = rest < 0.0 ? 0.0 : rest > 1.0 ? 1.0 : rest;
    const uint32_t first = layer + p_.lookahead;
    uint32_t count = 0;
    for (uint32_t target = first; target < p_.num_layers; ++target) {
      const double nearness = 1.0 - static_cast<double>(target - first) / static_cast<double>(p_.num_layers + 1);
      count = select(best, target, enough, nearness, count);
    }
    return count;
  }

 private:
  MOE_FOLDED TrajectoryState& state() const { return *s_.at<TrajectoryState>(at_.trajectory); }
  MOE_FOLDED size_t map_size() const { return size_t{p_.num_layers} * p_.num_experts; }
  MOE_FOLDED float* map(uint32_t token) const { return s_.at<float>(at_.maps) + map_size() * token; }
  /// [expert][place]
  MOE_FOLDED float* stored(uint32_t layer) const {
    return s_.at<float>(at_.map_store) + size_t{layer} * p_.num_experts * p_.store;
  }
  /// Of the stored, over layers 0 .. layer.
  MOE_FOLDED double* norms(uint32_t layer) const { return s_.at<double>(at_.map_norms) + size_t{layer} * p_.store; }
  MOE_FOLDED double* dots() const { return s_.at<double>(at_.map_dots); }
  MOE_FOLDED double* scratch() const { return s_.at<double>(at_.map_scratch); }

  MOE_FOLDED void begin(uint32_t num_tokens) const {
    state().num_tokens = num_tokens;
    state().num_maps = num_tokens < p_.store ? num_tokens : p_.store;
    state().norm = 0;
    for (size_t i = 0; i < map_size() * state().num_maps; ++i) map(0)[i] = 0;
    for (uint32_t s = 0; s < p_.store; ++s) dots()[s] = 0;
  }

  /// Most probable first, while they add up to no more than `enough`, but at least top_k; never one of probability 0.
  MOE_FOLDED uint32_t select(uint32_t place, uint32_t layer, double enough, double nearness, uint32_t count) const {
    Named* const ranking = ranking_of(s_);
    Named* const row = s_.at<Named>(at_.map_row);
    uint32_t size = 0;
    for (uint32_t e = 0; e < p_.num_experts; ++e) {
      const double probability = static_cast<double>(stored(layer)[size_t{e} * p_.store + place]);
      row[size] = {probability, probability < 1.0 ? probability : 1.0, layer * p_.num_experts + e, e};
      size += probability > 0;
    }
    uint32_t taken = 0;
    double sum = 0;
    in_rank_order(row, size, [&](const Named& named) {
      sum += named.priority;
      if (taken >= p_.top_k && !(sum <= enough)) return false;
      ranking[count] = {named.predicted * nearness, named.predicted, named.key, count};
      ++taken;
      ++count;
      return true;
    });
    return count;
  }

  /// Finished tokens: into free places first; each of the rest then takes the place of the most similar one, found
  /// before any is taken.
  MOE_FOLDED void keep() const {
    uint32_t next = 0;
    while (next < state().num_maps && state().num_stored < p_.store) put(next++, state().num_stored++);
    uint32_t* const places = s_.at<uint32_t>(at_.map_places);
    for (uint32_t t = next; t < state().num_maps; ++t) places[t] = most_similar(t, next == 0);
    for (uint32_t t = next; t < state().num_maps; ++t) put(t, places[t]);
  }

  /// `unchanged`: nothing was stored since the maps began, so the last token's products are known.
  MOE_FOLDED uint32_t most_similar(uint32_t token, bool unchanged) const {
    double* const cosines = scratch();
    const double* const norms_b = norms(p_.num_layers - 1);
    if (unchanged && token + 1 == state().num_maps) {
      to_cosines(dots(), state().norm, norms_b, p_.store, cosines);
      return first_largest(cosines, state().num_stored);
    }
    for (uint32_t s = 0; s < p_.store; ++s) cosines[s] = 0;
    const auto size = static_cast<uint32_t>(map_size());
    add_products(map(token), size, stored(0), p_.store, cosines);
    to_cosines(cosines, add_squares(map(token), size, 0), norms_b, p_.store, cosines);
    return first_largest(cosines, state().num_stored);
  }

  MOE_FOLDED void put(uint32_t token, uint32_t place) const {
    double norm = 0;
    for (uint32_t l = 0; l < p_.num_layers; ++l) {
      const float* const row = map(token) + size_t{l} * p_.num_experts;
      for (uint32_t e = 0; e < p_.num_experts; ++e) stored(l)[size_t{e} * p_.store + place] = row[e];
      norm = add_squares(row, p_.num_experts, norm);
      norms(l)[place] = norm;
    }
  }

  const Params& p_;
  const State& s_;
  const PredictLayout& at_;
};

}  // namespace moe::decision
