// SPDX-License-Identifier: Apache-2.0
// The life of a plan: what it says, and that wait, done and release keep to it.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "tests/runtime/support.h"

namespace moe::test {
namespace {

void use_and_release(Fixture& f, const moe_plan& plan) {
  for (uint32_t i = 0; i < plan.num_entries; ++i) {
    REQUIRE(moe_plan_wait(f.get(), &plan, i, nullptr) == MOE_OK);
    CHECK(f.experts().is(plan.layer, plan.entries[i].expert, plan.entries[i].data));
    CHECK(moe_plan_done(f.get(), &plan, i, nullptr) == MOE_OK);
  }
  CHECK(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
}

/// Each entry's selections are exactly the places of its expert, ascending, and its weight is the largest of theirs.
void check_selections(const moe_plan& plan, const std::vector<int32_t>& ids, const std::vector<float>& weights) {
  uint32_t next = 0;
  for (uint32_t i = 0; i < plan.num_entries; ++i) {
    const moe_plan_entry& entry = plan.entries[i];
    CHECK(entry.first_selection == next);
    float largest = 0;
    for (uint32_t s = 0; s < entry.num_selections; ++s) {
      const uint32_t at = plan.selections[next + s];
      CHECK(ids[at] == static_cast<int32_t>(entry.expert));
      if (s > 0) CHECK(plan.selections[next + s - 1] < at);
      largest = std::max(largest, weights[at]);
    }
    CHECK(entry.weight == largest);
    next += entry.num_selections;
  }
  CHECK(next == ids.size());
}

TEST_CASE("a resident policy hits always, once its experts are there") {
  const decision::Params p = lru_params(3, 8, 2, 24);
  Fixture f(p, 1000);
  const moe_model_shape shape{sizeof shape, 3, 8, 2, 0};
  moe_policy* policy = nullptr;
  REQUIRE(moe_policy_resident(&shape, &policy) == MOE_OK);
  CHECK(std::string(moe_policy_manifest(policy)).find("\"name\":\"resident\"") != std::string::npos);
  REQUIRE(moe_policy_attach(f.get(), policy) == MOE_OK);
  CHECK(moe_policy_destroy(policy) == MOE_OK);
  for (uint32_t layer = 0; layer < 3; ++layer) {
    moe_plan plan;
    REQUIRE(f.dispatch(layer, {0, 1, 7, 3}, plan) == MOE_OK);
    CHECK(plan.num_entries == 4);
    CHECK(plan.num_evicted == 0);
    for (uint32_t i = 0; i < 4; ++i) CHECK(plan.entries[i].action <= MOE_ACTION_LATE);
    use_and_release(f, plan);
  }
  const moe_stats_t stats = f.stats();
  CHECK(stats.hits == 12);
  CHECK(stats.misses == 0);
  CHECK(stats.resident == 24);
  CHECK(stats.tokens == 2);
  CHECK(stats.fast_tier_bytes == 26 * 1024);
  CHECK(stats.window_hit_rate == 1.0);
}

TEST_CASE("plans of many shapes say the truth") {
  std::mt19937 random(20240607);
  struct Shape {
    uint32_t layers, experts, top_k, capacity, tokens;
  };
  const Shape shapes[] = {{1, 1, 1, 1, 1},   {1, 2, 2, 1, 3},    {2, 8, 2, 5, 4},    {27, 64, 6, 40, 1},
                          {3, 16, 4, 12, 9}, {1, 256, 8, 6, 64}, {4, 128, 1, 9, 33}, {2, 60, 60, 30, 2}};
  for (const Shape& shape : shapes) {
    CAPTURE(shape.experts);
    const decision::Params p = lru_params(shape.layers, shape.experts, shape.top_k, shape.capacity);
    Fixture f(p, 65);
    REQUIRE(f.attach(p) == MOE_OK);
    std::vector<int32_t> all(shape.experts);
    std::iota(all.begin(), all.end(), 0);
    for (uint32_t round = 0; round < 40; ++round) {
      std::vector<int32_t> ids;
      for (uint32_t token = 0; token < shape.tokens; ++token) {
        std::shuffle(all.begin(), all.end(), random);
        ids.insert(ids.end(), all.begin(), all.begin() + shape.top_k);
      }
      std::vector<float> weights(ids.size());
      for (float& w : weights) w = static_cast<float>(random() % 1000) / 100;
      moe_dispatch_args args = dispatch_args(p, round % shape.layers, ids);
      args.weights = weights.data();
      moe_plan plan = empty_plan();
      REQUIRE(moe_dispatch(f.get(), &args, &plan) == MOE_OK);
      CHECK(plan.num_entries == std::set<int32_t>(ids.begin(), ids.end()).size());
      check_selections(plan, ids, weights);
      use_and_release(f, plan);
    }
    const moe_stats_t stats = f.stats();
    CHECK(stats.dispatches == 40);
    CHECK(stats.hits + stats.misses == stats.accesses);
    CHECK(stats.loads + stats.streams == stats.misses);
    CHECK(stats.selections == uint64_t{40} * shape.tokens * shape.top_k);
    CHECK(stats.resident <= shape.capacity);
  }
}

TEST_CASE("actions follow the policy's miss") {
  decision::Params p = lru_params(1, 8, 1, 2);
  for (const auto& [miss, action] :
       {std::pair{decision::MissAction::load, MOE_ACTION_LOAD}, std::pair{decision::MissAction::cpu, MOE_ACTION_CPU},
        std::pair{decision::MissAction::cpu_load, MOE_ACTION_CPU_LOAD}}) {
    p.miss = static_cast<uint32_t>(miss);
    Fixture f(p, 100);
    REQUIRE(f.attach(p) == MOE_OK);
    moe_plan plan;
    REQUIRE(f.dispatch(0, {3}, plan) == MOE_OK);
    CHECK(plan.entries[0].action == action);
    const bool on_host = action != MOE_ACTION_LOAD;
    CHECK((plan.entries[0].slot == MOE_NO_SLOT) == on_host);
    if (on_host) CHECK(plan.entries[0].data == f.experts()(0, 3).data());
    use_and_release(f, plan);
    // The second time: resident unless the CPU did it all.
    REQUIRE(f.dispatch(0, {3}, plan) == MOE_OK);
    CHECK((plan.entries[0].action <= MOE_ACTION_LATE) == (action != MOE_ACTION_CPU));
    use_and_release(f, plan);
  }
}

TEST_CASE("ids are good for one plan, once") {
  const decision::Params p = lru_params(1, 8, 1, 2);
  Fixture f(p, 100);
  Fixture other(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  REQUIRE(other.attach(p) == MOE_OK);
  moe_plan plan;
  REQUIRE(f.dispatch(0, {1}, plan) == MOE_OK);
  moe_plan theirs;
  REQUIRE(other.dispatch(0, {1}, theirs) == MOE_OK);

  CHECK(moe_plan_wait(f.get(), &theirs, 0, nullptr) == MOE_INVALID);
  CHECK(moe_plan_done(f.get(), &theirs, 0, nullptr) == MOE_INVALID);
  CHECK(moe_plan_release(f.get(), &theirs, nullptr) == MOE_INVALID);
  CHECK(moe_plan_wait(f.get(), &plan, 1, nullptr) == MOE_INVALID);
  CHECK(moe_plan_done(f.get(), &plan, 1, nullptr) == MOE_INVALID);
  for (uint64_t forged : {uint64_t{0}, uint64_t{1}, plan.id + 1, plan.id + (1u << 16), ~uint64_t{0}}) {
    moe_plan forgery = plan;
    forgery.id = forged;
    CHECK(moe_plan_wait(f.get(), &forgery, 0, nullptr) == MOE_INVALID);
    CHECK(moe_plan_release(f.get(), &forgery, nullptr) == MOE_INVALID);
  }
  CHECK(moe_plan_wait(f.get(), &plan, 0, &plan) == MOE_INVALID);  // a stream on the host backend
  CHECK(moe_plan_done(f.get(), &plan, 0, &plan) == MOE_INVALID);
  CHECK(moe_plan_release(f.get(), &plan, &plan) == MOE_INVALID);

  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_OK);
  CHECK(f.experts().is(0, 1, plan.entries[0].data));
  CHECK(moe_plan_done(f.get(), &plan, 0, nullptr) == MOE_OK);
  CHECK(moe_plan_done(f.get(), &plan, 0, nullptr) == MOE_INVALID);
  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_INVALID);
  CHECK(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  CHECK(moe_plan_release(f.get(), &plan, nullptr) == MOE_INVALID);
  CHECK(std::string(moe_last_error()).find("released") != std::string::npos);
  CHECK(moe_plan_release(other.get(), &theirs, nullptr) == MOE_OK);
}

TEST_CASE("no more plans than max_plans") {
  const decision::Params p = lru_params(1, 8, 1, 2);
  moe_runtime_config config = config_for(p);
  config.max_plans = 3;
  Fixture f(p, 100, config);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plans[4];
  for (int i = 0; i < 3; ++i) REQUIRE(f.dispatch(0, {1}, plans[i]) == MOE_OK);
  const moe_stats_t before = f.stats();
  CHECK(f.dispatch(0, {1}, plans[3]) == MOE_FULL);
  CHECK(f.stats().dispatches == before.dispatches);
  CHECK(moe_plan_release(f.get(), &plans[1], nullptr) == MOE_OK);
  CHECK(f.dispatch(0, {1}, plans[3]) == MOE_OK);
  CHECK(plans[3].id != plans[1].id);
  for (int i : {0, 2, 3}) CHECK(moe_plan_release(f.get(), &plans[i], nullptr) == MOE_OK);
}

TEST_CASE("a dispatch that is refused changes nothing") {
  const decision::Params p = lru_params(2, 8, 2, 4);
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  REQUIRE(f.dispatch(0, {1, 2}, plan) == MOE_OK);
  use_and_release(f, plan);
  const moe_stats_t before = f.stats();
  CHECK(f.dispatch(0, {1, 1}, plan) == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "token 0 names expert 1 twice");
  CHECK(f.dispatch(0, {1, 8}, plan) == MOE_INVALID);
  CHECK(f.dispatch(0, {1, -1}, plan) == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "ids[0][1] is -1, not in 0..7");
  CHECK(f.dispatch(2, {1, 3}, plan) == MOE_INVALID);
  const float bad[] = {NAN, -1.0f, INFINITY};
  for (const float weight : bad) {
    const std::vector<int32_t> ids{1, 3};
    const float weights[] = {1.0f, weight};
    moe_dispatch_args args = dispatch_args(p, 0, ids);
    args.weights = weights;
    CHECK(moe_dispatch(f.get(), &args, &plan) == MOE_INVALID);
  }
  // Not even a swap happens.
  REQUIRE(f.attach(lru_params(2, 8, 2, 1)) == MOE_OK);
  CHECK(f.dispatch(0, {5, 5}, plan) == MOE_INVALID);
  const moe_stats_t after = f.stats();
  CHECK(after.dispatches == before.dispatches);
  CHECK(after.swaps == 0);
  CHECK(after.resident == before.resident);
  CHECK(plan.id == 0);
  REQUIRE(f.dispatch(0, {1, 2}, plan) == MOE_OK);
  CHECK(f.stats().swaps == 1);
  CHECK(plan.num_evicted >= 1);  // what no longer fits is listed, whatever the cause
  use_and_release(f, plan);
}

TEST_CASE("a policy that is too large is refused, with numbers") {
  const decision::Params p = lru_params(2, 8, 2, 10);
  moe_runtime_config config = config_for(p);
  config.fast_bytes = 11 * 128 + 100;
  Fixture f(p, 100, config);
  CHECK(f.attach(p) == MOE_FULL);
  CHECK(std::string(moe_last_error()) ==
        "policy `test` needs 12 slots (1536 bytes): 10 for its capacity and 2 for streaming; the fast tier of 1508 "
        "bytes has 11 of 128 bytes each");
  CHECK(f.stats().fast_tier_bytes == 0);
  REQUIRE(f.attach(lru_params(2, 8, 2, 9)) == MOE_OK);
  CHECK(f.stats().fast_tier_bytes == 11 * 128);
  CHECK(f.attach(p) == MOE_FULL);
  REQUIRE(f.attach(lru_params(2, 8, 2, 3)) == MOE_OK);
}

}  // namespace
}  // namespace moe::test
