// SPDX-License-Identifier: Apache-2.0
// Everything at once, for MOE_TEST_SECONDS (3): an engine over a faulty disk that now and then does not answer, plans
// that are held and used late, policies with all kinds of tiers and budgets swapped from another thread, statistics and
// the timeline read from a third. No byte that a plan names is ever wrong, and nothing hangs.
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

/// That read from disk, in every precision.
std::vector<const Policy*> all_policies() {
  std::vector<const Policy*> all;
  for (const TierCase& one : tier_cases()) all.push_back(&one.policy());
  for (const LossyCase& one : lossy_cases()) {
    if (one.on_disk) all.push_back(&one.policy());
  }
  return all;
}

TEST_CASE("a soak with faults, swaps, budgets and held plans") {
  const double seconds = number_from("MOE_TEST_SECONDS", 3);
  const auto seed = static_cast<uint32_t>(number_from("MOE_TEST_SEED", 1));
  MESSAGE("seed " << seed << ", " << seconds << " s");
  const Model model({precision::Format::qint8, precision::Format::qint4});
  const std::vector<const Policy*> policies = all_policies();
  // Has room for every other one's tiers.
  const Policy largest("tiers { " + gpu(6) + "tier beside { location = gpu capacity = 20 } " + host(20) + kDisk + "}");
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
    REQUIRE(largest.attach(engine.get()) == MOE_OK);
    engine.may_fail = true;
    const auto life = std::min(end, Clock::now() + std::chrono::milliseconds(200 + random() % 2000));
    {
      Loop swapper([&engine, &policies, choice = std::mt19937(static_cast<uint32_t>(random()))]() mutable {
        std::this_thread::sleep_for(std::chrono::microseconds(choice() % 3000));
        REQUIRE(policies[choice() % policies.size()]->attach(engine.get()) == MOE_OK);
      });
      Loop reader([&engine] {
        const moe_stats_t stats = engine.stats();  // each is exact, together they are not of one moment
        REQUIRE(stats.host_bytes == (20 + 8) * kExtent);
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
