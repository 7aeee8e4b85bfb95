// SPDX-License-Identifier: Apache-2.0
// The online logistic models of the `learn` block. docs/semantics.md, "The learner", fixes every input, the order of
// every sum and the moment of every update; each step here is one sentence there.
#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "ir/predictor.h"
#include "runtime/base/math.h"

namespace moe::ir {
namespace {

constexpr std::array<double, 5> kTimeConstants{2, 6, 20, 80, 400};  // dispatches of the layer
constexpr double kRateFloor = 0.01;                                 // added to a use rate before its logarithm
constexpr double kLargestStep = 2;  // of rate x the inputs' sum of squares: many inputs must not overshoot
constexpr size_t kNumDense = 10;    // per expert: see Layer::dense_inputs

using Dense = std::array<double, kNumDense>;

/// An input shared by all experts of a layer: an expert chosen in one of the last dispatches.
struct Choice {
  size_t row = 0;  // (lag - 1) * num_experts + expert
  double value = 0;
};

struct Inputs {
  std::vector<Choice> choices;
  std::vector<Dense> dense;  // [expert]
};

/// One logistic output per expert.
struct Head {
  std::vector<double> choice_weights;  // [row][expert]
  std::vector<Dense> dense_weights;    // [expert]

  // Row by row, so each expert's sum grows input by input.
  std::vector<double> evaluate(const Inputs& inputs) const {
    const size_t n = dense_weights.size();
    std::vector<double> outputs(n, 0);
    for (size_t e = 0; e < n; ++e) {
      for (size_t i = 0; i < kNumDense; ++i) outputs[e] += dense_weights[e][i] * inputs.dense[e][i];
    }
    for (const Choice& choice : inputs.choices) {
      const double* weights = &choice_weights[choice.row * n];
      for (size_t e = 0; e < n; ++e) outputs[e] += weights[e] * choice.value;
    }
    for (double& output : outputs) output = math::sigmoid(output);
    return outputs;
  }

  // A step of stochastic gradient descent on the cross entropy of `targets`, from outputs that `inputs` gave.
  void learn(const Inputs& inputs, const std::vector<double>& outputs, const std::vector<double>& targets,
             double rate) {
    const size_t n = dense_weights.size();
    std::vector<double> errors(n);
    for (size_t e = 0; e < n; ++e) errors[e] = targets[e] - outputs[e];
    double squares = 0;
    for (const Choice& choice : inputs.choices) squares += choice.value * choice.value;
    const double choice_rate = squares * rate > kLargestStep ? kLargestStep / squares : rate;
    for (const Choice& choice : inputs.choices) {
      const double step = choice_rate * choice.value;
      double* weights = &choice_weights[choice.row * n];
      for (size_t e = 0; e < n; ++e) weights[e] += step * errors[e];
    }
    const double dense_rate = rate / 10;
    for (size_t e = 0; e < n; ++e) {
      for (size_t i = 0; i < kNumDense; ++i) dense_weights[e][i] += dense_rate * inputs.dense[e][i] * errors[e];
    }
  }
};

struct ExpertState {
  std::array<double, kTimeConstants.size()> use_rates{};
  uint64_t idle = 0;  // dispatches of the layer since the last use, or in all
  bool used = false;  // in the layer's last dispatch
  double weight = 0;  // of the last use
  uint64_t request_uses = 0;
};

struct Layer {
  std::vector<ExpertState> experts;
  uint64_t request_dispatches = 0;
  Head value_head;
  Head use_head;
  Inputs inputs;               // of the value head at the layer's last dispatch
  std::vector<double> values;  // what it said then

  Dense dense_inputs(uint32_t expert) const {
    const ExpertState& state = experts[expert];
    Dense dense{};
    dense[0] = 1;
    for (size_t i = 0; i < kTimeConstants.size(); ++i) dense[1 + i] = math::log(state.use_rates[i] + kRateFloor);
    dense[6] = math::log(1.0 + static_cast<double>(state.idle));
    dense[7] = state.used ? 1 : 0;
    dense[8] = state.weight;
    if (request_dispatches > 0) {
      dense[9] = static_cast<double>(state.request_uses) / static_cast<double>(request_dispatches);
    }
    return dense;
  }
};

// Router weights may be unnormalised; inputs must stay bounded.
double bounded(double weight) { return weight < 1 ? weight : 1; }

}  // namespace

struct Learner::Models {
  struct Past {
    uint32_t expert = 0;
    double weight = 0;
  };

  /// What the use head of a layer says now, asked for expert by expert.
  struct Foretold {
    std::optional<uint32_t> layer;
    std::vector<double> probabilities;
  };

  LearnRule rule;
  uint32_t num_experts = 0;
  std::vector<Layer> layers;
  std::deque<std::vector<Past>> history;  // last dispatches of any layer, oldest first; experts ascending
  Foretold foretold;                      // since the last dispatch

  // What is known now about the experts of `layer`.
  Inputs inputs_of(const Layer& layer) const {
    Inputs inputs;
    for (size_t i = 0; i < history.size(); ++i) {
      const size_t lag = history.size() - i;
      for (const Past& past : history[i]) {
        inputs.choices.push_back({(lag - 1) * num_experts + past.expert, 0.5 + 2.0 * past.weight});
      }
    }
    for (uint32_t e = 0; e < num_experts; ++e) inputs.dense.push_back(layer.dense_inputs(e));
    return inputs;
  }

