// SPDX-License-Identifier: Apache-2.0
// The decision log of an engine that compiled its policy from a text explains itself: the file has the text, the
// settings and the inputs, and every decision comes out as the plan reported it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "codegen/compiler.h"
#include "compiler/program.h"
#include "replay/explain.h"
#include "tests/compiler/small_engine.h"

namespace moe::test {
namespace {

using replay::DecisionLog;

/// An engine with a log; remembers which keys each dispatch let go.
class LoggedEngine {
 public:
  LoggedEngine(moe_policy* policy, uint64_t log_bytes) {
    moe_runtime_config config{};
    config.struct_size = sizeof config;
    config.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, sizeof bytes_};
    config.decision_log_bytes = log_bytes;
    REQUIRE(moe_runtime_create(&config, &runtime_) == MOE_OK);
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      for (uint32_t e = 0; e < kExperts; ++e)
        REQUIRE(moe_store_add(runtime_, layer, e, bytes_, sizeof bytes_) == MOE_OK);
    }
    REQUIRE(moe_policy_attach(runtime_, policy) == MOE_OK);
  }
  ~LoggedEngine() { moe_runtime_destroy(runtime_); }
  LoggedEngine(const LoggedEngine&) = delete;
  LoggedEngine& operator=(const LoggedEngine&) = delete;

