// SPDX-License-Identifier: Apache-2.0
// What the prefetch strategies say, against docs/semantics.md, worked by hand.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "ir/predictor.h"

#include <doctest/doctest.h>

#include <string>

namespace moe::ir::test {
namespace {

struct Expected {
  uint32_t layer;
  uint32_t expert;
  double predicted;
};

/// A predictor and the dispatches it is shown.
class Scene {
 public:
  using Make = std::unique_ptr<Predictor> (*)(const PredictorSetup&);

  Scene(uint32_t num_layers, uint32_t num_experts) {
    setup.num_layers = num_layers;
    setup.num_experts = num_experts;
    setup.top_k = 1;
    setup.rule = &rule;
  }

  void show(uint32_t layer, const std::vector<uint32_t>& experts, uint64_t request = 0) {
    std::vector<ExpertDecision> decisions;
    for (uint32_t expert : experts) decisions.push_back({expert, Action::hit, 1, 1.0});
    observe({layer, decisions, 1, request, request != last_request_, {}});
  }
  void show_router(uint32_t layer, const std::vector<float>& probabilities) {
    const auto num_tokens = static_cast<uint32_t>(probabilities.size() / setup.num_experts);
    observe({layer, {}, num_tokens, 0, false, probabilities});
  }
  void observe(const Observation& observation) {
    if (!predictor_) predictor_ = make(setup);
    last_request_ = observation.request;
    predictor_->observe(observation);
  }

  /// The first so many candidates; -1: all of them.
  void expect(uint32_t layer, const std::vector<Expected>& expected, int first = -1) {
    const std::vector<Candidate> candidates = predictor_->predict(layer);
    if (first < 0) REQUIRE(candidates.size() == expected.size());
    REQUIRE(candidates.size() >= expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(i);
      CHECK(candidates[i].layer == expected[i].layer);
      CHECK(candidates[i].expert == expected[i].expert);
      CHECK(candidates[i].predicted == doctest::Approx(expected[i].predicted).epsilon(1e-7));
    }
  }

  PrefetchRule rule;
  PredictorSetup setup;
  Make make = nullptr;

