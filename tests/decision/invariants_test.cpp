// SPDX-License-Identifier: Apache-2.0
// Every invariant of a state block can be broken, and is named when it is: blocks that kernels have written, changed by
// hand in one place.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "runtime/decision/check/invariants.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <set>
#include <string>

#include "codegen/compiler.h"
#include "compiler/driver.h"
#include "replay/kernel_engine.h"
#include "runtime/decision/rules/arc.h"
#include "runtime/decision/rules/lirs.h"
#include "runtime/decision/state.h"

namespace {

using namespace moe;
using decision::find_violation;
using decision::Invariant;
using decision::kNone;
using decision::State;
using decision::Violation;

std::set<Invariant> g_provoked;

/// A policy of two layers of 8 experts, top 2, that has run for a while.
class Run {
 public:
  explicit Run(const std::string& members, uint32_t dispatches = 60) {
    const ir::SourceFile source("run.moe", "policy run { " + members + " }");
    compiler::Target target;
    target.shape = {2, 8, 2, 0};
    ir::Diagnostics diagnostics;
    std::optional<ir::BoundPolicy> policy = compiler::compile_to_bound(source, target, diagnostics);
    REQUIRE_MESSAGE(policy.has_value(), ir::render_text(source, diagnostics, false));
    policy_ = std::make_unique<ir::BoundPolicy>(std::move(*policy));
    auto code = codegen::jit(*policy_, {});
    REQUIRE(code.ok());
    code_ = std::move(code).value();
    auto engine = replay::KernelEngine::create(code_->descriptor());
    REQUIRE(engine.ok());
    engine_ = std::make_unique<replay::KernelEngine>(std::move(engine).value());
    for (uint32_t i = 0; i < dispatches; ++i) {
      dispatch(i);
      REQUIRE(violation(i % 2).what == Invariant::none);
    }
  }
  const ir::BoundPolicy& policy() const { return *policy_; }
  const decision::Params& params() const { return engine_->params(); }
  void* block() const { return const_cast<void*>(engine_->state()); }
  State state() const { return {params(), block()}; }
  Violation violation(uint32_t layer = kNone) const { return find_violation(params(), block(), layer); }

  /// The first resident of layer 1 from `key` on, pinned or not as asked.
  uint32_t resident(bool pinned = false, uint32_t key = 8) const {
    for (; key < 16; ++key) {
      const uint32_t place = state().place_of(key);
      if (place != kNone && ((state().resident(place).flags & decision::kPinned) != 0) == pinned) return key;
    }
    FAIL("layer 1 has nobody");
    return kNone;
  }
  uint32_t other_resident() const { return resident(false, resident() + 1); }
  uint32_t stranger() const {
    uint32_t key = 8;
    while (key < 16 && state().place_of(key) != kNone) ++key;
    REQUIRE(key < 16);
    return key;
  }
  uint32_t place() const { return state().place_of(resident()); }

 private:
  /// Every expert comes up, the lower ones more often; hints and weights too.
  void dispatch(uint32_t i) {
    const uint32_t step = i / 2;
    const int32_t ids[] = {static_cast<int32_t>(step * step % 5), static_cast<int32_t>(5 + step % 3)};
    const float weights[] = {0.25f, 0.5f};
    const uint32_t hinted[] = {step % 8};
    const float probability[] = {0.75f};
    engine_->hint(1 - i % 2, hinted, probability);
    ir::DispatchInput input;
    input.layer = i % 2;
    input.num_tokens = 1;
    input.top_k = 2;
    input.ids = ids;
    input.weights = weights;
    REQUIRE(engine_->decide(input).has_value());
  }

