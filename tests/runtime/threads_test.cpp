// SPDX-License-Identifier: Apache-2.0
// Everything that may be called from any thread, from many at once, while one dispatches.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/runtime/support.h"

namespace moe::test {
namespace {

/// Calls f until the end of the scope.
class Loop {
 public:
  template <class F>
  explicit Loop(F f)
      : thread_([this, f]() mutable {
          while (!ended_.load()) f();
        }) {}
  ~Loop() {
    ended_.store(true);
    thread_.join();
  }

 private:
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

void dispatch_and_use(Fixture& f, std::mt19937& random, uint32_t num_layers, uint32_t num_experts, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) {
    const auto a = static_cast<int32_t>(random() % num_experts);
    const auto b = static_cast<int32_t>((static_cast<uint32_t>(a) + 1 + random() % (num_experts - 1)) % num_experts);
    moe_plan plan;
    REQUIRE(f.dispatch(i % num_layers, {a, b}, plan) == MOE_OK);
    for (uint32_t entry = 0; entry < plan.num_entries; ++entry) {
      REQUIRE(moe_plan_wait(f.get(), &plan, entry, nullptr) == MOE_OK);
      REQUIRE(f.experts().is(plan.layer, plan.entries[entry].expert, plan.entries[entry].data));
      if (random() % 2) REQUIRE(moe_plan_done(f.get(), &plan, entry, nullptr) == MOE_OK);
    }
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
}

TEST_CASE("swaps, hints and statistics race with dispatches") {
  decision::Params p = lru_params(3, 12, 2, 20);
  p.strategy = static_cast<uint32_t>(decision::Strategy::gate);
  Fixture f(p, 500);
  REQUIRE(f.attach(p) == MOE_OK);
  std::atomic<uint32_t> attaches{0};
  {
    Loop swapper([&] {
      decision::Params next = p;
      const uint32_t n = attaches.fetch_add(1);
      next.eviction = n % 11;
      next.capacity = 1 + n * 7 % 20;
      next.strategy = n % 4;
      next.miss = n % 3;
      const uint32_t pin = n % 36;
      next.pins = &pin;
      next.num_pins = 1;
      REQUIRE(f.attach(next) == MOE_OK);
      std::this_thread::yield();
    });
    Loop hinter([&, n = 0]() mutable {
      const int32_t ids[] = {n % 12, (n + 5) % 12};
      const float probabilities[] = {0.25f, 0.75f};
      REQUIRE(moe_hint(f.get(), static_cast<uint32_t>(++n % 3), ids, probabilities, 2) == MOE_OK);
    });
    Loop reader([&] {
      const moe_stats_t stats = f.stats();
      REQUIRE(stats.window_hit_rate <= 1.0);
      char json[8192];
      size_t length;
      REQUIRE(moe_stats_json(f.get(), json, sizeof json, &length) == MOE_OK);
    });
    while (attaches.load() < 2) std::this_thread::yield();  // one has returned, however late its thread was started
    std::mt19937 random(7);
    dispatch_and_use(f, random, 3, 12, 3000);
  }
  const moe_stats_t stats = f.stats();
  CHECK(stats.swaps > 0);
  CHECK(stats.swaps <= attaches.load());
  CHECK(stats.dispatches == 3000);
}

TEST_CASE("one thread dispatches at a time, others are told") {
  const decision::Params p = lru_params(1, 8, 1, 4);
  moe_runtime_config config = config_for(p);
  config.max_plans = 64;
  Fixture f(p, 64, config);
  REQUIRE(f.attach(p) == MOE_OK);
  std::atomic<uint32_t> ok{0}, busy{0};
  auto work = [&](int32_t expert) {
    for (int i = 0; i < 2000; ++i) {
      moe_plan plan;
      const moe_status status = f.dispatch(0, {expert}, plan);
      REQUIRE((status == MOE_OK || status == MOE_BUSY));
      ++(status == MOE_OK ? ok : busy);
      if (status == MOE_OK) REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
    }
  };
  std::thread a(work, 1), b(work, 2), c(work, 3);
  a.join();
  b.join();
  c.join();
  CHECK(ok + busy == 6000);
  CHECK(f.stats().dispatches == ok);
}

TEST_CASE("several threads wait for the same entries") {
  const decision::Params p = lru_params(1, 32, 8, 8);
  Fixture f(p, 20000);
  REQUIRE(f.attach(p) == MOE_OK);
  for (int round = 0; round < 50; ++round) {
    moe_plan plan;
    const int32_t at = round % 4 * 8;
    REQUIRE(f.dispatch(0, {at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7}, plan) == MOE_OK);
    auto reader = [&] {
      for (uint32_t i = 0; i < plan.num_entries; ++i) {
        REQUIRE(moe_plan_wait(f.get(), &plan, i, nullptr) == MOE_OK);
        REQUIRE(f.experts().is(0, plan.entries[i].expert, plan.entries[i].data));
      }
    };
    std::thread a(reader), b(reader);
    a.join();
    b.join();
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
}

TEST_CASE("a release that races with waits leaves them an answer") {
  const decision::Params p = lru_params(1, 32, 8, 8);
  moe_runtime_config config = config_for(p);
  config.link_bytes_per_s = 400'000'000;
  Fixture f(p, 20000, config);
  REQUIRE(f.attach(p) == MOE_OK);
  for (int round = 0; round < 100; ++round) {
    moe_plan plan;
    const int32_t at = round % 4 * 8;
    REQUIRE(f.dispatch(0, {at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7}, plan) == MOE_OK);
    std::thread waiter([&] {
      for (uint32_t i = 0; i < 8; ++i) {
        const moe_status status = moe_plan_wait(f.get(), &plan, i, nullptr);
        REQUIRE((status == MOE_OK || status == MOE_INVALID || status == MOE_WOULD_DEADLOCK));
      }
    });
    std::this_thread::yield();
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
    waiter.join();
  }
}

TEST_CASE("two policies before the first dispatch: the latest wins") {
  decision::Params p = lru_params(1, 16, 1, 4);
  const uint32_t first_pins[] = {0, 1, 2};
  const uint32_t second_pins[] = {2, 9};
  p.pins = first_pins;
  p.num_pins = 3;
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  p.pins = second_pins;
  p.num_pins = 2;
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  for (const int32_t pinned : {2, 9}) {
    REQUIRE(f.dispatch(0, {pinned}, plan) == MOE_OK);
    CHECK(plan.entries[0].action <= MOE_ACTION_LATE);
    REQUIRE(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_OK);
    CHECK(f.experts().is(0, static_cast<uint32_t>(pinned), plan.entries[0].data));
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
  CHECK(f.stats().resident == 2);
  REQUIRE(f.dispatch(0, {0}, plan) == MOE_OK);
  CHECK(plan.entries[0].action == MOE_ACTION_LOAD);
  REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
}

}  // namespace
}  // namespace moe::test
