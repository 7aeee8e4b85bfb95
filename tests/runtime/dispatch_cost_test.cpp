// SPDX-License-Identifier: Apache-2.0
// moe_dispatch allocates nothing, takes no lock and makes no system call.
#include <doctest/doctest.h>

#include <random>

#include "tests/runtime/counted_calls.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

/// Dispatches of all sorts, with plans left open for a while, hints, swaps and refusals.
void exercise(const decision::Params& p, uint32_t n, uint64_t log_bytes = 0) {
  moe_runtime_config config = config_for(p);
  config.decision_log_bytes = log_bytes;
  config.max_plans = 4;
  Fixture f(p, 2000, config);
  REQUIRE(f.attach(p) == MOE_OK);
  std::mt19937 random(99);
  moe_plan open[3] = {empty_plan(), empty_plan(), empty_plan()};
  for (uint32_t i = 0; i < n; ++i) {
    std::vector<int32_t> ids;
    const uint32_t tokens = random() % 8 == 0 ? 16 : 1;
    for (uint32_t t = 0; t < tokens; ++t) {
      const auto a = static_cast<uint32_t>(random() % p.num_experts);
      const auto b = static_cast<uint32_t>((a + 1 + random() % (p.num_experts - 1)) % p.num_experts);
      ids.insert(ids.end(), {static_cast<int32_t>(a), static_cast<int32_t>(random() % 50 ? b : a)});
    }
    const float probabilities[] = {0.5f, 0.5f};
    if (i % 3 == 0 && ids[0] != ids[1])
      REQUIRE(moe_hint(f.get(), i % p.num_layers, ids.data(), probabilities, 2) == MOE_OK);
    if (i % 97 == 0) {
      decision::Params other = p;
      other.eviction = (i / 97) % 11;
      REQUIRE(f.attach(other) == MOE_OK);
    }
    moe_dispatch_args args = dispatch_args(p, i % p.num_layers, ids);
    moe_plan& plan = open[i % 3];
    if (plan.id != 0) {
      for (uint32_t e = 0; e < plan.num_entries && i % 2; ++e) {
        if (moe_plan_wait(f.get(), &plan, e, nullptr) == MOE_OK) moe_plan_done(f.get(), &plan, e, nullptr);
      }
      REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
    }
    plan = empty_plan();
    moe_status status;
    {
      const Counted counted;
      status = moe_dispatch(f.get(), &args, &plan);
    }
    REQUIRE((status == MOE_OK || status == MOE_INVALID));
  }
}

TEST_CASE("dispatch allocates nothing, takes no lock, makes no system call") {
  const bool watched = watch_system_calls();
  if (!watched) MESSAGE("[SKIP] this kernel cannot report system calls; allocations and locks are still counted");
  CHECK(make_some_calls() == Calls{2, 1, watched ? 1u : 0u});

  decision::Params p = lru_params(3, 32, 2, 12);
  exercise(p, 3000);
  p.strategy = static_cast<uint32_t>(decision::Strategy::gate);
  p.priority_routing = 1;
  exercise(p, 3000);
  p.strategy = static_cast<uint32_t>(decision::Strategy::history);
  p.protect_selected = 0;
  p.ttl = 20;
  p.miss = static_cast<uint32_t>(decision::MissAction::cpu_load);
  exercise(p, 3000);
  exercise(p, 3000, 1 << 16);  // a decision log that wraps, with states of many policies
  exercise(p, 3000, 1 << 24);
  CHECK(counted_calls() == Calls{});
}

}  // namespace
}  // namespace moe::test