  std::unique_ptr<ir::BoundPolicy> policy_;
  std::unique_ptr<codegen::JitPolicy> code_;
  std::unique_ptr<replay::KernelEngine> engine_;
};

/// Breaks one thing, expects it to be named, at `key` (kNone: at no expert of layer 1; 16: nowhere in particular), and
/// mends it.
template <class Break>
void expect(const Run& run, Invariant what, uint32_t key, Break change, uint32_t layer = kNone) {
  const size_t bytes = decision::state_bytes(run.params());
  const std::string before(static_cast<const char*>(run.block()), bytes);
  change(run.state());
  const Violation found = run.violation(layer);
  CHECK(std::string(to_words(found.what)) == to_words(what));
  if (key < 16) {
    CHECK(found.layer == key / 8);
    CHECK(found.expert == key % 8);
  } else if (key == kNone) {
    CHECK(found.layer == 1);
    CHECK(found.expert == kNone);
  }
  g_provoked.insert(found.what);
  before.copy(static_cast<char*>(run.block()), bytes);
  CHECK(run.violation().what == Invariant::none);
}

constexpr uint32_t kAnywhere = 16;
const std::string kLayers = "scope = layer ";

std::string cache(const std::string& keys) { return "cache { " + kLayers + keys + " } "; }

/// A list of keys of layer 1.
decision::KeyList list(const State& s, uint32_t which) {
  return {s.links(), 16 + decision::kMaxLists + which, s.queue(1).size[which]};
}

}  // namespace

TEST_CASE("places") {
  const Run run(cache("capacity = 4 eviction = lru pin = [1:1]"));
  const uint32_t one = run.resident(), other = run.other_resident(), stranger = run.stranger();
  const auto resident = [](const State& s, uint32_t key) -> auto& { return s.resident(s.place_of(key)); };
  expect(run, Invariant::places, stranger, [&](const State& s) { s.place_of(stranger) = s.place_of(one); });
  expect(run, Invariant::places, one, [&](const State& s) { resident(s, other).key = one; });
  expect(run, Invariant::places, one, [&](const State& s) { s.place_of(one) = kNone; });
  expect(run, Invariant::places, 0, [&](const State& s) { resident(s, one).key = 0; });
  expect(run, Invariant::counters, one, [&](const State& s) { resident(s, one).load = 1000; });
  expect(run, Invariant::counters, one, [&](const State& s) { resident(s, one).last_use = 1000; });
  expect(run, Invariant::counters, kNone, [&](const State& s) { ++s.instance(1).num_free; });
  expect(run, Invariant::counters, kAnywhere, [&](const State& s) { ++s.header().num_resident; });
  expect(run, Invariant::pins, 9, [&](const State& s) { resident(s, 9).flags = 0; });
  expect(run, Invariant::pins, one, [&](const State& s) { resident(s, one).flags = decision::kPinned; });
}

TEST_CASE("free places") {
  const Run run(cache("capacity = 6 eviction = lru"), 2);  // two residents in each layer
  expect(run, Invariant::free_places, kNone, [](const State& s) { s.free_places(1)[0] = s.free_places(1)[1]; });
  expect(run, Invariant::free_places, kNone, [&](const State& s) { s.free_places(1)[0] = run.place(); });
  expect(run, Invariant::free_places, kNone, [](const State& s) { s.free_places(1)[0] = 0; });
}

TEST_CASE("what per_layer gives") {
  const Run run(cache("capacity = 4 eviction = lru") +
                "per_layer { allocation = utility min_capacity = 2 max_capacity = 6 rebalance_interval = 7 }");
  expect(run, Invariant::capacity, kNone, [](const State& s) {
    s.instance(1).num_free -= static_cast<int32_t>(s.instance(1).capacity - 1);
    s.instance(1).capacity = 1;
  });
  const Run empty(cache("capacity = 4 eviction = lru") +
                      "per_layer { allocation = utility min_capacity = 2 max_capacity = 6 rebalance_interval = 7 }",
                  0);
  expect(empty, Invariant::layer_capacity, kNone, [](const State& s) {
    s.instance(1).num_free -= static_cast<int32_t>(s.instance(1).capacity - 1);
    s.instance(1).capacity = 1;
  });
  expect(run, Invariant::layer_capacity, kAnywhere, [](const State& s) {
    for (uint32_t i = 0; i < 2; ++i) {
      s.instance(i).num_free += static_cast<int32_t>(6 - s.instance(i).capacity);
      s.instance(i).capacity = 6;
    }
  });
  expect(run, Invariant::ghosts, kNone, [](const State& s) { s.num_ghosts(1) = 7; });
  expect(run, Invariant::ghosts, kNone, [](const State& s) {
    s.num_ghosts(1) = 1;
    s.ghosts(1)[0] = 3;
  });
}

