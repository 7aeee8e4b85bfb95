// SPDX-License-Identifier: Apache-2.0
// Predictors of the reference interpreter: what the prefetch strategies say, and the online model behind `value`.
// Written to be read beside docs/semantics.md; nothing in common with the compiled kernels.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ir/decision.h"
#include "ir/policy.h"
#include "ir/profile.h"

namespace moe::ir {

/// An expert that a strategy names, and how likely it is needed.
struct Candidate {
  uint32_t layer = 0;
  uint32_t expert = 0;
  double predicted = 0;
};

/// A dispatch that has run, as predictors see it.
struct Observation {
  uint32_t layer = 0;
  std::span<const ExpertDecision> experts;  ///< unique, in order of first appearance, with weights and selections
  uint32_t num_tokens = 0;
  uint64_t request = 0;                  ///< of the dispatch's first token
  bool new_request = false;              ///< it differs from the request of the dispatch before
  std::span<const float> probabilities;  ///< full router probabilities [num_tokens][num_experts]; empty: unknown
};

/// What a predictor is made for.
struct PredictorSetup {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;
  uint32_t top_k = 0;
  const PrefetchRule* rule =
      nullptr;                       ///< history_window, affinity_threshold, store; lookahead with kAllLayers resolved
  double frequency_decay = 1;        ///< of the cache block: affinity's counts decay with it ...
  uint64_t decay_interval = 100;     ///< ... every so many dispatches of the layer
  const Profile* profile = nullptr;  ///< may be null
};

/// Says which experts coming layers need.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// The dispatch has run (step 4 begins). Before predict().
  virtual void observe(const Observation& observation) = 0;
  /// After a dispatch of `layer`: nearest target layer first, best first within one. Before min_probability.
  virtual std::vector<Candidate> predict(uint32_t layer) = 0;
};

std::unique_ptr<Predictor> make_history(const PredictorSetup& setup);    ///< one layer, `lookahead` ahead
std::unique_ptr<Predictor> make_lookahead(const PredictorSetup& setup);  ///< layers + 1 .. + lookahead
std::unique_ptr<Predictor> make_affinity(const PredictorSetup& setup);
std::unique_ptr<Predictor> make_sequence(const PredictorSetup& setup);
std::unique_ptr<Predictor> make_trajectory(const PredictorSetup& setup);

/// The online logistic model of the `learn` block: value() of every expert, and the probability that the coming
/// dispatch of a layer uses it. A fixed order of arithmetic, binary64: see docs/semantics.md.
///
/// Memory  per layer about num_layers_in_window x num_experts^2 doubles.
class Learner {
 public:
  Learner(uint32_t num_layers, uint32_t num_experts, const LearnRule& rule, const Profile* profile);
  ~Learner();
  /// A dispatch has begun: its experts are known. Updates the models from it.
  void observe(const Observation& observation);
  /// E[discount^d] of the expert's next use, in (0, 1), d >= 1 counted in dispatches of its layer from now.
  double value(uint32_t layer, uint32_t expert) const;
  /// Probability that the coming dispatch of `layer` uses the expert.
  double use_probability(uint32_t layer, uint32_t expert) const;

 private:
  struct Models;
  std::unique_ptr<Models> models_;
};

}  // namespace moe::ir
