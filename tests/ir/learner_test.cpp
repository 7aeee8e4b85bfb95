// SPDX-License-Identifier: Apache-2.0
// The learner against a second reading of docs/semantics.md that keeps no state but the log of all dispatches, and its
// steps against numerical derivatives.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <random>
#include <tuple>

#include "ir/predictor.h"

namespace moe::ir::test {
namespace {

struct Dispatch {
  uint32_t layer = 0;
  std::vector<ExpertDecision> experts;
  bool new_request = false;

  bool uses(uint32_t expert) const { return weight(expert) >= 0; }
  double weight(uint32_t expert) const {
    for (const ExpertDecision& e : experts) {
      if (e.expert == expert) return std::min(e.weight, 1.0);
    }
    return -1;
  }
};

Observation to_observation(const Dispatch& d) { return {d.layer, d.experts, 1, 0, d.new_request, {}}; }

/// Random routing with skew, some weights above 1, some dispatches without experts, layers mostly in turn.
std::vector<Dispatch> random_log(uint32_t seed, uint32_t num_layers, uint32_t num_experts, size_t size) {
  std::mt19937 random(seed);
  const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::vector<Dispatch> log;
  for (size_t i = 0; i < size; ++i) {
    Dispatch d;
    d.layer = below(10) == 0 ? below(num_layers) : static_cast<uint32_t>(i % num_layers);
    d.new_request = below(8) == 0;
    const uint32_t count = below(4);
    for (uint32_t k = 0; k < count; ++k) {
      const uint32_t expert = std::min(below(num_experts), below(num_experts));
      if (!d.uses(expert)) d.experts.push_back({expert, Action::hit, 1, below(150) / 100.0});
    }
    log.push_back(d);
  }
  return log;
}

/// Inputs and weights by name; one logistic regression per layer and expert.
class SecondReading {
 public:
  using Name = std::tuple<int, uint32_t, uint32_t>;  // 0, lag, expert or 1, index, 0
  using Vector = std::map<Name, double>;

  SecondReading(const LearnRule& rule, uint32_t num_experts) : rule_(rule), num_experts_(num_experts) {}

  void observe(const Dispatch& d) {
    for (uint32_t e = 0; e < num_experts_; ++e) {
      Vector& w = use_[{d.layer, e}];
      const Vector x = inputs(d.layer, e);
      step(w, x, d.uses(e) ? 1 : 0, sigmoid(w, x));
    }
    std::map<uint32_t, Vector> before;
    for (uint32_t e = 0; e < num_experts_; ++e) before[e] = last_inputs(d.layer, e);
    log_.push_back(d);
    for (uint32_t e = 0; e < num_experts_; ++e) {
      const double said = value(d.layer, e);
      const double says = sigmoid(value_[{d.layer, e}], inputs(d.layer, e));
      step(value_[{d.layer, e}], before[e], d.uses(e) ? 1 : rule_.discount.value * says, said);
      said_[{d.layer, e}] = says;
      last_[{d.layer, e}] = inputs(d.layer, e);
    }
  }
  double value(uint32_t layer, uint32_t e) const {
    const auto found = said_.find({layer, e});
    return found == said_.end() ? 0.5 : found->second;
  }
  double use_probability(uint32_t layer, uint32_t e) { return sigmoid(use_[{layer, e}], inputs(layer, e)); }