TEST_CASE("a layer keeps slots for its pins, which never leave") {
  const std::string members = cache("capacity = 4 eviction = lru pin = [1:2, 1:3, 1:4]") +
                              "per_layer { allocation = utility total_budget = 8 min_capacity = 1 max_capacity = 7 "
                              "rebalance_interval = 3 }";
  const Run run(members);  // after each dispatch: no more residents than slots
  CHECK(ir::limits_of(run.policy()).min_capacity == 3);
  CHECK(run.state().instance(1).capacity >= 3);
  CHECK(run.state().instance(0).capacity + run.state().instance(1).capacity == 8);
}

TEST_CASE("rings") {
  const Run run(cache("capacity = 5 eviction = lru"));
  const auto ring = [](const State& s) { return decision::Ring(s.order(), s.sentinel(1)); };
  expect(run, Invariant::order, kAnywhere, [&](const State& s) { s.order()[ring(s).tail()].prev = ring(s).head(); });
  expect(run, Invariant::order, kAnywhere, [&](const State& s) { s.order()[ring(s).tail()].next = ring(s).head(); });
  expect(run, Invariant::order, kAnywhere, [&](const State& s) { s.order()[s.sentinel(1)].prev = ring(s).head(); });
  expect(run, Invariant::order, kNone, [&](const State& s) { ring(s).remove(ring(s).head()); });
  expect(run, Invariant::order, kAnywhere, [&](const State& s) {
    const uint32_t oldest = ring(s).head();
    ring(s).remove(oldest);
    ring(s).append(oldest);
  });
  const Run fifo(cache("capacity = 5 eviction = fifo ttl = 30"));
  expect(fifo, Invariant::order, kNone, [&](const State& s) { ring(s).remove(ring(s).head()); });
  const auto recency = [](const State& s) { return decision::Ring(s.recency(), s.sentinel(1)); };
  expect(fifo, Invariant::recency, kNone, [&](const State& s) { recency(s).remove(recency(s).head()); });
  expect(fifo, Invariant::recency, kAnywhere, [&](const State& s) {
    const uint32_t oldest = recency(s).head();
    recency(s).remove(oldest);
    recency(s).append(oldest);
  });
}

TEST_CASE("numbers of residents") {
  const Run run(cache("capacity = 4 eviction = lfu pin = [1:1]"));
  const uint32_t one = run.resident();
  expect(run, Invariant::ranks, one, [&](const State& s) { s.rank()[run.place()] = decision::kNeverVictim; });
  expect(run, Invariant::ranks, 9, [&](const State& s) { s.rank()[s.place_of(9)] = 0; });
  expect(run, Invariant::ranks, kNone, [&](const State& s) { s.rank()[s.first_place(1) + 5] = 0; });
  expect(run, Invariant::tags, one, [&](const State& s) { ++s.tag()[run.place()]; });

  const Run threshold(cache("capacity = 4 eviction = freq_threshold freq_threshold = 0 freq_window = 9"));
  expect(threshold, Invariant::window, kNone, [](const State& s) { ++s.counts()[8]; });
  expect(threshold, Invariant::window, kNone, [](const State& s) {
    --s.counts()[13];
    ++s.counts()[8];
  });
  expect(threshold, Invariant::window, 8, [](const State& s) { s.counts()[8] = 10; });
  expect(threshold, Invariant::exempt, kAnywhere, [](const State& s) { ++s.header().num_exempt; });

  const Run arrival(cache("capacity = 4 eviction = lru") + "schedule { on miss { else -> cpu_load } arrival = 2 }");
  expect(arrival, Invariant::arriving, kAnywhere, [](const State& s) { ++s.header().num_arriving; });
}

