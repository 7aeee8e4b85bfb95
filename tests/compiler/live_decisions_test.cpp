// SPDX-License-Identifier: Apache-2.0
// What plans of a live engine say is what the reference interpreter decides: actions, who left, what was fetched.
#include "ir/interpreter.h"
#include "tests/compiler/tiered_engine.h"

namespace moe::test {
namespace {

/// As TieredEngine::step says it.
std::vector<uint32_t> words_of(const ir::Decision& decision) {
  constexpr moe_action kActions[] = {MOE_ACTION_HIT,      MOE_ACTION_LOAD,     MOE_ACTION_STREAM, MOE_ACTION_CPU,
                                     MOE_ACTION_CPU_LOAD, MOE_ACTION_CPU_LOAD, MOE_ACTION_SHARED, MOE_ACTION_SKIP};
  std::vector<uint32_t> words;
  for (const ir::ExpertDecision& expert : decision.experts) words.push_back(kActions[static_cast<int>(expert.action)]);
  for (const auto* keys : {&decision.evicted, &decision.prefetched}) {
    for (const uint32_t key : *keys) words.insert(words.end(), {key / kExperts, key % kExperts});
  }
  return words;
}

std::vector<std::vector<uint32_t>> interpreted(const Policy& policy, uint32_t count, uint32_t seed) {
  ir::Interpreter interpreter(policy.bound());
  std::vector<std::vector<uint32_t>> decided;
  for (const std::vector<int32_t>& ids : random_routing(count, seed)) {
    ir::DispatchInput input;
    input.layer = static_cast<uint32_t>(decided.size()) % kLayers;
    input.num_tokens = static_cast<uint32_t>(ids.size()) / kTopK;
    input.top_k = kTopK;
    input.ids = ids;
    const auto decision = interpreter.dispatch(input);
    REQUIRE(decision.has_value());
    decided.push_back(words_of(*decision));
  }
  return decided;
}

TEST_CASE("plans say what the interpreter decides") {
  const Model model;
  const std::string fetch = "cancel_stale = false ";  // or the clock decides, too
  std::vector<std::string> policies = {
      "cache { capacity = 8 } prefetch { strategy = affinity affinity_threshold = 5% budget = 3 side_buffer = true " +
          fetch + "}",
      "cache { capacity = 4 eviction = lfu } prefetch { strategy = history budget = 2 side_buffer = true " + fetch +
          "}",
      "cache { capacity = 2 scope = layer } prefetch { strategy = lookahead lookahead = 2 budget = 3 side_buffer = "
      "true " +
          fetch + "}",
      "cache { capacity = 5 admit = when(idle < 4) } prefetch { strategy = affinity affinity_threshold = 5% budget = 4 "
      "side_buffer = true admit = when(predicted > 0.1) " +
          fetch + "}",
      "cache { capacity = 6 eviction = s3_fifo } prefetch { strategy = history lookahead = 3 budget = 2 side_buffer = "
      "true " +
          fetch + "} adapt { when hit_rate < 50% for 5 dispatches { prefetch.side_buffer = false } revert }",
      "cache { capacity = 8 } schedule { mode = cpu_fallback arrival = 2 }",
      "cache { capacity = 6 eviction = arc } schedule { mode = cpu_fallback arrival = 1 }",
      "cache { capacity = 8 eviction = least(use_rate(6) - 0.1 * log(1 + idle)) } prefetch { strategy = history " +
          fetch + "}",
      "cache { capacity = 9 eviction = lru | lfu protect_selected = false }",
      "cache { capacity = 8 eviction = freq_threshold }",
      "cache { capacity = 8 protect_selected = false } schedule { order = least((1 - resident) * num_experts + expert) "
      "}",
  };
  for (const TierCase& one : tier_cases()) {
    if (!one.by_the_clock) policies.push_back(one.blocks);
  }
  for (const std::string& blocks : policies) {
    CAPTURE(blocks);
    const Policy policy(blocks);
    TieredEngine engine(model);
    engine.open();
    REQUIRE_MESSAGE(policy.attach(engine.get()) == MOE_OK, std::string(moe_last_error()));
    const auto decided = engine.run(400, 11);
    const auto expected = interpreted(policy, 400, 11);
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(i);
      REQUIRE(decided[i] == expected[i]);
    }
  }
}

TEST_CASE("what waits beside the cache is gone at a swap, and its slots are there for others") {
  const Model model;
  const Policy aside(
      "cache { capacity = 4 } prefetch { strategy = affinity affinity_threshold = 1% budget = 4 lookahead = 1 "
      "side_buffer = true }"),
      plain("cache { capacity = 8 }");
  TieredEngine engine(model, [](moe_runtime_config& config) { config.streaming_slots = 8; });
  engine.open();
  REQUIRE(aside.attach(engine.get()) == MOE_OK);
  for (uint32_t round = 0; round < 20; ++round) {
    engine.run(25, round);
    REQUIRE((round % 2 == 0 ? plain : aside).attach(engine.get()) == MOE_OK);
  }
  CHECK(engine.stats().prefetch_used > 0);
  const Policy larger("cache { capacity = 9 }");
  CHECK(larger.attach(engine.get()) == MOE_FULL);  // 4 and 4 beside them
}

}  // namespace
}  // namespace moe::test