 private:
  static double sigmoid(Vector& w, const Vector& x) {
    double z = 0;
    for (const auto& [name, value] : x) z += w[name] * value;
    return 1 / (1 + std::exp(-z));
  }
  void step(Vector& w, const Vector& x, double target, double output) const {
    double squares = 0;
    for (const auto& [name, value] : x) squares += std::get<0>(name) == 0 ? value * value : 0;
    for (const auto& [name, value] : x) {
      const double rate = std::get<0>(name) == 1 ? rule_.rate.value / 10 : std::min(rule_.rate.value, 2 / squares);
      w[name] += rate * value * (target - output);
    }
  }
  Vector last_inputs(uint32_t layer, uint32_t e) const {
    const auto found = last_.find({layer, e});
    return found == last_.end() ? dense(layer, e, 0) : found->second;
  }
  Vector inputs(uint32_t layer, uint32_t e) const {
    Vector x = dense(layer, e, log_.size());
    for (uint32_t lag = 1; lag <= rule_.window.value && lag <= log_.size(); ++lag) {
      for (const ExpertDecision& chosen : log_[log_.size() - lag].experts) {
        x[{0, lag, chosen.expert}] = 0.5 + 2 * std::min(chosen.weight, 1.0);
      }
    }
    return x;
  }
  Vector dense(uint32_t layer, uint32_t e, size_t size) const {
    std::vector<double> rates(5, 0);
    double idle = 0, used = 0, weight = 0, uses = 0, dispatches = 0;
    const double tau[] = {2, 6, 20, 80, 400};
    for (size_t n = 0; n < size; ++n) {
      const Dispatch& d = log_[n];
      if (d.new_request) uses = dispatches = 0;
      if (d.layer != layer) continue;
      used = d.uses(e) ? 1 : 0;
      idle = d.uses(e) ? 0 : idle + 1;
      if (d.uses(e)) weight = d.weight(e);
      uses += used;
      dispatches += 1;
      for (size_t i = 0; i < 5; ++i) rates[i] = rates[i] * (1 - 1 / tau[i]) + used / tau[i];
    }
    Vector x;
    x[{1, 0, 0}] = 1;
    for (uint32_t i = 0; i < 5; ++i) x[{1, 1 + i, 0}] = std::log(rates[i] + 0.01);
    x[{1, 6, 0}] = std::log(1 + idle);
    x[{1, 7, 0}] = used;
    x[{1, 8, 0}] = weight;
    x[{1, 9, 0}] = dispatches > 0 ? uses / dispatches : 0;
    return x;
  }