TEST_CASE("queues") {
  for (const std::string rule : {"sieve", "s3_fifo", "arc", "lirs", "w_tinylfu"}) {
    CAPTURE(rule);
    const Run run(cache("capacity = 4 eviction = " + rule));
    const State s = run.state();
    uint32_t which = 0;
    while (list(s, which).size() < 2) ++which;
    REQUIRE(which < decision::kMaxLists);
    const uint32_t first = list(s, which).begin(), second = list(s, which).next(first);
    expect(run, Invariant::queues, kAnywhere, [&](const State& state) { state.links()[second].prev = second; });
    expect(run, Invariant::queues, kAnywhere, [&](const State& state) { state.links()[second].next = first; });
    expect(run, Invariant::queues, kAnywhere, [&](const State& state) { state.links()[first].next = 3; });
    expect(run, Invariant::queues, kAnywhere, [&](const State& state) { ++state.queue(1).size[which]; });
    expect(run, rule == "lirs" ? Invariant::queues : Invariant::members, kAnywhere,
           [&](const State& state) { list(state, which).remove(first); });
  }
}

TEST_CASE("what queues remember") {
  const Run sieve(cache("capacity = 4 eviction = sieve"));
  expect(sieve, Invariant::marks, sieve.resident(), [&](const State& s) { s.marks()[sieve.resident()] = 2; });
  expect(sieve, Invariant::marks, kAnywhere, [&](const State& s) { s.queue(1).hand = sieve.stranger(); });
  const Run s3_fifo(cache("capacity = 4 eviction = s3_fifo"));
  const uint32_t one = s3_fifo.resident();
  expect(s3_fifo, Invariant::marks, one, [&](const State& s) { s.marks()[one] ^= 12; });
  const Run arc(cache("capacity = 4 eviction = arc"));
  expect(arc, Invariant::marks, arc.resident(), [&](const State& s) { s.marks()[arc.resident()] = 0; });
  expect(arc, Invariant::bounds, kAnywhere, [&](const State& s) { s.queue(1).target = 5; });
  expect(arc, Invariant::members, kAnywhere, [&](const State& s) {  // a ghost among the residents
    const bool once = list(s, decision::Arc::kOnceGhosts).size() != 0;
    const decision::KeyList ghosts = list(s, once ? decision::Arc::kOnceGhosts : decision::Arc::kAgainGhosts);
    REQUIRE(ghosts.size() != 0);
    list(s, decision::Arc::kAgain).push_back(ghosts.pop_front());
  });
  const Run lirs(cache("capacity = 4 eviction = lirs"));
  expect(lirs, Invariant::queues, kAnywhere, [&](const State& s) { ++s.queue(1).num_lir; });
  const Run w_tinylfu(cache("capacity = 4 eviction = w_tinylfu"));
  const uint32_t two = w_tinylfu.resident();
  expect(w_tinylfu, Invariant::marks, two, [&](const State& s) { s.use_counts()[two] ^= 0xF0; });
  expect(w_tinylfu, Invariant::bounds, kAnywhere, [&](const State& s) { s.queue(1).accesses = 40; });
  const Run random(cache("capacity = 4 eviction = random"));
  const auto bit = [](uint32_t key) { return uint64_t{1} << (key - 8); };
  const uint32_t three = random.resident(), stranger = random.stranger();
  expect(random, Invariant::members, three, [&](const State& s) { *s.bits(1) &= ~bit(three); });
  expect(random, Invariant::members, stranger, [&](const State& s) { *s.bits(1) |= bit(stranger); });
  expect(random, Invariant::members, 8, [&](const State& s) { *s.bits(1) |= uint64_t{1} << 60; });
}

TEST_CASE("segments") {
  const Run run(cache("capacity = 6 eviction = lru | sieve"));
  const uint32_t one = run.resident();
  expect(run, Invariant::segments, one, [&](const State& s) { s.segments()[one] = 2; });
  expect(run, Invariant::segments, kNone, [&](const State& s) { s.segments()[one] ^= 1; });
  expect(run, Invariant::segments, kNone, [&](const State& s) { ++s.instance(1).in_segment[1]; });
  // Segment b's queues come after those of a.
  expect(run, Invariant::queues, kAnywhere, [&](const State& s) { ++s.queue(2 + 1).size[0]; });
}

