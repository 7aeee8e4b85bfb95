// SPDX-License-Identifier: Apache-2.0
// Policies from descriptors in memory: who owns them, and that nothing in them is believed unchecked.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <span>

#include "runtime/decision/state.h"
#include "runtime/policy_owner.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

decision::Params g_params = lru_params(2, 4, 1, 4);
uint32_t test_dispatch(void* state, const decision::Input* input, decision::Output* output) {
  return decision::static_dispatch(g_params, state, input, output);
}

TEST_CASE("a descriptor linked into the program") {
  const decision::Descriptor good{sizeof good, decision::kAbiVersion, R"({"name":"linked","expert_bytes":64})",
                                  &g_params, test_dispatch};
  int freed = 0;
  moe_policy* policy = nullptr;
  REQUIRE(moe_policy_from_descriptor_owned(
              &good, [](void* user) { ++*static_cast<int*>(user); }, &freed, &policy) == MOE_OK);
  CHECK(std::string(moe_policy_manifest(policy)) == good.manifest);
  {
    Fixture f(g_params, 64);
    REQUIRE(moe_policy_attach(f.get(), policy) == MOE_OK);
    CHECK(moe_policy_destroy(policy) == MOE_OK);
    CHECK(freed == 0);  // the runtime needs it
    moe_plan plan;
    REQUIRE(f.dispatch(0, {1}, plan) == MOE_OK);
    CHECK(plan.entries[0].action == MOE_ACTION_LOAD);
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
  CHECK(freed == 1);
  REQUIRE(moe_policy_from_descriptor(&good, &policy) == MOE_OK);
  Fixture other(g_params, 65);
  CHECK(moe_policy_attach(other.get(), policy) == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "policy `linked` is for experts of 64 bytes, the store's have 65");
  Fixture wider(lru_params(2, 5, 1, 4), 64);
  CHECK(moe_policy_attach(wider.get(), policy) == MOE_INVALID);
  moe_policy_destroy(policy);
}

TEST_CASE("what no plan carries yet is refused when it is attached") {
  static const decision::Tier on_disk[] = {{4, 0, 0, 0, 0, 0}, {8, 1, 2, 0, 0, 0}};
  static decision::TierSet set{};
  static const uint32_t set_of_layer[] = {0, 0};
  const auto with_tiers = [](decision::Params& p, std::span<const decision::Tier> tiers) {
    set = {};
    set.num_tiers = static_cast<uint32_t>(tiers.size());
    set.tiers = tiers.data();
    p.num_tier_sets = 1, p.num_tiers = set.num_tiers, p.tier_evictions = 1;
    p.tier_sets = &set, p.tier_set_of_layer = set_of_layer;
  };
  const std::pair<const char*, std::function<void(decision::Params&)>> cases[] = {
      {"path of a tier", [&](auto& p) { with_tiers(p, on_disk), set.elsewhere = 1; }},
  };
  for (const auto& [clause, change] : cases) {
    CAPTURE(clause);
    decision::Params params = g_params;
    change(params);
    const decision::Descriptor d{sizeof d, decision::kAbiVersion, R"({"name":"p"})", &params, test_dispatch};
    moe_policy* policy = nullptr;
    REQUIRE(moe_policy_from_descriptor(&d, &policy) == MOE_OK);
    Fixture f(g_params, 64);
    CHECK(moe_policy_attach(f.get(), policy) == MOE_UNSUPPORTED);
    const std::string expected =
        "policy `p` decides by `" + std::string(clause) + "`, which plans do not carry yet: only a replay can run it";
    CHECK(moe_last_error() == expected);
    moe_policy_destroy(policy);
  }
}

TEST_CASE("damaged descriptors") {
  using decision::Params;
  static const uint32_t unsorted[] = {3, 1};
  static const uint32_t outside[] = {8};
  static const uint32_t crowded[] = {0, 1, 2};
  static const uint32_t doubled[] = {1, 1};
  const std::function<void(decision::Descriptor&, Params&)> spoils[] = {
      [](auto& d, auto&) { d.struct_size = 8; },
      [](auto& d, auto&) { d.manifest = nullptr; },
      [](auto& d, auto&) { d.params = nullptr; },
      [](auto& d, auto&) { d.dispatch = nullptr; },
      [](auto&, auto& p) { p.num_layers = 0; },
      [](auto&, auto& p) { p.num_layers = 5000; },
      [](auto&, auto& p) { p.num_experts = 0xFFFFFFFF; },
      [](auto&, auto& p) { p.top_k = 0; },
      [](auto&, auto& p) { p.top_k = 5; },
      [](auto&, auto& p) { p.capacity = 0; },
      [](auto&, auto& p) { p.capacity = 9; },
      [](auto&, auto& p) { p.scope_layer = 1, p.capacity = 5; },
      [](auto&, auto& p) { p.scope_layer = 2; },
      [](auto&, auto& p) { p.eviction = 13; },
      [](auto&, auto& p) { p.admit = 3; },
      [](auto&, auto& p) { p.strategy = 9; },
      [](auto&, auto& p) { p.next_strategies = 1; },
      [](auto&, auto& p) { p.strategy = 3, p.next_strategies = 0x33; },
      [](auto&, auto& p) { p.strategy = 3, p.next_strategies = 0x10; },
      [](auto&, auto& p) { p.strategy = 3, p.next_strategies = 0xF; },
      [](auto&, auto& p) { p.miss = 6; },
      [](auto&, auto& p) { p.budget = 0xFFFFFFFF; },
      [](auto&, auto& p) { p.eviction = 1, p.decay_interval = 0; },
      [](auto&, auto& p) { p.eviction = 1, p.frequency_decay = NAN; },
      [](auto&, auto& p) { p.eviction = 2, p.score_ema_alpha = 0; },
      [](auto&, auto& p) { p.eviction = 3, p.freq_window = 0; },
      [](auto&, auto& p) { p.eviction = 3, p.freq_window = uint64_t{1} << 60; },
      [](auto&, auto& p) { p.eviction = 3, p.freq_threshold = 2; },
      [](auto&, auto& p) { p.strategy = 1, p.history_window = 0xFFFFFFFF; },
      [](auto&, auto& p) { p.strategy = 1, p.lookahead = 0; },
      [](auto&, auto& p) { p.strategy = 3, p.bandwidth = 0; },
      [](auto&, auto& p) { p.strategy = 3, p.min_probability = NAN; },
      [](auto&, auto& p) { p.memory_threshold = 2; },
      [](auto&, auto& p) { p.memory_threshold = 0.5, p.memory_budget_gb = 0; },
      [](auto&, auto& p) { p.memory_threshold = NAN; },
      [](auto&, auto& p) { p.monitor_window = 0; },
      [](auto&, auto& p) { p.monitor_window = 5000; },
      [](auto&, auto& p) { p.log_interval = 0; },
      [](auto&, auto& p) { p.overlap = 7; },
      [](auto&, auto& p) { p.keeps = 1u << 20; },
      [](auto&, auto& p) { p.strategy = 4, p.decay_interval = 0; },
      [](auto&, auto& p) { p.strategy = 4, p.decay_interval = 1, p.frequency_decay = 1, p.profile = 1; },
      [](auto&, auto& p) { p.keeps = decision::kKeepsSeen, p.decay_interval = 0; },
      [](auto&, auto& p) { p.prefetch_admit = 3; },
      [](auto&, auto& p) { p.limits_loads = 2; },
      [](auto&, auto& p) { p.deadline_ms = NAN; },
      [](auto&, auto& p) { p.num_arms = 1; },
      [](auto&, auto& p) { p.num_arms = 0xFFFFFFFF; },
      [](auto&, auto& p) { p.num_rates = 1; },
      [](auto&, auto& p) { p.num_preload = 1; },
      [](auto&, auto& p) { p.num_preload = 1, p.preload = outside; },
      [](auto&, auto& p) { p.num_preload = 2, p.preload = doubled; },
      [](auto&, auto& p) { p.num_preload = 3, p.preload = crowded, p.scope_layer = 1, p.capacity = 2; },
      [](auto&, auto& p) { p.side_buffer = 2; },
      [](auto&, auto& p) { p.eviction = 12, p.segments[1] = 12; },
      [](auto&, auto& p) { p.num_tier_sets = 1; },
      [](auto&, auto& p) { p.num_tier_sets = p.num_tiers = 1; },
      [](auto&, auto& p) { p.num_tiers = 0xFFFFFFFF; },
      [](auto&, auto& p) { p.num_pins = 1; },
      [](auto&, auto& p) { p.num_pins = 0xFFFFFFFF, p.pins = unsorted; },
      [](auto&, auto& p) { p.num_pins = 2, p.pins = unsorted; },
      [](auto&, auto& p) { p.num_pins = 1, p.pins = outside; },
      [](auto&, auto& p) { p.num_pins = 3, p.pins = crowded, p.scope_layer = 1, p.capacity = 2; },
  };
  for (size_t i = 0; i < std::size(spoils); ++i) {
    CAPTURE(i);
    Params params = g_params;
    decision::Descriptor d{sizeof d, decision::kAbiVersion, "{}", &params, test_dispatch};
    spoils[i](d, params);
    moe_policy* policy = nullptr;
    CHECK(moe_policy_from_descriptor(&d, &policy) == MOE_INVALID);
    CHECK(policy == nullptr);
  }
  decision::Descriptor d{sizeof d, decision::kAbiVersion + 1, "{}", &g_params, test_dispatch};
  moe_policy* policy = nullptr;
  CHECK(moe_policy_from_descriptor(&d, &policy) == MOE_UNSUPPORTED);
  d.abi_version = decision::kAbiVersion;
  for (const char* manifest : {"", "[]", "{\"name\":7}", "{\"expert_bytes\":-1}", "{\"metrics\":[1]}"}) {
    d.manifest = manifest;
    CHECK(moe_policy_from_descriptor(&d, &policy) == MOE_FORMAT);
  }
}

}  // namespace
}  // namespace moe::test
