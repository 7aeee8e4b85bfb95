// SPDX-License-Identifier: Apache-2.0
// The decision log of a running engine explains what its plans reported: from the beginning, after the ring has
// wrapped, after a swap, and while another thread writes it out.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "replay/explain.h"
#include "runtime/core/decision_log.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

using Rule = decision::Eviction;
using replay::DecisionLog;

/// Keys as the interpreter lists them.
struct Reported {
  std::vector<uint32_t> evicted;
  std::vector<uint32_t> experts;
};

/// The same policy for both sides: constants for the runtime, and bound for the interpreter.
struct Both {
  decision::Params params;
  ir::BoundPolicy bound;

  Both(Rule rule, uint32_t layers, uint32_t experts, uint32_t capacity)
      : params(lru_params(layers, experts, 2, capacity)) {
    params.eviction = static_cast<uint32_t>(rule);
    params.freq_threshold = 0.01;
    params.seed = bound.options.seed;
    bound.name = "both";
    bound.shape = {layers, experts, 2, 0};
    bound.eviction = static_cast<ir::Eviction>(rule);
    bound.capacity = capacity;
    bound.freq_threshold = 0.01;
    bound.decay_interval = params.decay_interval;
    bound.frequency_decay = params.frequency_decay;
    bound.score_ema_alpha = params.score_ema_alpha;
    bound.freq_window = params.freq_window;
    REQUIRE(verify(bound).empty());
  }
  /// Prefetches what the engine expects.
  void prefetch_by_gate() {
    params.strategy = static_cast<uint32_t>(decision::Strategy::gate);
    params.budget = 2;
    params.cancel_stale = 0;
    bound.strategy = ir::Strategy::gate;
    bound.budget = 2;
    bound.cancel_stale = false;
  }
};

/// An engine that dispatches random tokens, and keeps what the plans say.
class Engine {
 public:
  Engine(const Both& policy, uint64_t log_bytes, SteeredBackend::Control* control = nullptr)
      : policy_(policy), fixture_(policy.params, 64, config(policy.params, log_bytes), control) {
    REQUIRE(fixture_.attach(policy.params) == MOE_OK);
  }

  void run(uint32_t dispatches, uint32_t tokens = 1) {
    for (uint32_t i = 0; i < dispatches; ++i) {
      const uint32_t layer = next_++ % policy_.params.num_layers;
      if (policy_.params.strategy != 0) hint((layer + 1) % policy_.params.num_layers);
      std::vector<int32_t> ids;
      std::vector<float> weights;
      for (uint32_t t = 0; t < tokens; ++t) {
        const uint32_t first = pick(), second = first + 1 + below(policy_.params.num_experts - 1);
        ids.push_back(static_cast<int32_t>(first));
        ids.push_back(static_cast<int32_t>(second % policy_.params.num_experts));
        for (int k = 0; k < 2; ++k) weights.push_back(static_cast<float>(random_() % 1000) / 1000.0f);
      }
      dispatch(layer, ids, weights);
    }
  }
  void dispatch(uint32_t layer, const std::vector<int32_t>& ids, const std::vector<float>& weights = {},
                bool wait = false) {
    moe_dispatch_args args = dispatch_args(policy_.params, layer, ids);
    args.weights = weights.empty() ? nullptr : weights.data();
    args.phase = random_() % 3 == 0 ? MOE_PHASE_PREFILL : MOE_PHASE_DECODE;
    moe_plan plan = empty_plan();
    REQUIRE(moe_dispatch(fixture_.get(), &args, &plan) == MOE_OK);
    Reported said;
    for (uint32_t i = 0; i < plan.num_evicted; ++i) {
      said.evicted.push_back(plan.evicted[2 * i] * policy_.params.num_experts + plan.evicted[2 * i + 1]);
    }
    for (uint32_t i = 0; i < plan.num_entries; ++i) said.experts.push_back(plan.entries[i].expert);
    reported.push_back(said);
    for (uint32_t i = 0; wait && i < plan.num_entries; ++i) (void)moe_plan_wait(fixture_.get(), &plan, i, nullptr);
    REQUIRE(moe_plan_release(fixture_.get(), &plan, nullptr) == MOE_OK);
  }
  std::string written() const {
    const TempDir folder;
    const std::string path = folder / "log";
    REQUIRE_MESSAGE(moe_decision_log_write(fixture_.get(), path.c_str()) == MOE_OK, moe_last_error());
    return read_file(path);
  }
  Fixture& fixture() { return fixture_; }

  std::vector<Reported> reported;

