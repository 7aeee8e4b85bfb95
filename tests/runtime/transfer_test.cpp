// SPDX-License-Identifier: Apache-2.0
// What moves, in which order, and what happens to transfers that nobody wants any more or that fail.
#include <doctest/doctest.h>

#include <numeric>
#include <thread>

#include "tests/runtime/support.h"

namespace moe::test {
namespace {

using Control = SteeredBackend::Control;

std::vector<int32_t> first(int32_t n) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

void release(Fixture& f, const moe_plan& plan) { CHECK(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK); }

void wait_for(Fixture& f, const moe_plan& plan, uint32_t entry) {
  REQUIRE(moe_plan_wait(f.get(), &plan, entry, nullptr) == MOE_OK);
  CHECK(f.experts().is(plan.layer, plan.entries[entry].expert, plan.entries[entry].data));
}

/// Hints `ids` for a layer, all with the same probability.
void hint(Fixture& f, uint32_t layer, const std::vector<int32_t>& ids) {
  const std::vector<float> probabilities(ids.size(), 0.5f);
  REQUIRE(moe_hint(f.get(), layer, ids.data(), probabilities.data(), static_cast<uint32_t>(ids.size())) == MOE_OK);
}

decision::Params gate_params() {
  decision::Params p = lru_params(4, 8, 1, 8);
  p.strategy = static_cast<uint32_t>(decision::Strategy::gate);
  return p;
}

TEST_CASE("a prefill of 256 experts runs through two streaming slots") {
  const decision::Params p = lru_params(1, 256, 8, 4);
  Fixture f(p, 300);
  REQUIRE(f.attach(p) == MOE_OK);
  for (int round = 0; round < 3; ++round) {
    moe_plan plan;
    REQUIRE(f.dispatch(0, first(256), plan) == MOE_OK);
    CHECK(plan.num_entries == 256);
    std::set<uint32_t> slots;
    for (uint32_t i = 0; i < 256; ++i) {
      wait_for(f, plan, i);
      slots.insert(plan.entries[i].slot);
      REQUIRE(moe_plan_done(f.get(), &plan, i, nullptr) == MOE_OK);
    }
    CHECK(slots.size() <= 6);
    release(f, plan);
  }
  const moe_stats_t stats = f.stats();
  CHECK(stats.resident == 4);
  CHECK(stats.bytes_moved == 300 * stats.misses);
}

TEST_CASE("waiting for a slot that earlier entries hold is refused at once") {
  const decision::Params p = lru_params(1, 16, 1, 1);
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  REQUIRE(f.dispatch(0, first(6), plan) == MOE_OK);  // one loads, two stream, three wait
  CHECK(plan.entries[3].slot == MOE_NO_SLOT);
  CHECK(plan.entries[3].data == nullptr);
  CHECK(moe_plan_wait(f.get(), &plan, 3, nullptr) == MOE_WOULD_DEADLOCK);
  wait_for(f, plan, 1);
  REQUIRE(moe_plan_done(f.get(), &plan, 1, nullptr) == MOE_OK);
  wait_for(f, plan, 3);
  CHECK(moe_plan_wait(f.get(), &plan, 4, nullptr) == MOE_WOULD_DEADLOCK);
  // Another plan's done serves the one that waits longest.
  moe_plan second;
  REQUIRE(f.dispatch(0, {9}, second) == MOE_OK);
  CHECK(moe_plan_wait(f.get(), &second, 0, nullptr) == MOE_WOULD_DEADLOCK);
  REQUIRE(moe_plan_done(f.get(), &plan, 2, nullptr) == MOE_OK);
  CHECK(moe_plan_wait(f.get(), &second, 0, nullptr) == MOE_WOULD_DEADLOCK);
  wait_for(f, plan, 4);
  release(f, plan);
  wait_for(f, second, 0);
  release(f, second);
}

TEST_CASE("a slot whose transfer nobody wants any more comes back by itself") {
  const decision::Params p = lru_params(1, 16, 1, 1);
  Control control;
  control.permits = 0;
  Fixture f(p, 100, config_for(p), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  REQUIRE(f.dispatch(0, first(3), plan) == MOE_OK);
  control.wait_started(1);  // the first copy is at work; two are queued
  release(f, plan);         // nobody wants the streamed ones
  REQUIRE(f.dispatch(0, {7, 8, 9}, plan) == MOE_OK);
  std::thread later([&] { control.allow(UINT64_MAX); });
  for (uint32_t i = 0; i < 3; ++i) {
    wait_for(f, plan, i);  // never WOULD_DEADLOCK: the slot in transfer is on its way back
    REQUIRE(moe_plan_done(f.get(), &plan, i, nullptr) == MOE_OK);
  }
  later.join();
  release(f, plan);
}

TEST_CASE("what leaves while a plan names it stays where the plan says") {
  const decision::Params p = lru_params(1, 16, 1, 1);
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan held;
  REQUIRE(f.dispatch(0, {5}, held) == MOE_OK);
  wait_for(f, held, 0);
  for (int32_t expert = 6; expert < 14; ++expert) {
    moe_plan plan;
    REQUIRE(f.dispatch(0, {expert}, plan) == MOE_OK);
    REQUIRE(plan.num_evicted == 1);
    CHECK(plan.evicted[1] == static_cast<uint32_t>(expert - 1));
    wait_for(f, plan, 0);
    CHECK(plan.entries[0].slot != held.entries[0].slot);
    release(f, plan);
  }
  CHECK(f.experts().is(0, 5, held.entries[0].data));
  release(f, held);
}

TEST_CASE("demand goes first, prefetches in order, stale ones not at all") {
  const decision::Params p = gate_params();
  Control control;
  control.permits = 0;
  Fixture f(p, 100, config_for(p), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  hint(f, 1, {1, 2, 3});
  REQUIRE(f.dispatch(0, {0}, plan) == MOE_OK);
  REQUIRE(plan.num_prefetched == 3);
  CHECK(plan.prefetched[0] == 1);
  CHECK(plan.prefetched[1] == 1);
  release(f, plan);
  control.wait_started(1);  // the demand load of 0; three prefetches are queued
  // Layer 1 uses one of them, which makes it demand; another is missed.
  REQUIRE(f.dispatch(1, {2, 7}, plan) == MOE_OK);
  CHECK(plan.entries[0].action == MOE_ACTION_LATE);
  CHECK(plan.entries[1].action == MOE_ACTION_LOAD);
  moe_plan next;
  REQUIRE(f.dispatch(2, {0}, next) == MOE_OK);  // 1 and 3 are stale now
  REQUIRE(next.num_evicted == 2);
  CHECK(next.evicted[1] == 1);
  CHECK(next.evicted[3] == 3);
  control.allow(UINT64_MAX);
  wait_for(f, plan, 0);
  wait_for(f, plan, 1);
  wait_for(f, next, 0);
  release(f, plan);
  release(f, next);
  const moe_stats_t stats = f.stats();
  CHECK(stats.prefetched == 3);
  CHECK(stats.prefetch_used == 1);
  CHECK(stats.prefetch_cancelled == 2);
  CHECK(stats.late_hits == 1);
  const auto& experts = f.experts();
  const std::vector<const void*> order{experts(0, 0).data(), experts(1, 2).data(), experts(1, 7).data(),
                                       experts(2, 0).data()};
  CHECK(control.started == order);
}

TEST_CASE("a demand waits for a piece of what is on its way, not for all of it") {
  const decision::Params p = gate_params();
  Control control;
  control.every_piece = true;
  control.permits = 0;
  moe_runtime_config config = config_for(p);
  config.link_bytes_per_s = UINT64_MAX;  // no limit, but pieces of 256 KiB
  Fixture f(p, 1 << 20, config, &control);
  REQUIRE(f.attach(p) == MOE_OK);
  hint(f, 1, {5});
  moe_plan plan;
  REQUIRE(f.dispatch(0, {0}, plan) == MOE_OK);
  REQUIRE(plan.num_prefetched == 1);
  control.allow(4);
  wait_for(f, plan, 0);
  release(f, plan);
  control.wait_started(5);  // the prefetch's first piece
  REQUIRE(f.dispatch(2, {3}, plan) == MOE_OK);
  control.allow(UINT64_MAX / 2);
  wait_for(f, plan, 0);
  release(f, plan);
  control.wait_started(12);
  const auto pieces = [&](std::vector<const void*>& to, uint32_t layer, uint32_t expert, size_t from, size_t end) {
    for (size_t i = from; i < end; ++i) to.push_back(f.experts()(layer, expert).data() + i * (256 << 10));
  };
  std::vector<const void*> expected;
  pieces(expected, 0, 0, 0, 4);
  pieces(expected, 1, 5, 0, 1);
  pieces(expected, 2, 3, 0, 4);
  pieces(expected, 1, 5, 1, 4);
  while (f.stats().bytes_moved < 3 << 20) std::this_thread::yield();
  const std::lock_guard hold(control.lock);
  CHECK(control.started == expected);
}

TEST_CASE("without cancel_stale a late prefetch still comes") {
  decision::Params p = gate_params();
  p.cancel_stale = 0;
  Control control;
  control.permits = 0;
  Fixture f(p, 100, config_for(p), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  hint(f, 1, {1});
  for (uint32_t layer = 0; layer < 4; ++layer) {
    REQUIRE(f.dispatch(layer, {0}, plan) == MOE_OK);
    CHECK(plan.num_evicted == 0);
    release(f, plan);
  }
  control.allow(UINT64_MAX);
  control.wait_started(5);
  CHECK(f.stats().prefetch_cancelled == 0);
}

TEST_CASE("a prefetch that finds no slot is dropped, and the policy hears of it") {
  decision::Params p = gate_params();
  p.capacity = 4;
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan held[5];
  // Five plans hold five experts; a sixth slot is left of 4 + 2.
  for (int32_t i = 0; i < 5; ++i) REQUIRE(f.dispatch(0, {i}, held[i]) == MOE_OK);
  hint(f, 2, {1, 2, 3});
  moe_plan plan;
  REQUIRE(f.dispatch(1, {0}, plan) == MOE_OK);  // takes the sixth
  CHECK(plan.num_prefetched == 0);
  REQUIRE(f.dispatch(2, {1}, plan) == MOE_OK);
  CHECK(plan.entries[0].action == MOE_ACTION_LOAD);
  CHECK(plan.num_evicted >= 3);  // the dropped ones are listed
  for (const moe_plan& one : held) release(f, one);
  wait_for(f, plan, 0);
}

TEST_CASE("priority_routing loads the heaviest first") {
  decision::Params p = lru_params(1, 8, 4, 8);
  p.priority_routing = 1;
  Control control;
  control.permits = 0;
  Fixture f(p, 100, config_for(p), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan = empty_plan();
  // A first load keeps the link busy, so that the order of the others is the queue's.
  REQUIRE(f.dispatch(0, {0, 1, 2, 3}, plan) == MOE_OK);
  control.wait_started(1);
  const std::vector<int32_t> ids{4, 5, 6, 7};
  const float weights[] = {0.1f, 0.4f, 0.2f, 0.3f};
  moe_dispatch_args args = dispatch_args(p, 0, ids);
  args.weights = weights;
  moe_plan weighted = empty_plan();
  REQUIRE(moe_dispatch(f.get(), &args, &weighted) == MOE_OK);
  control.allow(UINT64_MAX);
  for (uint32_t i = 0; i < 4; ++i) wait_for(f, weighted, i);
  release(f, plan);
  release(f, weighted);
  const auto& e = f.experts();
  const std::vector<const void*> last(control.started.begin() + 4, control.started.end());
  CHECK(last == std::vector<const void*>{e(0, 5).data(), e(0, 7).data(), e(0, 6).data(), e(0, 4).data()});
}

TEST_CASE("overlap = false waits for the whole plan first") {
  decision::Params p = lru_params(1, 8, 4, 8);
  p.overlap = 0;
  Control control;
  Fixture f(p, 100, config_for(p), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  REQUIRE(f.dispatch(0, {0, 1, 2, 3}, plan) == MOE_OK);
  wait_for(f, plan, 0);
  CHECK(f.stats().bytes_moved == 400);
  for (uint32_t i = 0; i < 4; ++i) CHECK(f.experts().is(0, i, plan.entries[i].data));
  release(f, plan);
}

TEST_CASE("a load that fails is told to who waits and to the policy, and tried again") {
  const decision::Params p = lru_params(1, 8, 1, 4);
  Control control;
  Fixture f(p, 100, config_for(p), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  {
    const std::lock_guard lock(control.lock);
    control.broken.insert(f.experts()(0, 3).data());
  }
  moe_plan plan;
  REQUIRE(f.dispatch(0, {3}, plan) == MOE_OK);
  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_IO);
  CHECK(std::string(moe_last_error()).find("the disk is on fire") != std::string::npos);
  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_IO);
  release(f, plan);
  CHECK(f.stats().failed_loads == 1);
  {
    const std::lock_guard lock(control.lock);
    control.broken.clear();
  }
  REQUIRE(f.dispatch(0, {3}, plan) == MOE_OK);
  CHECK(plan.entries[0].action == MOE_ACTION_LOAD);  // the policy knew that it was gone
  CHECK(plan.num_evicted == 1);
  wait_for(f, plan, 0);
  release(f, plan);
}

TEST_CASE("a pin that fails is tried again when it is used") {
  decision::Params p = lru_params(1, 8, 1, 4);
  const uint32_t pins[] = {2, 5};
  p.pins = pins;
  p.num_pins = 2;
  Control control;
  Fixture f(p, 100, config_for(p), &control);
  control.broken.insert(f.experts()(0, 5).data());
  REQUIRE(f.attach(p) == MOE_OK);
  while (f.stats().failed_loads == 0) std::this_thread::yield();
  {
    const std::lock_guard lock(control.lock);
    control.broken.clear();
  }
  moe_plan plan;
  REQUIRE(f.dispatch(0, {5}, plan) == MOE_OK);
  CHECK(plan.entries[0].action == MOE_ACTION_LATE);
  wait_for(f, plan, 0);
  release(f, plan);
}

TEST_CASE("an expert evicted by its own dispatch is still there for its plan") {
  decision::Params p = lru_params(1, 16, 4, 2);
  p.protect_selected = 0;
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  for (int round = 0; round < 20; ++round) {
    moe_plan plan;
    const int32_t at = round % 4 * 4;
    REQUIRE(f.dispatch(0, {at, at + 1, at + 2, at + 3, 15 - at, 14 - at, 13 - at, 12 - at}, plan) == MOE_OK);
    for (uint32_t i = 0; i < plan.num_entries; ++i) {
      wait_for(f, plan, i);
      REQUIRE(moe_plan_done(f.get(), &plan, i, nullptr) == MOE_OK);
    }
    release(f, plan);
  }
  CHECK(f.stats().resident == 2);
}

TEST_CASE("hits that leave in their own dispatch do not stop the entries before them") {
  decision::Params p = lru_params(1, 16, 1, 4);
  p.eviction = static_cast<uint32_t>(decision::Eviction::freq_threshold);
  p.freq_window = 16;
  p.freq_threshold = 2.0 / 16;
  Fixture f(p, 100);
  REQUIRE(f.attach(p) == MOE_OK);
  auto use = [&](const std::vector<int32_t>& ids) {
    moe_plan plan;
    REQUIRE(f.dispatch(0, ids, plan) == MOE_OK);
    for (uint32_t i = 0; i < plan.num_entries; ++i) {
      wait_for(f, plan, i);
      REQUIRE(moe_plan_done(f.get(), &plan, i, nullptr) == MOE_OK);
    }
    release(f, plan);
  };
  for (int i = 0; i < 3; ++i) use({0, 1, 2, 3});
  use({4, 5, 6, 7});  // once in 16 accesses: they pass through
  const moe_stats_t before = f.stats();
  CHECK(before.streams == 4);
  // Now 4 to 7 are frequent and 0 to 3 no more: all four places change hands, while the plan still needs 0 to 3 at its
  // end.
  use({4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3});
  CHECK(f.stats().loads == before.loads + 4);
  CHECK(f.stats().hits == before.hits + 4);
  use({4, 5, 6, 7});  // hits for the policy, wherever they are
  CHECK(f.stats().hits == before.hits + 8);
  CHECK(f.stats().resident == 4);
}

TEST_CASE("the link's limit lets every byte through") {
  const decision::Params p = lru_params(1, 8, 1, 8);
  moe_runtime_config config = config_for(p);
  config.link_bytes_per_s = 200'000'000;
  const size_t expert_bytes = 1'000'003;
  Fixture f(p, expert_bytes, config);
  REQUIRE(f.attach(p) == MOE_OK);
  const auto begin = std::chrono::steady_clock::now();
  for (int32_t i = 0; i < 8; ++i) {
    moe_plan plan;
    REQUIRE(f.dispatch(0, {i}, plan) == MOE_OK);
    wait_for(f, plan, 0);
    release(f, plan);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  CHECK(f.stats().bytes_moved == 8 * expert_bytes);
  // Late a machine may be as much as it likes; early would be a link without a limit.
  CHECK(took.count() >= 8e6 / 200e6 * 0.99);
  CHECK(f.stats().stall_ns > 0);
}

TEST_CASE("a runtime ends while its link is busy") {
  const decision::Params p = lru_params(1, 8, 1, 8);
  moe_runtime_config config = config_for(p);
  config.link_bytes_per_s = 1'000'000;
  Fixture f(p, 4'000'000, config);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_plan plan;
  for (int32_t i = 0; i < 4; ++i) REQUIRE(f.dispatch(0, {i}, plan) == MOE_OK);
}

}  // namespace
}  // namespace moe::test