TEST_CASE("the side buffer") {
  const Run run(cache("capacity = 4 eviction = lru") + "prefetch { strategy = gate budget = 2 side_buffer = true }");
  const uint32_t one = run.resident(), stranger = run.stranger();
  expect(run, Invariant::side_buffer, one, [&](const State& s) { s.aside()[one] = 1; });
  expect(run, Invariant::side_buffer, stranger, [&](const State& s) { s.aside()[stranger] = 2; });
}

TEST_CASE("tiers") {
  const Run run(
      "cache { eviction = lru scope = global } tiers { tier fast { location = gpu capacity = 4 } tier slow { location "
      "= "
      "host capacity = 6 } tier cold { location = disk } eviction = sieve precision = by (score) [bf16 >= 0.5, int8] "
      "}");
  const State s = run.state();
  const auto tier = [](const State& state) { return decision::KeyList(state.tier_order(1), 16, state.tier_size(1)); };
  REQUIRE(tier(s).size() == 6);
  const uint32_t first = tier(s).begin(), second = tier(s).next(first);
  uint32_t beyond = 0;
  while (s.tier_order(1)[beyond].prev != kNone) ++beyond;
  expect(run, Invariant::tiers, kAnywhere, [&](const State& state) { state.tier_order(1)[second].prev = second; });
  expect(run, Invariant::tiers, kAnywhere, [&](const State& state) { ++state.tier_size(1); });
  expect(run, Invariant::tiers, kAnywhere, [&](const State& state) { state.tier_order(1)[beyond].prev = 16; });
  expect(run, Invariant::tier_capacity, kAnywhere, [&](const State& state) { tier(state).push_back(beyond); });
  expect(run, Invariant::members, kAnywhere, [&](const State& state) { tier(state).remove(first); });
  const uint32_t one = run.resident();
  expect(run, Invariant::rungs, one, [&](const State& state) { state.rungs()[one] = 2; });
}

TEST_CASE("what leaves at the end of a dispatch") {
  const Run run(
      cache("capacity = 6 eviction = lru ttl = 9 memory_threshold = 0.5 memory_headroom = 0.25 "
            "memory_budget_gb = 16 expert_size_gb = 1"));
  const auto oldest = [](const State& s) { return decision::Ring(s.order(), s.sentinel(1)).head(); };
  const uint32_t key = run.state().resident(oldest(run.state())).key;
  expect(run, Invariant::ttl, key, [&](const State& s) { s.resident(oldest(s)).last_use = 0; }, /*layer=*/1);
  decision::Params params = run.params();
  params.memory_threshold = params.memory_headroom = 1e-3;
  CHECK(find_violation(params, run.block(), 1).what == Invariant::pressure);
  CHECK(find_violation(params, run.block(), kNone).what == Invariant::none);
  g_provoked.insert(Invariant::pressure);
}

TEST_CASE("nothing is checked that cannot fail") {
  for (uint32_t i = 1; i <= static_cast<uint32_t>(Invariant::ttl); ++i) {
    CAPTURE(decision::to_words(static_cast<Invariant>(i)));
    CHECK(g_provoked.count(static_cast<Invariant>(i)) == 1);
  }
}

namespace {

/// What a child process that calls `act` writes to stderr; "" when it ends as it should.
template <class Act>
std::string last_words(Act act) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    dup2(ends[1], 2);
    act();
    _exit(0);
  }
  close(ends[1]);
  std::string words;
  char buffer[256];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) words.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) == !words.empty());
  return words;
}

}  // namespace

TEST_CASE("a checked dispatch ends the process and says what is wrong where") {
  const Run run(cache("capacity = 4 eviction = lru"));
  decision::Input input{};
  input.layer = 1;
  const auto check = [&](uint32_t status) { decision::checked<true>(run.params(), run.block(), input, status); };
  CHECK(last_words([&] { check(decision::kOk); }) == "");
  const uint32_t one = run.resident();
  run.state().resident(run.place()).load = 1000;
  CHECK(last_words([&] { check(decision::kOk); }) ==
        "a policy's state is broken: " + std::string(to_words(Invariant::counters)) + ", layer 1, expert " +
            std::to_string(one % 8) + "\n");
  CHECK(last_words([&] { check(decision::kInvalid); }) == "");
  CHECK(last_words([&] { decision::checked<false>(run.params(), run.block(), input, decision::kOk); }) == "");
}