  void run(uint32_t dispatches) {
    for (uint32_t i = 0; i < dispatches; ++i) dispatch(next_++ % kLayers);
  }
  std::string log() const {
    std::string path = "/tmp/moe-log-XXXXXX";
    const int fd = ::mkstemp(path.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    REQUIRE_MESSAGE(moe_decision_log_write(runtime_, path.c_str()) == MOE_OK, moe_last_error());
    std::ifstream file(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    ::unlink(path.c_str());
    return bytes;
  }
  std::vector<std::vector<uint32_t>> left;  ///< by dispatch
  size_t num_left = 0;

 private:
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  float share() { return static_cast<float>(below(1000)) / 1000.0f; }

  void dispatch(uint32_t layer) {
    const uint32_t tokens = below(10) == 0 ? 5 : 1;
    std::vector<int32_t> ids;
    std::vector<float> weights, probabilities;
    for (uint32_t t = 0; t < tokens; ++t) {
      const uint32_t first = below(kExperts) * below(kExperts) / kExperts;
      ids.push_back(static_cast<int32_t>(first));
      ids.push_back(static_cast<int32_t>((first + 1 + below(kExperts - 1)) % kExperts));
      for (uint32_t k = 0; k < kTopK; ++k) weights.push_back(share());
      for (uint32_t e = 0; e < kExperts; ++e) probabilities.push_back(share());
    }
    const std::vector<uint32_t> requests(tokens, next_ / 50);
    const int32_t hinted[] = {static_cast<int32_t>(below(8)), static_cast<int32_t>(8 + below(8))};
    const float confidence[] = {share(), share()};
    REQUIRE(moe_hint(runtime_, (layer + 1) % kLayers, hinted, confidence, 2) == MOE_OK);
    moe_dispatch_args args{};
    args.struct_size = sizeof args;
    args.layer = layer;
    args.num_tokens = tokens;
    args.top_k = kTopK;
    args.ids = ids.data();
    args.weights = weights.data();
    args.phase = tokens > 1 ? MOE_PHASE_PREFILL : MOE_PHASE_DECODE;
    args.request_ids = requests.data();
    args.probabilities = below(2) == 0 ? probabilities.data() : nullptr;
    moe_plan plan{};
    plan.struct_size = sizeof plan;
    REQUIRE(moe_dispatch(runtime_, &args, &plan) == MOE_OK);
    std::vector<uint32_t> keys;
    for (uint32_t i = 0; i < plan.num_evicted; ++i) {
      keys.push_back(plan.evicted[2 * i] * kExperts + plan.evicted[2 * i + 1]);
    }
    num_left += keys.size();
    left.push_back(std::move(keys));
    REQUIRE(moe_plan_release(runtime_, &plan, nullptr) == MOE_OK);
  }

  char bytes_[64] = {};
  moe_runtime* runtime_ = nullptr;
  std::mt19937 random_{11};
  uint32_t next_ = 0;
};

/// The log's policy, made again from what the log says of it.
struct Remade {
  std::optional<ir::BoundPolicy> bound;
  std::unique_ptr<codegen::JitPolicy> code;

  explicit Remade(const DecisionLog& log) {
    const Result<compiler::Program> program = compiler::read_program(log.policies.back().program);
    REQUIRE(program.ok());
    ir::Diagnostics diagnostics;
    bound = compiler::compile_to_bound(program->source, program->target, diagnostics);
    REQUIRE(bound);
    Result<std::unique_ptr<codegen::JitPolicy>> made = codegen::jit(*bound, {});
    REQUIRE(made.ok());
    code = std::move(*made);
  }
};

void check(const DecisionLog& log, const Remade& policy, const LoggedEngine& engine, uint64_t number) {
  CAPTURE(number);
  const auto found = replay::find(log, {number, {}});
  REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
  const auto explained = replay::explain(log, *found, *policy.bound, policy.code->descriptor().params);
  REQUIRE_MESSAGE(explained.ok(), (explained.ok() ? "" : explained.error().message));
  std::vector<uint32_t> keys;
  for (const ir::Departure& departure : explained->account.departures) keys.push_back(departure.key);
  CHECK(keys == engine.left[number]);
}

/// Timeless policies: no prefetch is cancelled for being late.
constexpr const char* kPolicies[] = {
    "policy p { cache { capacity = 30%  eviction = least(use_rate(8) - 0.1 * log(1 + idle) + weight_rate(5, 4)) "
    " admit = when(weight > 0.2) }"
    " prefetch { strategy = gate  budget = 2  cancel_stale = false } }",
    "policy p { cache { capacity = 25%  scope = layer  eviction = lfu  ttl = 60  decay_interval = 20  pin = [3] } "
    " phase prefill { cache { admit = never } } }",
    "policy p { param n = 5  cache { capacity = n  scope = layer  eviction = least(request_uses * 2 + seen + recency / "
    "7 + age) } "
    " layers 2..3 { cache { eviction = score } } }",
    "policy p { cache { capacity = 30%  eviction = freq_threshold  freq_window = 60  freq_threshold = 2% } "
    " prefetch { strategy = gate  budget = 3  cancel_stale = false } }",
    "policy p { cache { capacity = 40%  eviction = lru  memory_threshold = 80%  memory_headroom = 60%  "
    "memory_budget_gb = 20  expert_size_gb = 1  protect_selected = false } }",
    "policy p { cache { capacity = 30%  eviction = lru } "
    " schedule { approximate = true  drop = when(weight < 0.05)  on miss { when weight < 0.3 -> skip  else -> load } } "
    "}",
};

TEST_CASE("from the beginning, and from a state once the ring has wrapped") {
  for (const char* text : kPolicies) {
    CAPTURE(text);
    const PolicyHandle policy(text, options_for(1));
    LoggedEngine whole(policy.handle, 1 << 22), wrapped(policy.handle, 1 << 17);
    whole.run(2500);
    wrapped.run(2500);
    CHECK(whole.left == wrapped.left);
    CHECK(whole.num_left > 100);
    const std::string all = whole.log(), last = wrapped.log();
    const Result<DecisionLog> log = replay::read_decision_log(replay::as_bytes(all));
    const Result<DecisionLog> rest = replay::read_decision_log(replay::as_bytes(last));
    REQUIRE(log.ok());
    REQUIRE(rest.ok());
    const Remade remade(*log);
    for (const uint64_t number : {0, 77, 1200, 2499}) check(*log, remade, whole, number);
    CHECK_FALSE(replay::find(*rest, {500, {}}).ok());
    for (const uint64_t number : {2300, 2401, 2499}) check(*rest, remade, wrapped, number);
  }
}

TEST_CASE("rules of adapt are in the account, and fire as the engine saw") {
  const char* text =
      "policy p { cache { capacity = 30%  eviction = lfu }  adapt { when batch >= 2 for 2 dispatches { signal big  "
      "cache.eviction = lru } revert } }";
  const PolicyHandle policy(text, options_for(1));
  LoggedEngine engine(policy.handle, 1 << 22);
  engine.run(1000);
  const std::string bytes = engine.log();
  const Result<DecisionLog> log = replay::read_decision_log(replay::as_bytes(bytes));
  REQUIRE(log.ok());
  const Remade remade(*log);
  for (const uint64_t number : {10, 500, 999}) check(*log, remade, engine, number);
}

TEST_CASE("settings and slots travel with the text") {
  const char* text = "policy p { param n = 3 in 1..40  cache { capacity = 10  eviction = least(freq * n) } }";
  moe_compile_options options = options_for(1);
  const char* settings[] = {"n=7"};
  options.settings = settings;
  options.num_settings = 1;
  options.capacity_slots = 12;
  options.file_name = "mine.moe";
  const PolicyHandle policy(text, options);
  LoggedEngine engine(policy.handle, 1 << 20);
  engine.run(200);
  const std::string bytes = engine.log();
  const Result<DecisionLog> log = replay::read_decision_log(replay::as_bytes(bytes));
  REQUIRE(log.ok());
  const Result<compiler::Program> program = compiler::read_program(log->policies.front().program);
  REQUIRE(program.ok());
  CHECK(program->source.name() == "mine.moe");
  CHECK(program->source.text() == text);
  const Remade remade(*log);
  CHECK(remade.bound->capacity == 12);
  CHECK(print_expr(remade.bound->eviction.value) == "freq * 7");
  check(*log, remade, engine, 199);
}

TEST_CASE("a program that lies is refused") {
  const ir::SourceFile source("x.moe", "policy p { cache { capacity = 2 } }");
  compiler::Target target;
  target.shape = {4, 16, 2, 100};
  target.settings = {{"a", "1"}};
  const std::string good = compiler::print_program(source, target);
  REQUIRE(compiler::read_program(good).ok());
  const std::pair<const char*, const char*> changes[] = {
      {"\"num_layers\":4", "\"num_layers\":4097"},
      {"\"num_layers\":4", "\"num_layers\":0"},
      {"\"num_experts\":16", "\"num_experts\":-1"},
      {"\"num_experts\":16", "\"num_experts\":65535"},
      {"\"top_k\":2", "\"top_k\":17"},
      {"\"top_k\":2", "\"top_k\":2.5"},
      {"\"seed\":1", "\"seed\":\"1\""},
      {"\"settings\":[\"a=1\"]", "\"settings\":[\"a\"]"},
      {"\"settings\":[\"a=1\"]", "\"settings\":[1]"},
      {"\"slots\":0", "\"slots\":4294967295"},
      {"\"source\":", "\"sauce\":"},
      {"\"file\":\"x.moe\"", "\"file\":null"},
  };
  for (const auto& [from, to] : changes) {
    CAPTURE(to);
    std::string bad = good;
    REQUIRE(bad.find(from) != std::string::npos);
    bad.replace(bad.find(from), std::string(from).size(), to);
    CHECK_FALSE(compiler::read_program(bad).ok());
  }
  for (const char* text : {"", "{", "[]", "null", "{}"}) CHECK_FALSE(compiler::read_program(text).ok());
}

}  // namespace
}  // namespace moe::test
