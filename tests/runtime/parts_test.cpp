// SPDX-License-Identifier: Apache-2.0
// Small parts by themselves: sets, hints, counters.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "runtime/base/atomic_bitset.h"
#include "runtime/core/copies.h"
#include "runtime/core/queues.h"
#include "runtime/hints.h"
#include "runtime/metrics/counters.h"

namespace moe::test {
namespace {

TEST_CASE("a set gives each of its numbers once") {
  AtomicBitset set(Allocator(), 130, true);
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < 130; ++i) CHECK(seen.insert(set.claim()).second);
  CHECK(*seen.rbegin() == 129);
  CHECK(set.claim() == AtomicBitset::kNone);
  set.set(77);
  CHECK(set.test(77));
  CHECK(set.claim() == 77);
  CHECK(set.claim() == AtomicBitset::kNone);
}

TEST_CASE("threads that claim and give back never share a number") {
  AtomicBitset set(Allocator(), 70, true);
  std::atomic<int> owners[70] = {};
  std::atomic<bool> good{true};
  auto work = [&] {
    for (int i = 0; i < 20000; ++i) {
      const uint32_t a = set.claim();
      const uint32_t b = set.claim();
      for (const uint32_t n : {a, b}) {
        if (n == AtomicBitset::kNone) continue;
        if (owners[n].fetch_add(1) != 0) good = false;
        owners[n].fetch_sub(1);
        set.set(n);
      }
    }
  };
  std::thread x(work), y(work);
  x.join();
  y.join();
  CHECK(good);
  uint32_t left = 0;
  while (set.claim() != AtomicBitset::kNone) ++left;
  CHECK(left == 70);
}

TEST_CASE("hints: sorted, the newest counts, used up once") {
  const moe_model_shape shape{sizeof shape, 3, 8, 1, 0};
  Hints hints(shape, Allocator());
  CHECK(hints.take()[1].count == 0);
  const int32_t ids[] = {4, 2, 7, 1};
  const float probabilities[] = {0.25f, 0.5f, 0.5f, 1.0f};
  REQUIRE(hints.post(1, ids, probabilities, 2) == MOE_OK);
  REQUIRE(hints.post(1, ids, probabilities, 4) == MOE_OK);
  const decision::Hint* taken = hints.take();
  REQUIRE(taken[1].count == 4);
  const uint32_t sorted[] = {1, 2, 7, 4};
  for (int i = 0; i < 4; ++i) CHECK(taken[1].ids[i] == sorted[i]);
  CHECK(taken[1].probabilities[3] == 0.25f);
  CHECK(taken[0].count == 0);
  CHECK(hints.take()[1].count == 4);  // nothing new: stays until used up
  hints.use_up(1);
  CHECK(hints.take()[1].count == 0);
  REQUIRE(hints.post(1, ids, probabilities, 1) == MOE_OK);
  REQUIRE(hints.post(1, nullptr, nullptr, 0) == MOE_OK);  // an empty hint replaces
  CHECK(hints.take()[1].count == 0);
}

TEST_CASE("hints cross threads whole and never go back") {
  const moe_model_shape shape{sizeof shape, 1, 64, 1, 0};
  Hints hints(shape, Allocator());
  std::atomic<bool> ended{false};
  std::thread writer([&] {
    for (int32_t n = 1; n <= 20000; ++n) {
      // Hint n has n % 64 experts of probability n / 20000.
      int32_t ids[64];
      float probabilities[64];
      for (int32_t i = 0; i < 64; ++i) {
        ids[i] = i;
        probabilities[i] = static_cast<float>(n) / 20000;
      }
      REQUIRE(hints.post(0, ids, probabilities, static_cast<uint32_t>(n % 64)) == MOE_OK);
    }
    ended = true;
  });
  float last = 0;
  bool good = true;
  while (!ended) {
    const decision::Hint hint = hints.take()[0];
    if (hint.count == 0) continue;
    const float probability = hint.probabilities[0];
    good = good && probability >= last;
    good = good && static_cast<uint32_t>(probability * 20000 + 0.5f) % 64 == hint.count;
    for (uint32_t i = 0; i < hint.count; ++i) good = good && hint.ids[i] == i && hint.probabilities[i] == probability;
    last = probability;
  }
  writer.join();
  CHECK(good);
}

TEST_CASE("counters: totals, layers, a window that forgets") {
  using namespace metrics;
  Counters counters(2, 4, Allocator());
  counters.set_window(2);
  Counts counts;
  counts[kDispatches] = 1;
  counts[kTokens] = 3;
  counts[kAccesses] = 4;
  counts[kHits] = 1;
  counters.record(0, counts);
  CHECK(counters.rates().hit_rate == 0.25);
  counts[kHits] = 3;
  counters.record(1, counts);
  CHECK(counters.rates().hit_rate == 0.5);
  counts[kHits] = 4;
  counters.record(1, counts);
  CHECK(counters.rates().hit_rate == 7.0 / 8);
  CHECK(counters.rates().miss_rate == 1.0 / 8);
  CHECK(counters.total(kHits) == 8);
  CHECK(counters.layer(1, kHits) == 7);
  CHECK(counters.total(kTokens) == 6);  // a token ends with its last layer
  CHECK(counters.rates().prefetch_accuracy == 0);
  counters.mark_prefetched(5);
  CHECK(counters.take_prefetched(5));
  CHECK(!counters.take_prefetched(5));
  counters.set_window(10);
  CHECK(counters.rates().hit_rate == 0);
  CHECK(std::string(counter_name(kPrefetchCancelled)) == "prefetch_cancelled");
}

TEST_CASE("copies: slots come back with the last holder, whatever the phase") {
  using namespace core;
  CopyTable copies(8, 2, Allocator());
  const uint32_t a = copies.claim(1, 2);
  REQUIRE(copies.take_slot(a));
  copies.queue(a, Queue::demand);
  const uint32_t b = copies.claim(2, 1);
  REQUIRE(copies.take_slot(b));
  copies.queue(b, Queue::prefetch);
  const uint32_t c = copies.claim(3, 1);
  CHECK(!copies.take_slot(c));
  copies.defer(c);
  CHECK(!copies.fill_deferred());
  copies.collect();
  CHECK(!copies.has_queued(Queue::demand));  // the dispatch has not ended
  copies.end_dispatch();
  copies.collect();
  CHECK(copies.has_queued(Queue::demand));
  CHECK(!copies.has_queued(Queue::background));
  CHECK(copies.has_queued(Queue::prefetch));
  CHECK(copies.num_queued() == 2);
  // A prefetch that is cancelled keeps its slot until it is dropped.
  REQUIRE(copies.cancel(b, copies.queued_state(b)));
  CHECK(!copies.has_queued(Queue::prefetch));
  CHECK(!copies.fill_deferred());
  copies.drop(b);
  CHECK(copies.fill_deferred());
  CHECK(copies.phase(c) == Phase::queued);
  // What is at work ends as an orphan.
  REQUIRE(copies.start(Queue::demand) == a);
  copies.drop(a);
  CHECK(copies.phase(a) == Phase::moving);
  CHECK(!copies.any_orphan());
  copies.drop(a);
  CHECK(copies.any_orphan());
  CHECK(!copies.finish(a, true));
  copies.end_orphan(a);
  CHECK(!copies.any_orphan());
  // A failure is told once; a retry is demand.
  copies.collect();
  REQUIRE(copies.start(Queue::demand) == c);
  REQUIRE(copies.finish(c, false));
  int failed = 0;
  copies.take_failed([&](uint32_t id) { failed += id == c; });
  copies.take_failed([&](uint32_t) { ++failed; });
  CHECK(failed == 1);
  copies.retry(c);
  copies.end_dispatch();
  copies.collect();
  CHECK(copies.has_queued(Queue::demand));
  copies.drop(c);
  CHECK(!copies.has_queued(Queue::demand));
  CHECK(copies.has_room(8));
  CHECK(!copies.has_room(9));
}

TEST_CASE("copies: who waits for one keeps it, also when all others let go") {
  using namespace core;
  CopyTable copies(1, 1, Allocator());
  const uint32_t copy = copies.claim(1, 2);  // residency and a plan
  REQUIRE(copies.take_slot(copy));
  copies.queue(copy, Queue::demand);
  copies.end_dispatch();
  copies.collect();
  REQUIRE(copies.start(Queue::demand) == copy);
  REQUIRE(copies.finish(copy, true));
  copies.hold(copy);  // a second plan
  copies.borrow(copy);
  copies.evict(copy);
  copies.drop(copy);
  copies.drop(copy);
  CHECK(copies.phase(copy) == Phase::ready);
  CHECK(copies.claim(2, 1) == kNone);
  copies.drop(copy);
  CHECK(copies.claim(2, 1) == copy);
}

TEST_CASE("copies: what evict frees serves the same dispatch, and all others after it") {
  using namespace core;
  CopyTable copies(2, 1, Allocator());
  const auto load = [&](uint32_t key) {
    const uint32_t copy = copies.claim(key, 1);
    REQUIRE(copies.take_slot(copy));
    copies.queue(copy, Queue::demand);
    copies.end_dispatch();
    copies.collect();
    REQUIRE(copies.start(Queue::demand) == copy);
    REQUIRE(copies.finish(copy, true));
    return copy;
  };
  copies.evict(load(1));
  const uint32_t second = load(2);
  const uint32_t waiting = copies.claim(3, 1);
  REQUIRE(!copies.take_slot(waiting));
  copies.defer(waiting);
  copies.evict(second);
  CHECK(!copies.take_slot(copies.claim(4, 1)));  // somebody else was first
  CHECK(!copies.fill_deferred());
  copies.end_dispatch();
  CHECK(copies.fill_deferred());
  CHECK(copies.phase(waiting) == Phase::queued);
}

TEST_CASE("queues: nothing is lost when the transfer thread does not look for long") {
  using namespace core;
  constexpr uint32_t kCopies = 5;
  Queues queues(kCopies, Allocator());
  // The newest state of a copy is the one in force; all older entries are void.
  std::array<uint32_t, kCopies> state{};
  const auto is_queued = [&](Waiting waiting) { return state[waiting.copy] == waiting.state; };
  const auto state_of = [&](uint32_t copy) { return state[copy]; };
  for (uint32_t round = 1; round <= 100; ++round) {
    for (uint32_t copy = 0; copy < kCopies; ++copy) {
      state[copy] = round;
      queues.add(copy % 2 == 0 ? Queue::demand : Queue::prefetch, {copy, round});
    }
    queues.publish();
    if (round % 7 == 0) queues.collect(state_of, is_queued);
  }
  queues.collect(state_of, is_queued);
  std::set<uint32_t> demand, prefetch;
  const auto take = [&](Waiting waiting) {
    if (!is_queued(waiting)) return Take::gone;
    state[waiting.copy] = 0;
    return Take::taken;
  };
  for (uint32_t copy; (copy = queues.take(Queue::demand, take)) != kNone;) CHECK(demand.insert(copy).second);
  for (uint32_t copy; (copy = queues.take(Queue::prefetch, take)) != kNone;) CHECK(prefetch.insert(copy).second);
  CHECK(demand == std::set<uint32_t>{0, 2, 4});
  CHECK(prefetch == std::set<uint32_t>{1, 3});
  CHECK(queues.first(Queue::background, is_queued).copy == kNone);
}

TEST_CASE("queues: what has to be taken later keeps its turn") {
  using namespace core;
  constexpr uint32_t kCopies = 6;
  Queues queues(kCopies, Allocator());
  std::array<uint32_t, kCopies> state{};
  const auto is_queued = [&](Waiting waiting) { return state[waiting.copy] == waiting.state; };
  for (uint32_t copy = 0; copy < kCopies; ++copy) {
    state[copy] = 1;
    queues.add(Queue::demand, {copy, 1});
  }
  queues.publish();
  queues.collect([&](uint32_t copy) { return state[copy]; }, is_queued);
  std::set<uint32_t> ready;
  const auto take = [&](Waiting waiting) {
    if (!is_queued(waiting)) return Take::gone;
    return ready.contains(waiting.copy) ? Take::taken : Take::later;
  };
  CHECK(queues.take(Queue::demand, take) == kNone);
  ready = {2, 4};
  CHECK(queues.take(Queue::demand, take) == 2);
  state[0] = 0;  // dropped meanwhile
  ready = {0, 1, 4, 5};
  CHECK(queues.take(Queue::demand, take) == 1);
  state[3] = 2;  // and queued again as another
  queues.add(Queue::demand, {3, 2});
  queues.publish();
  queues.collect([&](uint32_t copy) { return state[copy]; }, is_queued);
  ready.insert(3);
  CHECK(queues.take(Queue::demand, take) == 4);
  CHECK(queues.take(Queue::demand, take) == 5);
  CHECK(queues.take(Queue::demand, take) == 3);
  CHECK(queues.take(Queue::demand, take) == kNone);
}

TEST_CASE("a copy starts when its source is there, and its source's slot waits for its own") {
  using namespace core;
  CopyTable below(3, 1, Allocator());
  CopyTable copies(3, 1, Allocator(), &below);
  // The first has a slot in both tables, the second in neither: it is behind the first in both.
  const uint32_t first = copies.claim(7, 1), first_source = below.claim(7, 1);
  REQUIRE(copies.take_slot(first));
  REQUIRE(below.take_slot(first_source));
  copies.set_source(first, first_source);
  below.queue(first_source, Queue::demand);
  copies.queue(first, Queue::demand);
  const uint32_t second = copies.claim(8, 1), second_source = below.claim(8, 1);
  REQUIRE_FALSE(copies.take_slot(second));
  copies.set_source(second, second_source);
  copies.defer(second);
  copies.end_dispatch();
  below.end_dispatch();
  copies.collect();
  below.collect();

  CHECK(copies.start(Queue::demand) == kNone);
  CHECK(copies.phase(first) == Phase::queued);
  CHECK_FALSE(below.any_deferred());
  REQUIRE(below.start(Queue::demand) == first_source);
  REQUIRE(below.finish(first_source, true));
  REQUIRE(copies.start(Queue::demand) == first);
  copies.end_source(first);
  CHECK(below.phase(first_source) == Phase::free);
  CHECK(copies.source(first) == kNone);
  REQUIRE(copies.finish(first, true));
  CHECK(below.phase(second_source) == Phase::claimed);
  copies.drop(first);
  REQUIRE(copies.fill_deferred());
  CHECK(below.phase(second_source) == Phase::deferred);
  REQUIRE(below.fill_deferred());
  // Nobody wants it any more: what it held below is free with it.
  copies.drop(second);
  CHECK(below.phase(second_source) == Phase::free);
}

}  // namespace
}  // namespace moe::test
