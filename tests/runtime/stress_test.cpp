// SPDX-License-Identifier: Apache-2.0
// Random policies, dispatches and plans, several unreleased at once and ended out of order by another thread. Whatever
// happens: from wait to done an entry's data is its expert, and no two live entries share a slot with different
// experts.
#include <doctest/doctest.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <thread>

#include "tests/runtime/random_policy.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

/// Which expert each slot holds between wait and done, and for how many entries.
class SlotLedger {
 public:
  void enter(uint32_t slot, uint32_t key) {
    const std::lock_guard hold(lock_);
    auto& [owner, uses] = live_[slot];
    if (uses != 0) CHECK_MESSAGE(owner == key, "slot " << slot << " serves two experts");
    owner = key;
    ++uses;
  }
  void leave(uint32_t slot) {
    const std::lock_guard hold(lock_);
    --live_[slot].second;
  }

 private:
  std::mutex lock_;
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> live_;
};

/// Uses plans up in another thread. Those that need nothing from others may be ended in any order; a plan in whose way
/// others stand is retried after them, as its slot comes back with theirs.
class Consumer {
 public:
  Consumer(Fixture& f, uint32_t num_experts, bool loads_fail, uint64_t seed)
      : f_(f), num_experts_(num_experts), loads_fail_(loads_fail), random_(seed) {}

