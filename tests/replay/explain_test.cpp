// SPDX-License-Identifier: Apache-2.0
// Explanations on real routing: whatever is asked, they tell of the decision that a replay makes, and of nothing else.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "replay/explain.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>

#include "replay/load_trace.h"
#include "replay/replayer.h"
#include "tests/replay/support.h"

namespace moe::replay {
namespace {

using ir::Cause;
using ir::Eviction;

/// Remembers every decision of the reference interpreter.
class Recorder final : public DecisionEngine {
 public:
  explicit Recorder(const ir::BoundPolicy& policy) : engine_(make_interpreter_engine(policy)) {}
  std::optional<ir::Decision> decide(const ir::DispatchInput& input) override {
    std::optional<ir::Decision> decision = engine_->decide(input);
    if (decision) decisions.push_back(*decision);
    return decision;
  }
  void hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) override {
    engine_->hint(layer, ids, probabilities);
  }
  void set_future(const ir::Future* future) override { engine_->set_future(future); }

  std::vector<ir::Decision> decisions;

 private:
  std::unique_ptr<DecisionEngine> engine_;
};

ir::BoundPolicy policy_for(const Trace& trace, Eviction rule) {
  ir::BoundPolicy policy;
  policy.name = "p";
  policy.shape = {trace.num_layers, trace.num_experts, trace.top_k, 0};
  policy.eviction = rule;
  policy.capacity = trace.num_layers * 12;
  policy.pins = {1, trace.num_experts + 2};
  policy.ttl = rule == Eviction::lru ? 900 : 0;
  policy.freq_window = 600;
  policy.freq_threshold = 0.002;
  policy.strategy = trace.lookahead_width != 0 ? ir::Strategy::gate : ir::Strategy::history;
  policy.budget = 2;
  return policy;
}

void check_account(const ir::ExplainedDecision& explained, const ir::Decision& decision, Eviction rule) {
  const ir::DecisionAccount& account = explained.account;
  REQUIRE(account.departures.size() == decision.evicted.size());
  for (size_t i = 0; i < decision.evicted.size(); ++i) {
    const ir::Departure& departure = account.departures[i];
    CHECK(departure.key == decision.evicted[i]);
    const bool chosen = departure.cause == Cause::demand || departure.cause == Cause::prefetch;
    REQUIRE(chosen == departure.choice.has_value());
    if (!chosen) continue;
    const ir::Choice& choice = account.choices[*departure.choice];
    CHECK(choice.victim == departure.key);
    for (const auto& [key, why] : choice.spared) CHECK(key != departure.key);
    const bool by_number = rule < Eviction::sieve;
    if (by_number) CHECK(choice.candidates.front().key == departure.key);
    // Everybody of the cache is in one of the two lists.
    CHECK(choice.candidates.size() + choice.spared.size() == account.capacity);
  }
  size_t fetched = 0;
  for (const ir::PrefetchAccount& prefetch : account.prefetches) fetched += prefetch.refusal ? 0 : 1;
  CHECK(fetched == decision.prefetched.size());
}

TEST_CASE("of real routing, every kind of rule: the account is of the decision, all of it") {
  const auto path = test::shared_data("models/olmoe-tiny/routing.npz");
  if (!path) return;
  Result<Trace> loaded = load_trace(*path);
  REQUIRE(loaded.ok());
  Trace trace = std::move(*loaded);
  REQUIRE(trace.num_layers == 8);
  constexpr uint64_t kAsked[] = {0, 7, 200, 601, 1200, 1597, 1599};
  for (const Eviction rule :
       {Eviction::lru, Eviction::lfu, Eviction::score, Eviction::freq_threshold, Eviction::fifo, Eviction::sieve,
        Eviction::s3_fifo, Eviction::arc, Eviction::lirs, Eviction::w_tinylfu, Eviction::random, Eviction::belady}) {
    CAPTURE(to_word(rule));
    const ir::BoundPolicy policy = policy_for(trace, rule);
    REQUIRE(verify(policy).empty());
    Recorder recorder(policy);
    REQUIRE(replay(trace, policy, recorder, nullptr, 1600).ok());
    REQUIRE(recorder.decisions.size() == 1600);
    size_t left = 0;
    for (const uint64_t number : kAsked) {
      CAPTURE(number);
      const Result<ir::ExplainedDecision> explained = explain(trace, policy, {number, {}});
      REQUIRE(explained.ok());
      CHECK(explained->decision == recorder.decisions[number]);
      CHECK(explained->account.layer == number % 8);
      CHECK(explained->token == number / 8);
      check_account(*explained, recorder.decisions[number], rule);
      left += explained->account.departures.size();
      CHECK_FALSE(print_text(*explained, policy, {}).empty());
      CHECK_FALSE(print_json(*explained, policy, {}).empty());
    }
    CHECK(left > 0);
  }
}

TEST_CASE("N may count the dispatches of one layer, and must be there") {
  Trace trace;
  trace.num_layers = 2;
  trace.num_experts = 4;
  trace.top_k = 1;
  trace.num_tokens = 3;
  trace.experts = {0, 1, 2, 3, 1, 0};
  ir::BoundPolicy policy;
  policy.name = "p";
  policy.shape = {2, 4, 1, 0};
  policy.capacity = 2;
  const Result<ir::ExplainedDecision> second_of_layer_1 = explain(trace, policy, {1, 1});
  REQUIRE(second_of_layer_1.ok());
  CHECK(second_of_layer_1->dispatch == 3);
  CHECK(second_of_layer_1->decision.experts.front().expert == 3);
  CHECK(second_of_layer_1->decision.evicted == std::vector<uint32_t>{5});  // 1:1: 0:0 made place for 0:2
  CHECK(explain(trace, policy, {6, {}}).error().message == "there is no dispatch 6; the last is 5");
  CHECK(explain(trace, policy, {3, 0}).error().message == "there is no dispatch 3 of layer 0; the last is 2");
  CHECK(explain(trace, policy, {0, 2}).error().message == "there is no layer 2; the trace has 2");
}

}  // namespace
}  // namespace moe::replay