 private:
  std::unique_ptr<Predictor> predictor_;
  uint64_t last_request_ = 0;
};

TEST_CASE("history: frequent first, then recent, then lower id; the window forgets") {
  Scene scene(2, 8);
  scene.make = make_history;
  scene.rule.lookahead.value = 2;  // from layer 0 to layer 0
  scene.rule.history_window.value = 3;
  scene.show(0, {2, 1, 5});
  scene.show(0, {3, 1});
  scene.show(0, {3});
  scene.expect(0, {{0, 3, 2.0 / 3}, {0, 1, 2.0 / 3}, {0, 2, 1.0 / 3}, {0, 5, 1.0 / 3}});
  scene.show(0, {});  // a dispatch without experts counts
  scene.expect(0, {{0, 3, 2.0 / 3}, {0, 1, 1.0 / 3}});
  scene.expect(1, {});
}

TEST_CASE("lookahead: nearest layer first, no layer twice") {
  Scene scene(3, 8);
  scene.make = make_history;
  scene.rule.strategy.value = Strategy::lookahead;
  scene.rule.lookahead.value = 2;
  scene.show(0, {4});
  scene.show(1, {5});
  scene.show(2, {6});
  scene.expect(2, {{0, 4, 1}, {1, 5, 1}});
  scene.rule.lookahead.value = kAllLayers;
  scene.expect(1, {{2, 6, 1}, {0, 4, 1}, {1, 5, 1}});
}

TEST_CASE("affinity: mean share over the selected, decayed counts") {
  Scene scene(2, 4);
  scene.make = make_affinity;
  scene.setup.frequency_decay = 0.5;
  scene.setup.decay_interval = 2;
  scene.show(0, {1, 0});
  scene.show(1, {2});     // 0 -> 2 and 1 -> 2: 1 of 1
  scene.show(0, {0});     // 2 -> 0; the second dispatch of layer 0 halves what is known of it: 0.5 of 0.5
  scene.show(1, {3});     // 0 -> 3: 1 of 1.5, 0 -> 2: 0.5 of 1.5
  scene.show(0, {1, 0});  // 3 -> 0, 3 -> 1
  scene.expect(0, {{1, 2, (0.5 / 1.5 + 1) / 2}, {1, 3, 1 / 1.5 / 2}});
  scene.rule.affinity_threshold.value = 0.4;
  scene.expect(0, {{1, 2, 2.0 / 3}});
  scene.show(1, {3});
  scene.expect(1, {{0, 0, 1}, {0, 1, 1}});  // over the last layer into the first; ties: lower id
  scene.expect(0, {});                      // the last dispatch was of layer 1
}

TEST_CASE("affinity: only a dispatch of the next layer follows") {
  Scene scene(3, 4);
  scene.make = make_affinity;
  scene.show(0, {0});
  scene.show(2, {1});
  scene.show(0, {0});
  scene.expect(0, {});
  scene.show(1, {});  // followed by nothing: a use without a pair
  scene.show(0, {0});
  scene.rule.affinity_threshold.value = 0;
  scene.expect(0, {});
}

TEST_CASE("affinity: a profile's shares stand, nothing is learned") {
  Profile profile{2, 3, 1, "", {}, {}, {}};
  profile.affinity = {{{{1, 0.75}, {2, 0.25}}, {}, {{2, 1.0}}}, {{}, {}, {}}};
  Scene scene(2, 3);
  scene.make = make_affinity;
  scene.setup.profile = &profile;
  scene.show(0, {0, 2});
  scene.expect(0, {{1, 2, 0.625}, {1, 1, 0.375}});
  scene.show(1, {0});
  scene.show(0, {0});
  scene.expect(0, {{1, 1, 0.75}});
}

TEST_CASE("sequence: the past request's counts, over all later layers, nearer ones worth more") {
  Scene scene(3, 3);
  scene.make = make_sequence;
  scene.rule.lookahead.value = kAllLayers;
  scene.show(0, {0});
  scene.show(1, {1});
  scene.show(2, {2});
  scene.expect(0, {});  // no request has ended
  scene.show(0, {0}, 1);
  scene.expect(0, {{1, 1, 0.75}, {2, 2, 0.5}});
  scene.rule.lookahead.value = 1;
  scene.expect(0, {{1, 1, 0.75}});
  scene.expect(2, {});  // never over the last layer
}

TEST_CASE("sequence: predicted is the share of the layer's selections, by distance") {
  Scene scene(3, 4);
  scene.make = make_sequence;
  scene.rule.lookahead.value = kAllLayers;
  for (int token = 0; token < 4; ++token) {
    scene.show(0, {0});
    scene.show(1, {token == 0 ? 1U : 3U});
    scene.show(2, {token < 2 ? 2U : 0U});
  }
  scene.show(0, {0}, 1);
  // 3 x 3/4; 2 x 1/2 twice; 1 x 3/4
  scene.expect(0, {{1, 3, 0.5625}, {2, 0, 0.25}, {2, 2, 0.25}, {1, 1, 0.1875}});
}

TEST_CASE("sequence: the best match over later layers; the least often matched makes place") {
  Scene scene(3, 3);
  scene.make = make_sequence;
  scene.rule.lookahead.value = kAllLayers;
  scene.rule.store.value = 2;
  const auto token = [&scene](uint64_t request, uint32_t a, uint32_t b, uint32_t c) {
    scene.show(0, {a}, request);
    scene.show(1, {b}, request);
    scene.show(2, {c}, request);
  };
  token(0, 0, 1, 2);
  token(1, 0, 0, 0);  // three matches with request 0, the only one
  token(2, 2, 2, 0);  // nothing is known of later layers: request 0, three times
  scene.show(0, {0}, 2);
  scene.expect(0, {{1, 0, 0.75}, {2, 0, 0.5}}, 2);  // layer 2 of request 1: 1 match
  token(3, 1, 2, 0);                                // request 2 has taken the place of request 1
  scene.show(0, {1}, 3);
  scene.expect(0, {{1, 2, 0.75}, {2, 0, 0.5}}, 2);
}

using Row = std::vector<float>;

TEST_CASE("trajectory: what fits into 1 - similarity, at least top_k, over all later layers") {
  Scene scene(3, 3);
  scene.make = make_trajectory;
  scene.show_router(0, Row{0.6F, 0.3F, 0.1F});
  scene.expect(0, {});  // no token has ended
  scene.show_router(1, Row{0.2F, 0.5F, 0.3F});
  scene.show_router(2, Row{0.1F, 0.1F, 0.8F});
  scene.expect(2, {});
  SUBCASE("the same: top_k of each layer, 0.8 x 3/4 before 0.5") {
    scene.show_router(0, Row{0.6F, 0.3F, 0.1F});
    scene.expect(0, {{2, 2, 0.8}, {1, 1, 0.5}});
    scene.rule.lookahead.value = 2;
    scene.expect(0, {{2, 2, 0.8}});
    scene.rule.lookahead.value = kAllLayers;
    scene.expect(0, {});
  }
  SUBCASE("similarity 0.1 / sqrt(0.46) leaves 0.85: 0.5 + 0.3 of layer 1, 0.8 of layer 2") {
    scene.show_router(0, Row{0.0F, 0.0F, 1.0F});
    scene.expect(0, {{2, 2, 0.8}, {1, 1, 0.5}, {1, 2, 0.3}});
  }
  SUBCASE("a layer that comes again begins another token") {
    scene.show_router(1, Row{0.0F, 1.0F, 0.0F});
    scene.show_router(1, Row{0.2F, 0.5F, 0.3F});
    scene.expect(1, {{2, 2, 0.8}});
    scene.expect(0, {});  // not the last dispatch
  }
}

TEST_CASE("trajectory: a full store gives up the most similar map") {
  Scene scene(2, 2);
  scene.make = make_trajectory;
  scene.rule.store.value = 2;
  scene.show_router(0, Row{1, 0, 0, 1});  // two tokens in one dispatch
  scene.show_router(1, Row{1, 0, 1, 0});
  scene.show_router(0, Row{0.1F, 0.9F});
  scene.show_router(1, Row{0.6F, 0.4F});  // like the second in layer 0, so it takes that place
  scene.show_router(0, Row{0, 1});
  scene.expect(0, {{1, 0, 0.6}});
  scene.show_router(1, Row{0, 1});
  scene.show_router(0, Row{1, 0});
  scene.expect(0, {{1, 0, 1}});
}

TEST_CASE("trajectory: router weights stand in for unknown probabilities") {
  Scene scene(2, 3);
  scene.make = make_trajectory;
  const std::vector<ExpertDecision> first{{2, Action::hit, 1, 0.75}, {0, Action::hit, 1, 0.25}};
  const std::vector<ExpertDecision> second{{1, Action::hit, 1, 0.5}, {2, Action::hit, 1, 0.5}};
  scene.setup.top_k = 3;
  scene.observe({0, first, 1, 0, false, {}});
  scene.observe({1, second, 1, 0, false, {}});
  scene.observe({0, first, 1, 0, false, {}});
  scene.expect(0, {{1, 1, 0.5}, {1, 2, 0.5}});  // never one of probability 0
}

}  // namespace
}  // namespace moe::ir::test
