// SPDX-License-Identifier: Apache-2.0
// What changes the model's output reaches the engine as the language says: `drop`, and the actions `shared` and `skip`.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/compiler/small_engine.h"

namespace moe::test {
namespace {

struct Entry {
  uint32_t expert;
  uint32_t action;
  std::vector<uint32_t> selections;
  friend bool operator==(const Entry&, const Entry&) = default;
};
struct Planned {
  std::vector<Entry> entries;
  std::vector<uint32_t> dropped;
};

/// One dispatch of layer 0, waited for, and released.
Planned plan_of(SmallEngine& engine, const std::vector<std::pair<int32_t, float>>& routing) {
  std::vector<int32_t> ids;
  std::vector<float> weights;
  for (const auto& [id, weight] : routing) {
    ids.push_back(id);
    weights.push_back(weight);
  }
  moe_dispatch_args args{};
  args.struct_size = sizeof args;
  args.num_tokens = static_cast<uint32_t>(ids.size() / kTopK);
  args.top_k = kTopK;
  args.ids = ids.data();
  args.weights = weights.data();
  moe_plan plan{};
  plan.struct_size = sizeof plan;
  REQUIRE(moe_dispatch(engine.get(), &args, &plan) == MOE_OK);
  Planned planned;
  for (uint32_t i = 0; i < plan.num_entries; ++i) {
    const moe_plan_entry& entry = plan.entries[i];
    REQUIRE(moe_plan_wait(engine.get(), &plan, i, nullptr) == MOE_OK);
    const bool is_left_out = entry.action == MOE_ACTION_SHARED || entry.action == MOE_ACTION_SKIP;
    CHECK((entry.data == nullptr) == is_left_out);
    CHECK((entry.slot == MOE_NO_SLOT) == is_left_out);
    const uint32_t action = entry.action == MOE_ACTION_LATE ? uint32_t{MOE_ACTION_HIT} : entry.action;
    const uint32_t* const first = plan.selections + entry.first_selection;
    planned.entries.push_back({entry.expert, action, {first, first + entry.num_selections}});
  }
  planned.dropped.assign(plan.dropped, plan.dropped + plan.num_dropped);
  REQUIRE(moe_plan_release(engine.get(), &plan, nullptr) == MOE_OK);
  return planned;
}

moe_stats_t stats_of(const SmallEngine& engine) {
  moe_stats_t stats{};
  stats.struct_size = sizeof stats;
  REQUIRE(moe_stats(engine.get(), &stats) == MOE_OK);
  return stats;
}

TEST_CASE("misses of little weight are left to the shared expert, or out") {
  const PolicyHandle policy(R"(policy p {
    cache { capacity = 4  eviction = lru }
    schedule {
      approximate = true
      on miss { when weight < 10% -> skip  when weight < 30% -> shared  else -> load }
    }
  })",
                            options_for(1));
  SmallEngine engine(policy.handle);
  // The largest weight of an expert decides: 7 has 0.05 and 0.6.
  const Planned first = plan_of(engine, {{1, 0.9f}, {7, 0.05f}, {7, 0.6f}, {3, 0.2f}, {5, 0.8f}, {4, 0.01f}});
  CHECK(first.entries == std::vector<Entry>{{1, MOE_ACTION_LOAD, {0}},
                                            {7, MOE_ACTION_LOAD, {1, 2}},
                                            {3, MOE_ACTION_SHARED, {3}},
                                            {5, MOE_ACTION_LOAD, {4}},
                                            {4, MOE_ACTION_SKIP, {5}}});
  // A resident is used, however little it weighs; who was left out has not become one.
  const Planned second = plan_of(engine, {{7, 0.01f}, {3, 0.29f}});
  CHECK(second.entries == std::vector<Entry>{{7, MOE_ACTION_HIT, {0}}, {3, MOE_ACTION_SHARED, {1}}});
  const moe_stats_t stats = stats_of(engine);
  CHECK(stats.approximated == 3);
  CHECK(stats.selections == 8);
  CHECK(stats.misses == 6);
  CHECK(stats.loads == 3);
  CHECK(stats.bytes_moved == 3 * 64);
}

TEST_CASE("what drop leaves out is in no entry, resident or not") {
  const PolicyHandle policy(R"(policy p {
    cache { capacity = 4  eviction = lru }
    schedule { approximate = true  drop = when(weight < 0.1) }
  })",
                            options_for(1));
  SmallEngine engine(policy.handle);
  const Planned first = plan_of(engine, {{2, 0.05f}, {1, 0.9f}, {1, 0.3f}, {6, 0.2f}});
  CHECK(first.entries == std::vector<Entry>{{1, MOE_ACTION_LOAD, {1, 2}}, {6, MOE_ACTION_LOAD, {3}}});
  CHECK(first.dropped == std::vector<uint32_t>{2});
  const Planned second = plan_of(engine, {{6, 0.09f}, {2, 0.5f}});
  CHECK(second.entries == std::vector<Entry>{{2, MOE_ACTION_LOAD, {1}}});
  CHECK(second.dropped == std::vector<uint32_t>{6});
  const Planned none = plan_of(engine, {{6, 0.01f}, {2, 0.02f}});
  CHECK(none.entries.empty());
  CHECK(none.dropped == std::vector<uint32_t>{6, 2});
  const moe_stats_t stats = stats_of(engine);
  CHECK(stats.approximated == 4);
  CHECK(stats.accesses == 3);
  CHECK(stats.selections == 8);
}

TEST_CASE("an engine of before is not told, and its plan is not written beyond what it knows") {
  const PolicyHandle policy(
      "policy p { cache { capacity = 4 }  schedule { approximate = true  drop = when(weight < 0.1) } }",
      options_for(1));
  SmallEngine engine(policy.handle);
  moe_plan plan;
  std::fill_n(reinterpret_cast<unsigned char*>(&plan), sizeof plan, 0xAB);
  plan.struct_size = offsetof(moe_plan, num_dropped);
  const int32_t ids[] = {0, 1};
  const float weights[] = {1.0f, 0.0f};
  moe_dispatch_args args{};
  args.struct_size = sizeof args;
  args.num_tokens = 1;
  args.top_k = kTopK;
  args.ids = ids;
  args.weights = weights;
  REQUIRE(moe_dispatch(engine.get(), &args, &plan) == MOE_OK);
  CHECK(plan.num_entries == 1);
  CHECK(plan.num_dropped == 0xABABABABu);
  CHECK(moe_plan_release(engine.get(), &plan, nullptr) == MOE_OK);
}

}  // namespace
}  // namespace moe::test