  LearnRule rule_;
  uint32_t num_experts_;
  std::vector<Dispatch> log_;
  std::map<std::pair<uint32_t, uint32_t>, Vector> value_, use_, last_;
  std::map<std::pair<uint32_t, uint32_t>, double> said_;
};

LearnRule small_rule() {
  LearnRule rule;
  rule.window.value = 5;
  rule.rate.value = 0.2;  // so that the bound on one step is reached
  rule.discount.value = 0.7;
  return rule;
}

TEST_CASE("agrees with the second reading on random routing") {
  constexpr uint32_t kLayers = 3, kExperts = 6;
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    CAPTURE(seed);
    Learner learner(kLayers, kExperts, small_rule(), nullptr);
    SecondReading second(small_rule(), kExperts);
    for (const Dispatch& d : random_log(seed, kLayers, kExperts, 90)) {
      learner.observe(to_observation(d));
      second.observe(d);
      for (uint32_t e = 0; e < kExperts; ++e) {
        const uint32_t next = (d.layer + 1) % kLayers;
        REQUIRE(std::abs(learner.value(d.layer, e) - second.value(d.layer, e)) < 1e-9);
        REQUIRE(std::abs(learner.use_probability(next, e) - second.use_probability(next, e)) < 1e-9);
      }
    }
  }
}

// Layers of a learner that has seen `log` and stays as `weights` say.
Learner frozen(const std::vector<std::vector<double>>& weights, const std::vector<Dispatch>& log,
               uint32_t num_experts) {
  LearnRule rule = small_rule();
  rule.freeze.value = true;
  Profile profile;
  profile.learned = weights;
  Learner learner(static_cast<uint32_t>(weights.size()), num_experts, rule, &profile);
  for (const Dispatch& d : log) learner.observe(to_observation(d));
  return learner;
}

TEST_CASE("a step follows the numerical gradient") {
  constexpr uint32_t kLayers = 2, kExperts = 4;
  std::vector<Dispatch> log = random_log(7, kLayers, kExperts, 40);
  LearnRule rule = small_rule();
  rule.rate.value = 0.01;  // below the bound
  const Dispatch last{1, {{2, Action::hit, 1, 0.6}}, false};
  const auto weights_of = [](const Learner& learner) {
    return std::vector<std::vector<double>>{learner.weights(0), learner.weights(1)};
  };
  Learner learner(kLayers, kExperts, rule, nullptr);
  for (const Dispatch& d : log) learner.observe(to_observation(d));
  const std::vector<std::vector<double>> before = weights_of(learner);
  std::vector<double> values;
  for (uint32_t e = 0; e < kExperts; ++e) values.push_back(learner.value(1, e));
  learner.observe(to_observation(last));
  const std::vector<std::vector<double>> after = weights_of(learner);
  std::vector<Dispatch> with_last = log;
  with_last.push_back(last);
  const Learner bootstrap = frozen(before, with_last, kExperts);

  const size_t half = before[1].size() / 2;
  const size_t num_choice_weights = half - size_t{kExperts} * 10;
  const double h = 1e-5;
  size_t num_moved = 0;
  for (size_t i = 0; i < before[1].size(); ++i) {
    CAPTURE(i);
    const bool of_use = i >= half;
    const size_t place = of_use ? i - half : i;
    const bool choice = place < num_choice_weights;
    const auto e = static_cast<uint32_t>(choice ? place % kExperts : (place - num_choice_weights) / 10);
    // d logit / d weight is the input; the cross entropy's derivative is (output - target) times that.
    const auto logit = [&](double shift) {
      std::vector<std::vector<double>> weights = before;
      weights[1][i] += shift;
      const Learner moved = frozen(weights, log, kExperts);
      const double p = of_use ? moved.use_probability(1, e) : moved.value(1, e);
      return std::log(p / (1 - p));
    };
    const double input = (logit(h) - logit(-h)) / (2 * h);
    const double output = of_use ? frozen(before, log, kExperts).use_probability(1, e) : values[e];
    double target = last.uses(e) ? 1 : 0;
    if (!of_use && !last.uses(e)) target = rule.discount.value * bootstrap.value(1, e);
    const double expected = (target - output) * input * (choice ? 0.01 : 0.001);
    CHECK(after[1][i] - before[1][i] == doctest::Approx(expected).epsilon(1e-4).scale(1e-3));
    num_moved += after[1][i] != before[1][i] ? 1 : 0;
  }
  CHECK(num_moved > 80);  // all dense weights of both models
  CHECK(after[0] == before[0]);
}

TEST_CASE("learns a cycle: the next expert is the most valuable") {
  Learner learner(1, 4, LearnRule{}, nullptr);
  for (uint32_t t = 0; t < 400; ++t) {
    learner.observe(to_observation({0, {{t % 4, Action::hit, 1, 0.5}}, false}));
  }
  // 399 % 4 = 3 ran: 0 comes next, then 1, 2, 3.
  for (uint32_t e = 0; e < 3; ++e) CHECK(learner.value(0, e) > learner.value(0, e + 1));
  CHECK(learner.use_probability(0, 0) > 0.9);
  CHECK(learner.use_probability(0, 1) < 0.1);
}

TEST_CASE("many chosen experts and large weights stay finite") {
  LearnRule rule;
  rule.rate.value = 1;
  Learner learner(1, 64, rule, nullptr);
  for (uint32_t t = 0; t < 100; ++t) {
    Dispatch d;
    for (uint32_t e = t % 2; e < 64; ++e) d.experts.push_back({e, Action::hit, 1, 3e38});
    learner.observe(to_observation(d));
  }
  for (uint32_t e = 0; e < 64; ++e) {
    CHECK(learner.value(0, e) >= 0);
    CHECK(learner.value(0, e) <= 1);
  }
}

TEST_CASE("weights start another learner; of another window they do not") {
  const std::vector<Dispatch> log = random_log(3, 2, 4, 60);
  Learner learner(2, 4, small_rule(), nullptr);
  for (const Dispatch& d : log) learner.observe(to_observation(d));
  Profile profile;
  profile.learned = {learner.weights(0), learner.weights(1)};
  CHECK(profile.learned[0].size() == Learner::num_weights(4, 5));
  CHECK(Learner(2, 4, small_rule(), &profile).weights(1) == learner.weights(1));
  LearnRule wider = small_rule();
  wider.window.value = 6;
  CHECK(Learner(2, 4, wider, &profile).weights(1) == std::vector<double>(Learner::num_weights(4, 6), 0.0));
}

}  // namespace
}  // namespace moe::ir::test
