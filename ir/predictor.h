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
  /// history_window, affinity_threshold, store, lookahead. Outlives the predictor, which reads it at every call: the
  /// values may change between dispatches.
  const PrefetchRule* rule = nullptr;
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
  /// After observe() of a dispatch of `layer`, which changes nothing: as docs/semantics.md orders them (nearest target
  /// layer first, best first within one; sequence and trajectory: best first over all). Before min_probability.
  virtual std::vector<Candidate> predict(uint32_t layer) = 0;
};

/// For both strategies, by the rule's: history names one layer, `lookahead` ahead, and lookahead layers + 1 ..
/// + lookahead.
std::unique_ptr<Predictor> make_history(const PredictorSetup& setup);
std::unique_ptr<Predictor> make_affinity(const PredictorSetup& setup);
std::unique_ptr<Predictor> make_sequence(const PredictorSetup& setup);
std::unique_ptr<Predictor> make_trajectory(const PredictorSetup& setup);

/// The online logistic models of the `learn` block: value() of every expert, and the probability that the coming
/// dispatch of a layer uses it. A fixed order of arithmetic, binary64: docs/semantics.md, "The learner".
///
/// Cost    observe: (experts chosen in the window) x num_experts; use_probability: experts chosen in the window.
/// Memory  num_weights() doubles per layer.
class Learner {
 public:
  /// The weights of one layer, both models together; what a profile must hold to be started from.
  static uint64_t num_weights(uint32_t num_experts, uint32_t window);

  /// Weights of `profile` (may be null) that are not num_weights() of this rule's window are left alone: binding tells.
  Learner(uint32_t num_layers, uint32_t num_experts, const LearnRule& rule, const Profile* profile);
  Learner(Learner&&) noexcept;
  Learner& operator=(Learner&&) noexcept;
  ~Learner();
  /// A dispatch has begun: its experts are known. Updates the models from it.
  void observe(const Observation& observation);
  /// E[discount^d], in (0, 1), as estimated at the last dispatch of `layer`: d = 0 when its next dispatch uses the
  /// expert, 1 when the one after it does, ...
  double value(uint32_t layer, uint32_t expert) const;
  /// Probability that the coming dispatch of `layer` uses the expert, from all dispatches so far. Trained for the
  /// moment right before that dispatch: other layers have been observed up to layer - 1.
  double use_probability(uint32_t layer, uint32_t expert) const;
  /// For a profile.
  std::vector<double> weights(uint32_t layer) const;

 private:
  struct Models;
  std::unique_ptr<Models> models_;
};

}  // namespace moe::ir