  void push(const moe_plan& plan) {
    std::unique_lock hold(lock_);
    changed_.wait(hold, [&] { return plans_.size() < 4; });
    plans_.push_back(plan);
    changed_.notify_all();
  }
  void run() {
    for (;;) {
      std::deque<moe_plan> batch;
      {
        std::unique_lock hold(lock_);
        changed_.wait(hold, [&] { return !plans_.empty() || ended_; });
        if (plans_.empty()) return;
        batch.swap(plans_);
        changed_.notify_all();
      }
      // Out of order, except that who waits for a slot goes behind who holds it.
      std::shuffle(batch.begin(), batch.end(), random_);
      std::deque<moe_plan> blocked;
      for (const moe_plan& plan : batch) {
        if (!consume(plan, 0)) blocked.push_back(plan);
      }
      while (!blocked.empty()) {
        const size_t before = blocked.size();
        std::deque<moe_plan> still;
        for (const moe_plan& plan : blocked) {
          if (!consume(plan, progress_[plan.id])) still.push_back(plan);
        }
        blocked.swap(still);
        REQUIRE_MESSAGE(blocked.size() < before, "plans wait for each other");
      }
      progress_.clear();
    }
  }
  void end() {
    const std::lock_guard hold(lock_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  /// False: entry `progress_` waits for slots that other plans of the batch hold.
  bool consume(const moe_plan& plan, uint32_t from) {
    // Entries may be kept to the end where no later one waits for their slots.
    bool keeps = from == 0;
    for (uint32_t i = 0; i < plan.num_entries; ++i) keeps = keeps && plan.entries[i].data != nullptr;
    std::vector<uint32_t> kept;
    for (uint32_t i = from; i < plan.num_entries; ++i) {
      const moe_status status = moe_plan_wait(f_.get(), &plan, i, nullptr);
      if (status == MOE_WOULD_DEADLOCK) {
        progress_[plan.id] = i;
        return false;
      }
      const moe_plan_entry& entry = plan.entries[i];
      const bool failed = status == MOE_IO && loads_fail_;
      REQUIRE_MESSAGE((status == MOE_OK || failed), moe_last_error());
      const bool in_slot = !failed && entry.slot != MOE_NO_SLOT;
      if (in_slot) ledger_.enter(entry.slot, plan.layer * num_experts_ + entry.expert);
      if (!failed) check_bytes(plan, i);
      if (keeps && random_() % 4 == 0) {
        if (in_slot) kept.push_back(i);
        continue;
      }
      if (in_slot) ledger_.leave(entry.slot);
      REQUIRE(moe_plan_done(f_.get(), &plan, i, nullptr) == MOE_OK);
    }
    for (const uint32_t i : kept) {
      check_bytes(plan, i);
      ledger_.leave(plan.entries[i].slot);
    }
    REQUIRE(moe_plan_release(f_.get(), &plan, nullptr) == MOE_OK);
    return true;
  }
  void check_bytes(const moe_plan& plan, uint32_t i) {
    REQUIRE(f_.experts().is(plan.layer, plan.entries[i].expert, plan.entries[i].data));
    if (random_() % 16 != 0) return;
    std::this_thread::yield();
    REQUIRE(f_.experts().is(plan.layer, plan.entries[i].expert, plan.entries[i].data));
  }

  Fixture& f_;
  const uint32_t num_experts_;
  const bool loads_fail_;
  Random random_;
  SlotLedger ledger_;
  std::map<uint64_t, uint32_t> progress_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<moe_plan> plans_;
  bool ended_ = false;
};

/// Lets some experts fail to load, others again.
void break_some(Random& random, const decision::Params& p, const FakeExperts& experts,
                SteeredBackend::Control& control) {
  const std::lock_guard hold(control.lock);
  control.broken.clear();
  for (int i = 0; i < 3; ++i) {
    control.broken.insert(experts(below(random, p.num_layers), below(random, p.num_experts)).data());
  }
}

void hint_some(Random& random, const decision::Params& p, Fixture& f) {
  const std::vector<int32_t> ids = random_routing(random, p, 1);
  const std::vector<float> likely(ids.size(), 0.7f);
  REQUIRE(moe_hint(f.get(), below(random, p.num_layers), ids.data(), likely.data(), p.top_k) == MOE_OK);
}

/// Returns the number of accesses.
uint32_t dispatch_some(Random& random, const decision::Params& p, Fixture& f, uint32_t layer, Consumer& consumer) {
  const std::vector<int32_t> ids = random_routing(random, p, 16);
  std::vector<float> weights(ids.size());
  for (float& w : weights) w = static_cast<float>(below(random, 1000)) / 1000;
  moe_dispatch_args args = dispatch_args(p, layer, ids);
  args.weights = weights.data();
  moe_plan plan = empty_plan();
  moe_status status;
  while ((status = moe_dispatch(f.get(), &args, &plan)) == MOE_FULL) std::this_thread::yield();
  REQUIRE_MESSAGE(status == MOE_OK, moe_last_error());
  consumer.push(plan);
  return plan.num_entries;
}

struct Variation {
  bool swaps;
  bool failures;
};

void stress(uint64_t seed, uint32_t dispatches, Variation variation) {
  CAPTURE(seed);
  Random random(seed);
  std::vector<uint32_t> pins;
  const decision::Params p = random_policy(random, random_shape(random), pins);
  moe_runtime_config config = config_for(p);
  config.streaming_slots = 2 + below(random, 4);
  config.max_tokens = 16;
  if (below(random, 4) == 0) config.link_bytes_per_s = 500'000'000;
  SteeredBackend::Control control;
  Fixture f(p, 1 + below(random, 3000), config, variation.failures ? &control : nullptr);
  REQUIRE(f.attach(p) == MOE_OK);
  Consumer consumer(f, p.num_experts, variation.failures, seed);
  std::thread thread([&] { consumer.run(); });
  uint64_t accesses = 0;
  for (uint32_t n = 0; n < dispatches; ++n) {
    if (variation.failures && n % 8 == 0) break_some(random, p, f.experts(), control);
    if (variation.swaps && n % 16 == 15) {
      std::vector<uint32_t> other_pins;
      const moe_status status = f.attach(random_policy(random, p, other_pins));
      REQUIRE((status == MOE_OK || status == MOE_FULL));
    }
    if (below(random, 2) == 0) hint_some(random, p, f);
    accesses += dispatch_some(random, p, f, n % p.num_layers, consumer);
  }
  consumer.end();
  thread.join();
  const moe_stats_t stats = f.stats();
  CHECK(stats.accesses == accesses);
  CHECK(stats.hits + stats.misses == stats.accesses);
  CHECK(stats.resident <= p.total_capacity());
  if (!variation.failures) CHECK(stats.failed_loads == 0);
  CHECK(stats.prefetch_used <= stats.prefetched);
}

/// Seeds from `first` on: 40, or as many times more as MOE_TEST_ROUNDS says.
void stress_all(uint64_t first, Variation variation) {
  const char* rounds = std::getenv("MOE_TEST_ROUNDS");
  const uint64_t count = 40 * (rounds ? std::strtoull(rounds, nullptr, 10) : 1);
  for (uint64_t seed = first; seed < first + count; ++seed) stress(seed, 150, variation);
}

TEST_CASE("random policies under random load") { stress_all(1, {false, false}); }

TEST_CASE("with swaps in between") { stress_all(100'000, {true, false}); }

TEST_CASE("with loads that fail") { stress_all(200'000, {false, true}); }

TEST_CASE("with both") { stress_all(300'000, {true, true}); }

}  // namespace
}  // namespace moe::test