  void start_head(Head& head, const double* weights) const {
    const size_t num_choice_weights = size_t{rule.window.value} * num_experts * num_experts;
    head.choice_weights.assign(num_choice_weights, 0);
    head.dense_weights.assign(num_experts, Dense{});
    if (weights == nullptr) return;
    std::copy_n(weights, num_choice_weights, head.choice_weights.begin());
    for (uint32_t e = 0; e < num_experts; ++e) {
      std::copy_n(weights + num_choice_weights + e * kNumDense, kNumDense, head.dense_weights[e].begin());
    }
  }

  void record(const Observation& observation, Layer& layer) {
    if (observation.new_request) {
      for (Layer& each : layers) {
        each.request_dispatches = 0;
        for (ExpertState& state : each.experts) state.request_uses = 0;
      }
    }
    ++layer.request_dispatches;
    for (ExpertState& state : layer.experts) {
      state.used = false;
      ++state.idle;
    }
    std::vector<Past> chosen;
    for (const ExpertDecision& expert : observation.experts) {
      ExpertState& state = layer.experts[expert.expert];
      state.used = true;
      state.idle = 0;
      state.weight = bounded(expert.weight);
      ++state.request_uses;
      chosen.push_back({expert.expert, state.weight});
    }
    for (ExpertState& state : layer.experts) {
      const double used = state.used ? 1 : 0;
      for (size_t i = 0; i < kTimeConstants.size(); ++i) {
        state.use_rates[i] = state.use_rates[i] + (used - state.use_rates[i]) / kTimeConstants[i];
      }
    }
    std::sort(chosen.begin(), chosen.end(), [](const Past& a, const Past& b) { return a.expert < b.expert; });
    history.push_back(std::move(chosen));
    if (history.size() > rule.window.value) history.pop_front();
  }

  // The use head foretold this dispatch from what was known before it.
  void learn_use(const Observation& observation, Layer& layer) const {
    const Inputs inputs = inputs_of(layer);
    std::vector<double> targets(num_experts, 0);
    for (const ExpertDecision& expert : observation.experts) targets[expert.expert] = 1;
    layer.use_head.learn(inputs, layer.use_head.evaluate(inputs), targets, rule.rate.value);
  }

  // What the value head said at the layer's last dispatch is compared with what it says now: TD(0).
  void learn_value(Layer& layer) const {
    Inputs inputs = inputs_of(layer);
    std::vector<double> values = layer.value_head.evaluate(inputs);
    if (!rule.freeze.value) {
      std::vector<double> targets(num_experts);
      for (uint32_t e = 0; e < num_experts; ++e) {
        targets[e] = layer.experts[e].used ? 1.0 : rule.discount.value * values[e];
      }
      layer.value_head.learn(layer.inputs, layer.values, targets, rule.rate.value);
    }
    layer.inputs = std::move(inputs);
    layer.values = std::move(values);
  }
};

uint64_t Learner::num_weights(uint32_t num_experts, uint32_t window) {
  return 2 * (uint64_t{window} * num_experts * num_experts + uint64_t{num_experts} * kNumDense);
}

Learner::Learner(uint32_t num_layers, uint32_t num_experts, const LearnRule& rule, const Profile* profile)
    : models_(std::make_unique<Models>()) {
  models_->rule = rule;
  models_->num_experts = num_experts;
  models_->layers.resize(num_layers);
  const uint64_t size = num_weights(num_experts, rule.window.value);
  for (uint32_t l = 0; l < num_layers; ++l) {
    const bool trained = profile != nullptr && l < profile->learned.size() && profile->learned[l].size() == size;
    const double* weights = trained ? profile->learned[l].data() : nullptr;
    Layer& layer = models_->layers[l];
    layer.experts.resize(num_experts);
    models_->start_head(layer.value_head, weights);
    models_->start_head(layer.use_head, trained ? weights + size / 2 : nullptr);
    layer.inputs = models_->inputs_of(layer);
    layer.values = layer.value_head.evaluate(layer.inputs);
  }
}

Learner::Learner(Learner&&) noexcept = default;
Learner& Learner::operator=(Learner&&) noexcept = default;
Learner::~Learner() = default;

void Learner::observe(const Observation& observation) {
  Layer& layer = models_->layers[observation.layer];
  models_->foretold.layer.reset();
  if (!models_->rule.freeze.value) models_->learn_use(observation, layer);
  models_->record(observation, layer);
  models_->learn_value(layer);
}

double Learner::value(uint32_t layer, uint32_t expert) const { return models_->layers[layer].values[expert]; }

double Learner::use_probability(uint32_t layer, uint32_t expert) const {
  Models::Foretold& foretold = models_->foretold;
  if (foretold.layer != layer) {
    const Layer& of = models_->layers[layer];
    foretold = {layer, of.use_head.evaluate(models_->inputs_of(of))};
  }
  return foretold.probabilities[expert];
}

std::vector<double> Learner::weights(uint32_t layer) const {
  std::vector<double> all;
  for (const Head* head : {&models_->layers[layer].value_head, &models_->layers[layer].use_head}) {
    all.insert(all.end(), head->choice_weights.begin(), head->choice_weights.end());
    for (const Dense& dense : head->dense_weights) all.insert(all.end(), dense.begin(), dense.end());
  }
  return all;
}

}  // namespace moe::ir