 private:
  static moe_runtime_config config(const decision::Params& params, uint64_t log_bytes) {
    moe_runtime_config config = config_for(params);
    config.decision_log_bytes = log_bytes;
    return config;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  uint32_t pick() { return below(policy_.params.num_experts) * below(7) / 7; }
  void hint(uint32_t layer) {
    const int32_t a = static_cast<int32_t>(pick());
    const int32_t ids[] = {a, (a + 3) % static_cast<int32_t>(policy_.params.num_experts)};
    const float probabilities[] = {0.25f, static_cast<float>(random_() % 100) / 100.0f};
    REQUIRE(moe_hint(fixture_.get(), layer, ids, probabilities, 2) == MOE_OK);
  }
  const Both& policy_;
  Fixture fixture_;
  std::mt19937 random_{7};
  uint32_t next_ = 0;
};

DecisionLog read(const std::string& bytes) {
  Result<DecisionLog> log = replay::read_decision_log(replay::as_bytes(bytes));
  REQUIRE_MESSAGE(log.ok(), (log.ok() ? "" : log.error().message));
  return std::move(*log);
}

uint64_t first_explained(const DecisionLog& log) {
  bool begun = false;
  for (const replay::LogRecord& record : log.records) {
    begun = begun || record.kind != replay::LogRecord::Kind::dispatch;
    if (begun && record.kind == replay::LogRecord::Kind::dispatch) return record.number;
  }
  return UINT64_MAX;
}

/// Dispatch `number` is explained, as its plan said.
void check(const DecisionLog& log, uint64_t number, const Both& policy, const std::vector<Reported>& reported) {
  CAPTURE(number);
  const auto found = replay::find(log, {number, {}});
  REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
  const auto explained = replay::explain(log, *found, policy.bound, &policy.params);
  REQUIRE_MESSAGE(explained.ok(), (explained.ok() ? "" : explained.error().message));
  CHECK(explained->dispatch == number);
  std::vector<uint32_t> left, experts;
  for (const ir::Departure& departure : explained->account.departures) left.push_back(departure.key);
  for (const ir::ExpertDecision& expert : explained->decision.experts) experts.push_back(expert.expert);
  CHECK(left == reported[number].evicted);
  CHECK(experts == reported[number].experts);
}

TEST_CASE("from the beginning, under every rule, with hints and weights") {
  for (uint32_t rule = 0; rule <= static_cast<uint32_t>(Rule::random); ++rule) {
    CAPTURE(rule);
    Both policy(static_cast<Rule>(rule), 3, 16, 12);
    policy.prefetch_by_gate();
    Engine engine(policy, 1 << 20);
    engine.run(600);
    engine.run(3, 40);
    const std::string bytes = engine.written();
    const DecisionLog log = read(bytes);
    CHECK(first_explained(log) == 0);
    size_t left = 0;
    for (const uint64_t number : {0, 1, 50, 301, 599, 602}) {
      check(log, number, policy, engine.reported);
      left += engine.reported[number].evicted.size();
    }
    CHECK(left > 0);
    const auto past = replay::find(log, {603, {}});
    REQUIRE_FALSE(past.ok());
    CHECK(past.error().message == "dispatch 603 cannot be explained: the log explains dispatches 0 to 602");
  }
}

TEST_CASE("after the ring has wrapped, from a state") {
  for (const Rule rule : {Rule::lru, Rule::lfu, Rule::score, Rule::freq_threshold, Rule::fifo}) {
    CAPTURE(static_cast<uint32_t>(rule));
    Both policy(rule, 3, 16, 12);
    policy.prefetch_by_gate();
    Engine engine(policy, 64 << 10);
    engine.run(3000);
    const std::string bytes = engine.written();
    CHECK(bytes.size() < (64 << 10) + 4096);
    const DecisionLog log = read(bytes);
    const uint64_t first = first_explained(log);
    CHECK(first > 1000);
    CHECK(first < 2700);
    for (const uint64_t number : {first, first + 1, uint64_t{2800}, uint64_t{2999}}) {
      check(log, number, policy, engine.reported);
    }
    const auto gone = replay::find(log, {first - 1, {}});
    REQUIRE_FALSE(gone.ok());
    CHECK(gone.error().message == "dispatch " + std::to_string(first - 1) +
                                      " cannot be explained: the log explains dispatches " + std::to_string(first) +
                                      " to 2999; what came before has been overwritten: a larger log keeps more");
    // Another policy does not pass for this one.
    Both other = policy;
    other.bound.eviction = rule == Rule::fifo ? ir::Eviction::lru : ir::Eviction::fifo;
    other.params.eviction = static_cast<uint32_t>(rule == Rule::fifo ? Rule::lru : Rule::fifo);
    const auto found = replay::find(log, {2999, {}});
    REQUIRE(found.ok());
    const auto explained = replay::explain(log, *found, other.bound, &other.params);
    REQUIRE_FALSE(explained.ok());
    CHECK(explained.error().kind == Error::Kind::format);
  }
}

TEST_CASE("what cannot start from a state says so") {
  Both policy(Rule::arc, 2, 16, 8);
  Engine engine(policy, 64 << 10);
  engine.run(3000);
  const std::string bytes = engine.written();
  const DecisionLog log = read(bytes);
  const auto found = replay::find(log, {2999, {}});
  REQUIRE(found.ok());
  const auto explained = replay::explain(log, *found, policy.bound, &policy.params);
  REQUIRE_FALSE(explained.ok());
  CHECK(explained.error().kind == Error::Kind::unsupported);
  CHECK(explained.error().message.find("an eviction rule with queues") != std::string::npos);
}

TEST_CASE("what cannot start from a state starts where the engine did, through swaps too") {
  const Both arc(Rule::arc, 2, 16, 8), lru(Rule::lru, 2, 16, 8), sieve(Rule::sieve, 2, 16, 6);
  Engine engine(arc, 1 << 18);  // whose quarter 1000 dispatches fill
  engine.run(2000);
  REQUIRE(engine.fixture().attach(lru.params) == MOE_OK);
  engine.run(100);
  REQUIRE(engine.fixture().attach(sieve.params) == MOE_OK);
  engine.run(100);
  const std::string bytes = engine.written();
  const DecisionLog log = read(bytes);
  size_t states = 0;
  for (const replay::LogRecord& record : log.records) states += record.kind == replay::LogRecord::Kind::state;
  CHECK(states >= 3);
  CHECK(first_explained(log) == 0);
  check(log, 1999, arc, engine.reported);
  check(log, 2099, lru, engine.reported);
  const auto found = replay::find(log, {2199, {}});
  REQUIRE(found.ok());
  CHECK_FALSE(replay::explain(log, *found, sieve.bound, &sieve.params).ok());  // from lru's state, which is not given
  const Both* const all[] = {&arc, &lru, &sieve};
  for (const uint64_t number : {2100, 2150, 2199}) {
    CAPTURE(number);
    const auto explained =
        replay::explain(log, *replay::find(log, {number, {}}), [&](uint32_t which) -> Result<replay::RemadePolicy> {
          return replay::RemadePolicy{&all[which]->bound, &all[which]->params};
        });
    REQUIRE_MESSAGE(explained.ok(), (explained.ok() ? "" : explained.error().message));
    std::vector<uint32_t> left;
    for (const ir::Departure& departure : explained->account.departures) left.push_back(departure.key);
    if (number != 2100) CHECK(left == engine.reported[number].evicted);  // whose plan has who left at the swap
  }
}

TEST_CASE("a swap: each policy explains its own dispatches") {
  const Both lru(Rule::lru, 2, 16, 8), lfu(Rule::lfu, 2, 16, 6);
  Engine engine(lru, 1 << 20);
  engine.run(100);
  REQUIRE(engine.fixture().attach(lfu.params) == MOE_OK);
  engine.run(100);
  const std::string bytes = engine.written();
  const DecisionLog log = read(bytes);
  REQUIRE(log.policies.size() == 2);
  check(log, 99, lru, engine.reported);
  check(log, 199, lfu, engine.reported);
  CHECK(replay::find(log, {99, {}})->policy == 0);
  CHECK(replay::find(log, {199, {}})->policy == 1);
  // What left at the swap is in the plan after it, and no decision of the new policy.
  const auto at_swap = replay::find(log, {100, {}});
  REQUIRE(at_swap.ok());
  const auto explained = replay::explain(log, *at_swap, lfu.bound, &lfu.params);
  REQUIRE(explained.ok());
  CHECK(explained->account.resident.size() == 6);
}

TEST_CASE("a dispatch that is too large is left out, and the log goes on behind it") {
  const Both policy(Rule::lru, 2, 16, 8);
  Engine engine(policy, 16 << 10);
  engine.run(20);
  engine.run(1, 500);  // 500 x 2 ids and weights: 6000 bytes
  engine.run(20);
  const std::string bytes = engine.written();
  const DecisionLog log = read(bytes);
  check(log, 19, policy, engine.reported);
  check(log, 21, policy, engine.reported);
  check(log, 40, policy, engine.reported);
  const auto large = replay::find(log, {20, {}});
  REQUIRE_FALSE(large.ok());
  CHECK(large.error().message ==
        "dispatch 20 cannot be explained: the log explains dispatches 0 to 19, 21 to 40; it was too large for the log, "
        "which left it out");
}

TEST_CASE("a ring that holds no state keeps what can be explained, and the file stays one that can be read") {
  const Both lru(Rule::lru, 2, 16, 8), lfu(Rule::lfu, 2, 16, 8);
  for (const bool swaps : {true, false}) {
    Engine engine(lru, 4 << 10);
    engine.run(20);
    if (swaps) REQUIRE(engine.fixture().attach(lfu.params) == MOE_OK);
    engine.run(1, swaps ? 1 : 300);
    engine.run(20);
    const std::string bytes = engine.written();
    const DecisionLog log = read(bytes);
    check(log, 19, lru, engine.reported);
    CHECK_FALSE(replay::find(log, {25, {}}).ok());
  }
}

TEST_CASE("a load that fails leaves by the mechanism's report") {
  SteeredBackend::Control control;
  const Both policy(Rule::lru, 1, 8, 4);
  Engine engine(policy, 64 << 10, &control);
  {
    const std::lock_guard hold(control.lock);
    control.broken.insert(engine.fixture().experts()(0, 5).data());
  }
  engine.dispatch(0, {5, 6}, {}, /*wait=*/true);  // 5 is seen to have failed
  engine.dispatch(0, {6, 7});
  REQUIRE(engine.reported[1].evicted == std::vector<uint32_t>{5});
  const std::string bytes = engine.written();
  const DecisionLog log = read(bytes);
  const auto found = replay::find(log, {1, {}});
  REQUIRE(found.ok());
  const auto explained = replay::explain(log, *found, policy.bound, &policy.params);
  REQUIRE(explained.ok());
  REQUIRE(explained->account.departures.size() == 1);
  CHECK(explained->account.departures[0].cause == ir::Cause::dropped);
}

TEST_CASE("no log was asked for, or it cannot be written") {
  const Both policy(Rule::lru, 1, 8, 4);
  Engine off(policy, 0);
  CHECK(moe_decision_log_write(off.fixture().get(), "x") == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "the runtime has no decision log: set decision_log_bytes");
  Engine on(policy, 1);  // as small as it gets
  on.run(100);
  CHECK(moe_decision_log_write(on.fixture().get(), nullptr) == MOE_INVALID);
  CHECK(moe_decision_log_write(on.fixture().get(), "") == MOE_INVALID);
  CHECK(moe_decision_log_write(nullptr, "x") == MOE_INVALID);
  CHECK(moe_decision_log_write(on.fixture().get(), "/no/such/folder/log") == MOE_IO);
  const std::string bytes = on.written();
  CHECK(first_explained(read(bytes)) == UINT64_MAX);
  moe_runtime_config config = config_for(policy.params);
  config.decision_log_bytes = (uint64_t{1} << 30) + 1;
  moe_runtime* runtime = nullptr;
  CHECK(moe_runtime_create(&config, &runtime) == MOE_INVALID);
}

TEST_CASE("written out while dispatches run: every file can be read, and explains its last dispatch") {
  const Both policy(Rule::lru, 2, 16, 8);
  Engine engine(policy, 32 << 10);
  std::atomic<bool> done{false};
  std::atomic<int> written{0};
  std::vector<std::string> files;
  std::thread writer([&] {
    const TempDir folder;
    const std::string path = folder / "log";
    while (!done.load() && files.size() < 200) {
      REQUIRE(moe_decision_log_write(engine.fixture().get(), path.c_str()) == MOE_OK);
      files.push_back(read_file(path));
      written.store(static_cast<int>(files.size()));
    }
  });
  // The dispatches go on until some files were written beside them, however late the writer gets a processor.
  for (int i = 0; i < 200 || written.load() < 10; ++i) engine.run(20);
  done = true;
  writer.join();
  for (const std::string& bytes : files) {
    const DecisionLog log = read(bytes);
    if (log.records.empty() || first_explained(log) == UINT64_MAX) continue;  // before the first dispatch
    const replay::LogRecord& last = log.records.back();
    if (last.kind != replay::LogRecord::Kind::dispatch) continue;
    check(log, last.number, policy, engine.reported);
  }
}

}  // namespace
}  // namespace moe::test
