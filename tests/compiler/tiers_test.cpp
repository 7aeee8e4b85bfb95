// SPDX-License-Identifier: Apache-2.0
// Experts that are read from disk: through host tiers of every kind, with faults, and at swaps. Every byte that a plan
// names is compared with the model's.
#include <thread>

#include "tests/compiler/tiered_engine.h"

namespace moe::test {
namespace {

TEST_CASE("whatever the tiers, plans name the model's bytes, and decisions are those of experts in memory") {
  const Model model;
  for (const TierCase& one : tier_cases()) {
    CAPTURE(one.blocks);
    const Policy& policy = one.policy();
    TieredEngine from_disk(model);
    from_disk.open();
    REQUIRE_MESSAGE(policy.attach(from_disk.get()) == MOE_OK, moe_last_error());
    const auto decided = from_disk.run(300, 5);
    const moe_stats_t stats = from_disk.stats();
    CHECK(stats.host_bytes == (one.host_slots + 8) * kExtent);
    CHECK(stats.disk_bytes % kExpertBytes == 0);
    CHECK((stats.disk_bytes == 0) == one.computes);
    CHECK(stats.failed_loads == 0);
    if (one.by_the_clock) continue;

    TieredEngine in_memory(model);
    for (uint32_t key = 0; key < kLayers * kExperts; ++key) {
      const std::string& bytes = model.expert(key);
      REQUIRE(moe_store_add(in_memory.get(), key / kExperts, key % kExperts, bytes.data(), bytes.size()) == MOE_OK);
    }
    REQUIRE(policy.attach(in_memory.get()) == MOE_OK);
    CHECK(in_memory.run(300, 5) == decided);
    CHECK(in_memory.stats().disk_bytes == 0);
    CHECK(in_memory.stats().host_bytes == 0);
  }
}

TEST_CASE("plans that are held for long keep what they name") {
  const Model model;
  for (const TierCase& one : tier_cases()) {
    CAPTURE(one.blocks);
    const Policy& policy = one.policy();
    TieredEngine engine(model, [](moe_runtime_config& config) { config.staging_slots = 2; });
    engine.open();
    REQUIRE(policy.attach(engine.get()) == MOE_OK);
    engine.run(200, 7, /*late_release=*/true);
  }
}

TEST_CASE("a host tier for every expert reads each one once, and one for none each time") {
  const Model model;
  uint64_t loads = 0;
  for (const uint32_t on_host : {kLayers * kExperts, 0U}) {
    const Policy policy(on_host != 0 ? with_host(8, on_host) : without_host(8));  // no batch streams
    TieredEngine engine(model);
    engine.open();
    REQUIRE(policy.attach(engine.get()) == MOE_OK);
    engine.run(400, 9);
    const moe_stats_t stats = engine.stats();
    if (on_host != 0) {
      CHECK(stats.disk_bytes == kLayers * kExperts * kExpertBytes);  // 400 dispatches ask for all of them
      loads = stats.loads;
    } else {
      CHECK(stats.loads == loads);
      CHECK(stats.disk_bytes == stats.loads * kExpertBytes);
    }
    CHECK(stats.streams == 0);
    CHECK(stats.bytes_moved == stats.loads * kExpertBytes);
  }
}

TEST_CASE("what the tiers hold follows a swap") {
  const Model model;
  const Policy large(with_host(5, 20)), small(with_host(3, 4)), none(without_host(4)),
      exclusive(with_host(4, 12, "inclusive = false")), plain("cache { capacity = 4 eviction = lfu }");
  TieredEngine engine(model);
  engine.open();
  REQUIRE(large.attach(engine.get()) == MOE_OK);
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    engine.run(1 + static_cast<uint32_t>(random() % 20), static_cast<uint32_t>(random()));
    const Policy* const next[] = {&large, &small, &none, &exclusive, &plain};
    REQUIRE(next[random() % 5]->attach(engine.get()) == MOE_OK);
  }
  const Policy larger(with_host(4, 21));
  CHECK(larger.attach(engine.get()) == MOE_FULL);
  CHECK(std::string(moe_last_error()) ==
        "the host tiers of policy `tiered` hold 21 experts; the first attached policy's held 20");
}

TEST_CASE("a store stays in memory where the first policy has no tier on disk") {
  const Model model;
  const Policy on_host("tiers { " + gpu(4) + "tier warm { location = host } }"), on_disk(with_host(4, 9));
  TieredEngine engine(model);
  engine.open();
  REQUIRE(on_host.attach(engine.get()) == MOE_OK);
  engine.run(50, 1);
  REQUIRE(on_disk.attach(engine.get()) == MOE_OK);
  engine.run(50, 2);
  CHECK(engine.stats().disk_bytes == 0);
}

TEST_CASE("a checkpoint that was not packed is no place to stream from") {
  const TempDir dir;
  write_file(dir / "model.safetensors", safetensors(model_tensors()));
  const Model model;
  TieredEngine engine(model);
  REQUIRE(moe_store_open(engine.get(), dir.path().c_str()) == MOE_OK);
  const Policy policy(with_host(4, 9));
  CHECK(policy.attach(engine.get()) == MOE_UNSUPPORTED);
  CHECK(std::string(moe_last_error()).find("`moec pack MODEL -o STORE`") != std::string::npos);
}

TEST_CASE("a damaged expert is named, and the others go on") {
  const Model model;
  const uint32_t key = 1 * kExperts + 7;
  const size_t place = model.place(key);
  REQUIRE(place != std::string::npos);
  const std::string good = read_file(model.data_file());
  std::string bad = good;
  bad[place + 100] ^= 1;
  for (const char* on_miss : {"", "schedule { on miss { else -> cpu } }"}) {
    write_file(model.data_file(), bad);
    const Policy policy(with_host(4, 9) + on_miss);
    TieredEngine engine(model);
    engine.open();
    REQUIRE(policy.attach(engine.get()) == MOE_OK);
    const std::vector<int32_t> ids{7, 3};
    moe_plan plan;
    REQUIRE(engine.dispatch(1, ids, plan) == MOE_OK);
    CHECK(moe_plan_wait(engine.get(), &plan, 0, nullptr) == MOE_IO);
    const std::string message = moe_last_error();
    CHECK_MESSAGE(message.find(model.data_file() + ": layer 1 expert 7 (native) at byte " + std::to_string(place)) !=
                      std::string::npos,
                  message);
    CHECK_MESSAGE((message.find("checksum") != std::string::npos || message.find("CRC-32C") != std::string::npos),
                  message);
    REQUIRE(moe_plan_wait(engine.get(), &plan, 1, nullptr) == MOE_OK);
    engine.check(1, plan.entries[1]);
    REQUIRE(moe_plan_release(engine.get(), &plan, nullptr) == MOE_OK);
    // Repaired, it is read again.
    write_file(model.data_file(), good);
    engine.step(1, ids);
    engine.run(60, 3);
  }
}

using disk::test::Fault;

TEST_CASE("reads that fail, stop short, are corrupted and come late") {
  const Model model;
  const Policy other(without_host(1));
  uint64_t failures = 0;
  for (uint32_t seed = 0; seed < 24; ++seed) {
    CAPTURE(seed);
    const TierCase& one = tier_cases()[seed % std::size(tier_cases())];
    const Policy& policy = one.policy();
    TieredEngine engine(model);
    put_faults(engine, [random = std::mt19937(seed)](const disk::Read&) mutable { return random_fault(random); });
    engine.open();
    REQUIRE(policy.attach(engine.get()) == MOE_OK);
    engine.may_fail = true;
    engine.run(120, seed, seed % 2 == 0);
    REQUIRE(other.attach(engine.get()) == MOE_OK);
    engine.run(60, seed + 100, seed % 2 == 0);
    failures += engine.failures;
  }
  CHECK(failures > 0);
}

TEST_CASE("a disk that does not answer ends the wait, and its slot is nobody's until it does") {
  const Model model;
  const Policy policy(with_host(3, 3));
  TieredEngine engine(model);
  std::atomic<bool> stalls{true};
  engine.get()->disk.stall_limit = std::chrono::milliseconds(40);
  put_faults(engine, [&stalls](const disk::Read&) {
    Fault fault;
    if (stalls.load()) fault.delay = std::chrono::milliseconds(300);
    return fault;
  });
  engine.open();
  REQUIRE(policy.attach(engine.get()) == MOE_OK);
  engine.may_fail = true;
  const auto begin = std::chrono::steady_clock::now();
  engine.step(0, {1, 2});
  CHECK(engine.failures == 2);
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(40));
  stalls = false;
  engine.run(30, 4);  // while the late bytes come into slots that must not be used again before
  std::this_thread::sleep_for(std::chrono::milliseconds(350));
  engine.may_fail = false;
  engine.run(100, 5);
}

TEST_CASE("an engine may end while reads are under way") {
  const Model model;
  for (int round = 0; round < 20; ++round) {
    const Policy& policy = tier_cases()[static_cast<size_t>(round) % std::size(tier_cases())].policy();
    TieredEngine engine(model, [](moe_runtime_config& config) { config.disk_bytes_per_s = 4 << 20; });
    engine.open();
    REQUIRE(policy.attach(engine.get()) == MOE_OK);
    moe_plan plan = empty_plan();
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      REQUIRE(engine.dispatch(layer, {1, 2, 3, 4, 5, 6}, plan) == MOE_OK);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200 * round));
  }
}

TEST_CASE("two runtimes on one store") {
  const Model model;
  const Policy policy(with_host(4, 9));
  TieredEngine one(model), two(model);
  for (const TieredEngine* engine : {&one, &two}) {
    engine->open();
    REQUIRE(policy.attach(engine->get()) == MOE_OK);
  }
  for (uint32_t round = 0; round < 20; ++round) {
    one.run(10, round);
    two.run(10, round + 50);
  }
}

}  // namespace
}  // namespace moe::test
