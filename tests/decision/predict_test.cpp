// SPDX-License-Identifier: Apache-2.0
// What the kernels' predictors say, number by number: the same bits as the reference predictors (ir/predictor.h), which
// decisions alone would show only where an order changes.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "bench/static_params.h"
#include "ir/predictor.h"
#include "runtime/decision/output_arrays.h"
#include "runtime/decision/predict/layout.h"
#include "runtime/decision/state.h"
#include "tests/decision/predict_probe.h"
#include "tests/decision/random_policy.h"

namespace {

using namespace moe;
using decision::Params;
using decision::Strategy;

struct Shape {
  uint32_t layers, experts, top_k;
};
constexpr Shape kShapes[] = {{1, 5, 2}, {3, 8, 2}, {5, 17, 4}, {2, 70, 3}};

/// The kernel's side: a small cache with one strategy.
class Kernel {
 public:
  explicit Kernel(const Params& params) : p_(params), block_(decision::state_bytes(params) / sizeof(Line) + 1) {
    decision::init_state(p_, block_.data());
  }
  const void* state() const { return block_.data(); }

  /// The dispatch's unique experts; nullopt: it is refused.
  std::optional<std::vector<ir::ExpertDecision>> decide(const test::RandomDispatch& d) {
    decision::OutputArrays arrays(decision::output_sizes(p_, d.num_tokens, 0));
    decision::Input in{};
    in.layer = d.layer;
    in.num_tokens = d.num_tokens;
    in.top_k = p_.top_k;
    in.allow_padding = d.allow_padding;
    in.ids = d.ids.data();
    in.weights = d.weights.empty() ? nullptr : d.weights.data();
    in.request = d.requests.empty() ? 0 : d.requests.front();
    in.probabilities = d.probabilities.empty() ? nullptr : d.probabilities.data();
    decision::Output out = arrays.output();
    if (decision::static_dispatch(p_, block_.data(), &in, &out) != decision::kOk) return std::nullopt;
    std::vector<ir::ExpertDecision> unique;
    for (uint32_t i = 0; i < out.num_entries; ++i) {
      unique.push_back(
          {out.expert[i], ir::Action::hit, out.num_selections[i], static_cast<double>(out.weight[i]) + 0.0});
    }
    return unique;
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  Params p_;
  std::vector<Line> block_;
};

Params params_of(const Shape& shape, Strategy strategy) {
  Params p = bench::default_params({shape.layers, shape.experts, shape.top_k}, decision::Eviction::lru, 2);
  p.budget = 1;
  p.strategy = static_cast<uint32_t>(strategy);
  p.lookahead = 2;
  return p;
}

bool is_valid(const test::RandomDispatch& d) {
  return std::all_of(d.probabilities.begin(), d.probabilities.end(), [](float p) { return p <= 1; });
}

bool same_bits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

ir::Observation observation_of(const test::RandomDispatch& d, const std::vector<ir::ExpertDecision>& experts,
                               std::optional<uint32_t>& request) {
  ir::Observation seen;
  seen.layer = d.layer;
  seen.experts = experts;
  seen.num_tokens = d.num_tokens;
  seen.request = d.requests.empty() ? 0 : d.requests.front();
  seen.new_request = request != seen.request;
  seen.probabilities = d.probabilities;
  request = static_cast<uint32_t>(seen.request);
  return seen;
}

/// `check(kernel, observation)` after every valid dispatch of some traces.
template <class Observe>
void drive(const Shape& shape, Kernel& kernel, test::Dice& dice, Observe check) {
  ir::ModelShape model;
  model.num_layers = shape.layers;
  model.num_experts = shape.experts;
  model.top_k = shape.top_k;
  std::optional<uint32_t> request;
  size_t number = 0;
  for (int trace = 0; trace < 3; ++trace) {
    for (const test::RandomDispatch& d : test::random_trace(dice, model, 100)) {
      if (!is_valid(d)) continue;
      const std::optional<std::vector<ir::ExpertDecision>> experts = kernel.decide(d);
      if (!experts) continue;
      CAPTURE(number);
      check(observation_of(d, *experts, request));
      ++number;
    }
  }
}

}  // namespace

TEST_CASE("the learner's values and probabilities have the reference's bits") {
  for (uint64_t seed = 0; seed < 24; ++seed) {
    CAPTURE(seed);
    test::Dice dice(seed);
    const Shape shape = kShapes[seed % std::size(kShapes)];
    Params p = params_of(shape, Strategy::learned);
    p.keeps = decision::kKeepsValue;
    p.learn_window = dice.pick<uint32_t>({1, 3, 8});
    p.learn_rate = dice.pick({0.01, 0.5, 1.0});
    p.learn_discount = dice.pick({0.8, 1.0, 0.3});
    p.learn_freeze = dice.chance(0.2);
    ir::LearnRule rule;
    rule.window.value = p.learn_window;
    rule.rate.value = p.learn_rate;
    rule.discount.value = p.learn_discount;
    rule.freeze.value = p.learn_freeze != 0;
    ir::Profile profile;
    if (dice.chance(0.6)) {
      profile.learned.resize(shape.layers);
      for (std::vector<double>& layer : profile.learned) {
        layer.resize(p.num_learner_weights());
        for (double& weight : layer) weight = dice.unit() - 0.5;
      }
    }
    std::vector<double> weights;
    for (const std::vector<double>& layer : profile.learned) weights.insert(weights.end(), layer.begin(), layer.end());
    if (!weights.empty()) {
      p.profile = decision::kProfileWeights;
      p.weights = weights.data();
    }
    Kernel kernel(p);
    ir::Learner oracle(shape.layers, shape.experts, rule, &profile);
    const auto check_values = [&] {
      for (uint32_t key = 0; key < p.num_keys(); ++key) {
        const double expected = oracle.value(key / shape.experts, key % shape.experts);
        REQUIRE(same_bits(test::value_of(p, kernel.state(), key), expected));
      }
    };
    check_values();
    drive(shape, kernel, dice, [&](const ir::Observation& seen) {
      oracle.observe(seen);
      check_values();
      const uint32_t next = (seen.layer + 1) % shape.layers;
      for (uint32_t e = 0; e < shape.experts; ++e) {
        const double told = test::predicted_of(p, kernel.state(), next * shape.experts + e);
        REQUIRE(same_bits(told, oracle.use_probability(next, e)));
      }
    });
  }
}

TEST_CASE("what strategies predict has the reference's bits") {
  const Strategy strategies[] = {Strategy::history, Strategy::lookahead, Strategy::affinity, Strategy::sequence,
                                 Strategy::trajectory};
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    test::Dice dice(seed);
    const Shape shape = kShapes[seed % std::size(kShapes)];
    const Strategy strategy = strategies[dice.below(std::size(strategies))];
    CAPTURE(static_cast<uint32_t>(strategy));
    Params p = params_of(shape, strategy);
    p.keeps = decision::kKeepsPredicted;
    p.lookahead = dice.between(1, 6);
    p.history_window = dice.pick<uint32_t>({1, 7, 50});
    p.affinity_threshold = dice.pick({0.0, 0.3});
    p.decay_interval = dice.pick<uint64_t>({1, 3, 17});
    p.frequency_decay = dice.pick({0.95, 0.5});
    p.store = dice.pick<uint32_t>({1, 2, 8});
    ir::PrefetchRule rule;
    rule.strategy.value = strategy == Strategy::lookahead ? ir::Strategy::lookahead : ir::Strategy::history;
    rule.lookahead.value = p.lookahead;
    rule.history_window.value = p.history_window;
    rule.affinity_threshold.value = p.affinity_threshold;
    rule.store.value = p.store;
    ir::PredictorSetup setup;
    setup.num_layers = shape.layers;
    setup.num_experts = shape.experts;
    setup.top_k = shape.top_k;
    setup.rule = &rule;
    setup.frequency_decay = p.frequency_decay;
    setup.decay_interval = p.decay_interval;
    using Make = std::unique_ptr<ir::Predictor> (*)(const ir::PredictorSetup&);
    const std::pair<Strategy, Make> makers[] = {{Strategy::history, ir::make_history},
                                                {Strategy::lookahead, ir::make_history},
                                                {Strategy::affinity, ir::make_affinity},
                                                {Strategy::sequence, ir::make_sequence},
                                                {Strategy::trajectory, ir::make_trajectory}};
    const auto* const maker =
        std::find_if(std::begin(makers), std::end(makers), [&](const auto& m) { return m.first == strategy; });
    const std::unique_ptr<ir::Predictor> oracle = maker->second(setup);
    Kernel kernel(p);
    drive(shape, kernel, dice, [&](const ir::Observation& seen) {
      oracle->observe(seen);
      std::vector<double> expected(p.num_keys(), 0);
      for (const ir::Candidate& c : oracle->predict(seen.layer))
        expected[c.layer * shape.experts + c.expert] = c.predicted;
      for (uint32_t key = 0; key < p.num_keys(); ++key) {
        REQUIRE(same_bits(test::predicted_of(p, kernel.state(), key), expected[key]));
      }
    });
  }
}
