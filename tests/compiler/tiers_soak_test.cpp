// SPDX-License-Identifier: Apache-2.0
// Everything at once, for MOE_TEST_SECONDS (3): an engine over a faulty disk that now and then does not answer, plans
// that are held and used late, policies with all kinds of tiers and budgets swapped from another thread, statistics and
// the timeline read from a third. No byte that a plan names is ever wrong, and nothing hangs.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "tests/compiler/tiered_engine.h"

namespace moe::test {
namespace {

using Clock = std::chrono::steady_clock;

double number_from(const char* variable, double otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atof(text) : otherwise;
}

/// Calls a function over and over in a thread of its own until it ends.
template <class F>
class Loop {
 public:
  explicit Loop(F f)
      : thread_([this, f = std::move(f)]() mutable {
          while (!ended_.load()) f();
        }) {}
  ~Loop() {
    ended_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

TEST_CASE("a soak with faults, swaps, budgets and held plans") {
  const double seconds = number_from("MOE_TEST_SECONDS", 3);
  const auto seed = static_cast<uint32_t>(number_from("MOE_TEST_SEED", 1));
  MESSAGE("seed " << seed << ", " << seconds << " s");
  const Model model;
  for (const TierCase& one : tier_cases()) one.policy();
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::mt19937 random(seed);
  uint64_t dispatches = 0, failures = 0, swaps = 0, bytes = 0, lives = 0;
  while (Clock::now() < end) {  // an engine's life after another: they end with reads under way, and plans held
    ++lives;
    TieredEngine engine(model, [](moe_runtime_config& config) { config.timeline_bytes = 1 << 16; });
    engine.get()->disk.stall_limit = std::chrono::milliseconds(100);
    put_faults(engine, [faults = std::mt19937(static_cast<uint32_t>(random()))](const disk::Read&) mutable {
      disk::test::Fault fault = random_fault(faults);
      if (faults() % 3000 == 0) fault.delay = std::chrono::milliseconds(300);
      return fault;
    });
    engine.open();
    const TierCase& largest =
        *std::max_element(std::begin(tier_cases()), std::end(tier_cases()), [](const TierCase& a, const TierCase& b) {
          return std::pair(a.host_slots, a.fast_slots) < std::pair(b.host_slots, b.fast_slots);
        });
    REQUIRE(largest.policy().attach(engine.get()) == MOE_OK);
    engine.may_fail = true;
    const auto life = std::min(end, Clock::now() + std::chrono::milliseconds(200 + random() % 2000));
    {
      Loop swapper([&engine, choice = std::mt19937(static_cast<uint32_t>(random()))]() mutable {
        std::this_thread::sleep_for(std::chrono::microseconds(choice() % 3000));
        REQUIRE(tier_cases()[choice() % std::size(tier_cases())].policy().attach(engine.get()) == MOE_OK);
      });
      Loop reader([&engine, &largest] {
        const moe_stats_t stats = engine.stats();  // each is exact, together they are not of one moment
        REQUIRE(stats.host_bytes == (largest.host_slots + 8) * kExtent);
        REQUIRE(stats.window_hit_rate <= 1.0);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
      while (Clock::now() < life) {
        engine.run(1 + static_cast<uint32_t>(random() % 30), static_cast<uint32_t>(random()), random() % 2 == 0);
      }
    }
    const moe_stats_t stats = engine.stats();
    dispatches += stats.dispatches;
    failures += engine.failures;
    swaps += stats.swaps;
    bytes += stats.disk_bytes;
  }
  MESSAGE(lives << " engines, " << dispatches << " dispatches, " << swaps << " swaps, " << bytes / 1000000
                << " MB from disk, " << failures << " waits ended with an error");
  CHECK(swaps > 0);
  CHECK(dispatches > 0);
}

}  // namespace
}  // namespace moe::test
