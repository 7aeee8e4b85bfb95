// SPDX-License-Identifier: Apache-2.0
// A thousand swaps while another thread dispatches as fast as it can: every plan is the decision of one policy, and the
// statistics are what the plans add up to.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/runtime/support.h"

namespace moe::test {
namespace {

constexpr uint32_t kLayers = 3, kExperts = 16, kSwaps = 1000;

/// Two kinds of policy whose plans cannot be taken for one another: one loads every miss and fetches nothing, the other
/// computes every miss on the host and fetches early.
decision::Params loading(uint32_t n) {
  decision::Params p = lru_params(kLayers, kExperts, 2, 6 + n % 3);
  p.eviction = n % 5;
  return p;
}
decision::Params computing(uint32_t n) {
  decision::Params p = lru_params(kLayers, kExperts, 2, 6 + n % 4);
  p.miss = static_cast<uint32_t>(decision::MissAction::cpu);
  p.strategy = static_cast<uint32_t>(decision::Strategy::history);
  return p;
}

/// What plans add up to.
struct Sums {
  uint64_t dispatches = 0, accesses = 0, hits = 0, loads = 0, streams = 0, cpu = 0, evictions = 0, selections = 0;

  /// False: it is no one policy's plan.
  bool add(const moe_plan& plan) {
    uint64_t loaded = 0, computed = 0;
    for (uint32_t i = 0; i < plan.num_entries; ++i) {
      const moe_plan_entry& entry = plan.entries[i];
      hits += entry.action == MOE_ACTION_HIT || entry.action == MOE_ACTION_LATE;
      loads += entry.action == MOE_ACTION_LOAD;
      streams += entry.action == MOE_ACTION_STREAM;
      cpu += entry.action == MOE_ACTION_CPU;
      loaded += entry.action == MOE_ACTION_LOAD || entry.action == MOE_ACTION_STREAM;
      computed += entry.action == MOE_ACTION_CPU;
      selections += entry.num_selections;
    }
    ++dispatches;
    accesses += plan.num_entries;
    evictions += plan.num_evicted;
    return (loaded == 0 || computed == 0) && (loaded == 0 || plan.num_prefetched == 0);
  }
};

TEST_CASE("a thousand swaps at full speed") {
  Fixture f(loading(2), 256);
  decision::Params largest = loading(0);
  largest.capacity = 12;
  REQUIRE(f.attach(largest) == MOE_OK);
  std::atomic<bool> ended{false};
  std::atomic<uint64_t> dispatched{0};
  std::thread swapper([&] {
    while (dispatched.load() == 0) std::this_thread::yield();  // a policy that never ran is replaced, not swapped
    for (uint32_t n = 0; n < kSwaps; ++n) {
      REQUIRE(f.attach(n % 2 ? loading(n) : computing(n)) == MOE_OK);
      // The next swap when this one has been taken: a thousand take effect.
      const uint64_t seen = dispatched.load();
      while (dispatched.load() < seen + 2) std::this_thread::yield();
    }
    ended.store(true);
  });
  Sums sums;
  uint64_t torn = 0, wrong_bytes = 0;
  std::mt19937 random(3);
  for (uint32_t i = 0; !ended.load(); ++i) {
    const auto a = static_cast<int32_t>(random() % kExperts);
    const auto b = static_cast<int32_t>((static_cast<uint32_t>(a) + 1 + random() % (kExperts - 1)) % kExperts);
    moe_plan plan = empty_plan();
    REQUIRE(f.dispatch(i % kLayers, {a, b}, plan) == MOE_OK);
    torn += !sums.add(plan);
    for (uint32_t entry = 0; entry < plan.num_entries; ++entry) {
      REQUIRE(moe_plan_wait(f.get(), &plan, entry, nullptr) == MOE_OK);
      wrong_bytes += !f.experts().is(plan.layer, plan.entries[entry].expert, plan.entries[entry].data);
    }
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
    dispatched.fetch_add(1);
  }
  swapper.join();
  CHECK(torn == 0);
  CHECK(wrong_bytes == 0);

  const moe_stats_t stats = f.stats();
  CHECK(stats.swaps == kSwaps);
  CHECK(stats.dispatches == sums.dispatches);
  CHECK(stats.tokens == sums.dispatches / kLayers);  // counted when the last layer has seen it
  CHECK(stats.accesses == sums.accesses);
  CHECK(stats.selections == sums.selections);
  CHECK(stats.hits == sums.hits);
  CHECK(stats.misses == sums.accesses - sums.hits);
  CHECK(stats.loads == sums.loads);
  CHECK(stats.streams == sums.streams);
  CHECK(stats.cpu == sums.cpu);
  CHECK(stats.evictions == sums.evictions);
  CHECK(sums.loads > 0);
  CHECK(sums.cpu > 0);
}

}  // namespace
}  // namespace moe::test
