// SPDX-License-Identifier: Apache-2.0
// What `adapt` says to an engine reaches it in the plan of the dispatch: the rules that fired, and their signals.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>

#include "tests/compiler/small_engine.h"

namespace moe::test {
namespace {

// A rule fires when its condition has held for its stretch, and again only after it has not held.
constexpr const char* kOneRule =
    "policy p { cache { capacity = 30%  eviction = lfu }  adapt { when batch >= 2 { signal big  signal bigger } } }";
constexpr const char* kThreeRules =
    "policy p { cache { capacity = 30%  eviction = lfu }  adapt {"
    "  when batch >= 2 { signal big  signal bigger }"
    "  when batch >= 4 { prefetch.budget = 2 }"
    "  when batch >= 3 { signal biggest }"
    "} }";

struct Told {
  std::vector<uint32_t> fired;
  std::vector<std::string> signals;
  friend bool operator==(const Told&, const Told&) = default;
};

Told dispatch(SmallEngine& engine, uint32_t tokens) {
  std::vector<int32_t> ids;
  for (uint32_t i = 0; i < tokens; ++i) ids.insert(ids.end(), {0, 1});
  moe_dispatch_args args{};
  args.struct_size = sizeof args;
  args.num_tokens = tokens;
  args.top_k = kTopK;
  args.ids = ids.data();
  moe_plan plan{};
  plan.struct_size = sizeof plan;
  REQUIRE(moe_dispatch(engine.get(), &args, &plan) == MOE_OK);
  Told told;
  told.fired.assign(plan.fired, plan.fired + plan.num_fired);
  for (uint32_t i = 0; i < plan.num_signals; ++i) told.signals.emplace_back(plan.signals[i]);
  REQUIRE(moe_plan_release(engine.get(), &plan, nullptr) == MOE_OK);
  return told;
}

TEST_CASE("an engine is told of rules that fire, and of their signals in order") {
  const PolicyHandle policy(kThreeRules, options_for(1));
  SmallEngine engine(policy.handle);
  CHECK(dispatch(engine, 1) == Told{});
  CHECK(dispatch(engine, 2) == Told{{0}, {"big", "bigger"}});
  CHECK(dispatch(engine, 2) == Told{});                     // it has fired and still holds
  CHECK(dispatch(engine, 4) == Told{{1, 2}, {"biggest"}});  // rule 1 says nothing to the engine
  CHECK(dispatch(engine, 1) == Told{});
  CHECK(dispatch(engine, 5) == Told{{0, 1, 2}, {"big", "bigger", "biggest"}});
}

TEST_CASE("a policy without rules tells nothing, and a swap brings its own") {
  const PolicyHandle plain(kPlain, options_for(1));
  const PolicyHandle signals(kOneRule, options_for(1));
  SmallEngine engine(plain.handle);
  CHECK(dispatch(engine, 4) == Told{});
  engine.attach(signals.handle);
  CHECK(dispatch(engine, 4) == Told{{0}, {"big", "bigger"}});
  engine.attach(plain.handle);
  CHECK(dispatch(engine, 4) == Told{});
}

TEST_CASE("an engine of before reads the plans that it knows") {
  const PolicyHandle policy(kThreeRules, options_for(1));
  SmallEngine engine(policy.handle);
  struct {
    moe_plan plan;
  } known;
  std::memset(&known, 0xAB, sizeof known);
  constexpr size_t kBefore = offsetof(moe_plan, num_fired);
  known.plan.struct_size = kBefore;
  const int32_t ids[] = {0, 1, 2, 3};
  moe_dispatch_args args{};
  args.struct_size = sizeof args;
  args.num_tokens = 2;
  args.top_k = kTopK;
  args.ids = ids;
  REQUIRE(moe_dispatch(engine.get(), &args, &known.plan) == MOE_OK);
  CHECK(known.plan.num_entries == 4);
  CHECK(known.plan.struct_size == kBefore);
  for (size_t i = kBefore; i < sizeof known; ++i) CHECK(reinterpret_cast<const uint8_t*>(&known)[i] == 0xAB);
  CHECK(moe_plan_wait(engine.get(), &known.plan, 0, nullptr) == MOE_OK);
  CHECK(moe_plan_release(engine.get(), &known.plan, nullptr) == MOE_OK);

  moe_runtime_config config{};
  config.struct_size = offsetof(moe_runtime_config, decision_log_bytes);
  config.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, 0};
  config.decision_log_bytes = UINT64_MAX;  // not read
  moe_runtime* runtime = nullptr;
  REQUIRE(moe_runtime_create(&config, &runtime) == MOE_OK);
  CHECK(moe_runtime_destroy(runtime) == MOE_OK);
  config.struct_size -= 1;
  CHECK(moe_runtime_create(&config, &runtime) == MOE_INVALID);
}

}  // namespace
}  // namespace moe::test
