// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "ir/bind.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>

#include "tests/ir/policies.h"

namespace moe::ir::test {
namespace {

constexpr ModelShape kShape{4, 100, 2, 0};         // 400 experts of unknown size
constexpr ModelShape kSized{4, 100, 2, 1000};      // of 1000 bytes
constexpr ModelShape kLargest{4096, 65534, 1, 1};  // 268,427,264 experts

struct Outcome {
  std::optional<BoundPolicy> bound;
  std::string codes;  ///< "W2207 E2206", in order
};

Outcome bind_to(const Policy& policy, const ModelShape& shape, const BindOptions& options = {}) {
  Diagnostics diagnostics;
  Outcome outcome;
  outcome.bound = bind(policy, shape, options, diagnostics);
  for (const Diagnostic& diagnostic : diagnostics.items()) {
    if (!outcome.codes.empty()) outcome.codes += " ";
    outcome.codes += fmt::format("{}{}", diagnostic.severity == Severity::error ? 'E' : 'W', diagnostic.code.substr(3));
    CHECK_FALSE(diagnostic.message.empty());
    CHECK(diagnostic.message.find('\n') == std::string::npos);
  }
  CHECK(outcome.bound.has_value() == !diagnostics.has_errors());
  if (outcome.bound) CHECK(verify(*outcome.bound).empty());
  return outcome;
}

BindOptions asking_for(uint32_t capacity_slots) {
  BindOptions options;
  options.capacity_slots = capacity_slots;
  return options;
}

BindOptions with_memory(uint64_t fast_bytes, uint32_t streaming_slots = 2) {
  BindOptions options;
  options.fast_bytes = fast_bytes;
  options.streaming_slots = streaming_slots;
  return options;
}

TEST_CASE("capacity becomes slots") {
  struct Row {
    Capacity capacity;
    Scope scope;
    ModelShape shape;
    BindOptions options;
    uint32_t slots;  ///< 0: an error
    std::string codes;
  };
  const uint64_t half = uint64_t{1} << 63;
  const std::vector<Row> rows{
      {slots(10), Scope::global, kShape, {}, 10, ""},
      {slots(10), Scope::layer, kShape, {}, 10, ""},
      {slots(400), Scope::global, kShape, {}, 400, ""},
      {slots(401), Scope::global, kShape, {}, 400, "W2213"},
      {slots(101), Scope::layer, kShape, {}, 100, "W2213"},
      {slots(UINT64_MAX), Scope::global, kLargest, {}, 268427264, "W2213"},
      {slots(10), Scope::global, kShape, asking_for(7), 7, ""},
      {slots(10), Scope::global, kShape, asking_for(0), 0, "E2214"},
      {ratio(0.25), Scope::global, kShape, {}, 100, ""},
      {ratio(0.25), Scope::layer, kShape, {}, 25, ""},
      {ratio(0.29), Scope::layer, kShape, {}, 29, ""},  // 0.29 * 100 is 28.999999999999996
      {ratio(0.255), Scope::layer, kShape, {}, 25, ""},
      {ratio(1e-9), Scope::global, kShape, {}, 1, "W2208"},
      {ratio(1.0), Scope::global, kLargest, {}, 268427264, ""},
      {bytes(5999), Scope::global, kSized, {}, 5, ""},
      {bytes(5999), Scope::layer, kSized, {}, 5, ""},
      {bytes(999), Scope::global, kSized, {}, 0, "E2201"},
      {bytes(half), Scope::global, kSized, {}, 400, ""},
      {bytes(5999), Scope::global, kShape, {}, 0, "E2202"},
      {automatic(), Scope::global, kSized, with_memory(12000), 10, ""},
      {automatic(), Scope::layer, kSized, with_memory(41999), 9, ""},  // 41 held, 39 cached, of which a quarter each
      {automatic(), Scope::global, kSized, with_memory(12000, 5), 7, ""},
      {automatic(), Scope::global, kSized, with_memory(UINT64_MAX), 400, ""},
      {automatic(), Scope::global, kSized, with_memory(2999), 0, "E2204"},
      {automatic(), Scope::layer, kSized, with_memory(5999), 0, "E2204"},
      {automatic(), Scope::global, kSized, {}, 0, "E2203"},
      {automatic(), Scope::global, kShape, with_memory(12000), 0, "E2202"},
  };
  for (const Row& row : rows) {
    CAPTURE(&row - rows.data());
    Policy policy = policy_of(row.capacity);
    policy.cache.scope = written(row.scope);
    const Outcome outcome = bind_to(policy, row.shape, row.options);
    CHECK(outcome.codes == row.codes);
    CHECK((outcome.bound ? outcome.bound->capacity : 0) == row.slots);
  }
}

TEST_CASE("a written expert_size_gb stands in for an unknown size") {
  Policy policy = policy_of(bytes(5'000'000'000));
  policy.cache.expert_size_gb = written(1.0);
  const Outcome outcome = bind_to(policy, kShape);
  REQUIRE(outcome.bound);
  CHECK(outcome.bound->capacity == 5);
}

TEST_CASE("pins become keys") {
  Policy policy = policy_of(slots(50));
  policy.cache.pins = {pin(Pin::Range{1, 2}, {3, 4}), pin(Pin::Range{2, 2}, {4, 5}), pin(std::nullopt, {0, 0})};
  const Outcome outcome = bind_to(policy, kShape);
  REQUIRE(outcome.bound);
  CHECK(outcome.bound->pins == std::vector<uint32_t>{0, 100, 103, 104, 200, 203, 204, 205, 300});
}

TEST_CASE("pins must be in the model and must fit") {
  struct Row {
    std::vector<Sourced<Pin>> pins;
    uint64_t capacity;
    Scope scope;
    std::string codes;
  };
  const auto in_all = [](uint32_t first, uint32_t last) { return pin(std::nullopt, {first, last}); };
  const std::vector<Row> rows{
      {{in_all(100, 100)}, 50, Scope::global, "E2205"},
      {{pin(Pin::Range{4, 4}, {0, 0}), in_all(7, 65533)}, 50, Scope::global, "E2205 E2205"},
      {{in_all(0, 2)}, 11, Scope::global, "E2206"},  // three in each of four layers
      {{in_all(0, 2)}, 12, Scope::global, "W2207"},
      {{in_all(0, 2)}, 13, Scope::global, ""},
      {{in_all(0, 2)}, 3, Scope::layer, "W2207"},
      {{in_all(0, 2), pin(Pin::Range{3, 3}, {3, 3})}, 3, Scope::layer, "E2206"},
      {{in_all(0, 2), in_all(1, 2)}, 4, Scope::layer, ""},  // twice is once
      {{in_all(0, 99)}, 400, Scope::global, ""},            // everything is pinned and nothing can miss
  };
  for (const Row& row : rows) {
    CAPTURE(&row - rows.data());
    Policy policy = policy_of(slots(row.capacity));
    policy.cache.scope = written(row.scope);
    policy.cache.pins = row.pins;
    CHECK(bind_to(policy, kShape).codes == row.codes);
  }
}

TEST_CASE("per_layer: a layer pins no more than the equal share, which no other layer can take") {
  Policy policy = policy_of(slots(4));
  policy.per_layer = PerLayerRule{};
  policy.per_layer->total_budget = written<uint64_t>(4 * 4 + 2);  // at start layers 0 and 1 have five slots
  policy.cache.pins = {pin(Pin::Range{0, 0}, {0, 3})};
  const Outcome fits = bind_to(policy, kShape);
  REQUIRE(fits.bound);
  CHECK(limits_of(*fits.bound).min_capacity == 4);
  policy.cache.pins = {pin(Pin::Range{0, 0}, {0, 4})};
  CHECK(bind_to(policy, kShape).codes == "E2206");
}

TEST_CASE("everything pinned in the largest model is refused without making the keys") {
  Policy policy = policy_of(slots(1000));
  policy.cache.pins = {pin(std::nullopt, {0, 65533})};
  CHECK(bind_to(policy, kLargest).codes == "E2206");
}

TEST_CASE("findings about a policy and a model together") {
  struct Row {
    std::string what;
    std::function<void(Policy&)> change;
    ModelShape shape;
    std::string codes;
  };
  const std::vector<Row> rows{
      {"capacity below top_k", [](Policy& p) { p.cache.capacity.value = slots(1); }, kShape, "W2208"},
      {"global lru that cannot hit",
       [](Policy& p) { p.cache.eviction.value = Eviction::lru, p.cache.capacity.value = slots(8); }, kShape, "W2209"},
      {"global fifo that cannot hit",
       [](Policy& p) { p.cache.eviction.value = Eviction::fifo, p.cache.capacity.value = slots(8); }, kShape, "W2209"},
      {"global lru, one place more",
       [](Policy& p) { p.cache.eviction.value = Eviction::lru, p.cache.capacity.value = slots(9); }, kShape, ""},
      {"lru of a layer",
       [](Policy& p) {
         p.cache.eviction.value = Eviction::lru, p.cache.capacity.value = slots(8), p.cache.scope.value = Scope::layer;
       },
       kShape, ""},
      {"global lru of a model that fits",
       [](Policy& p) { p.cache.eviction.value = Eviction::lru, p.cache.capacity.value = slots(8); },
       {4, 2, 2, 0},
       ""},
      {"budget above capacity", [](Policy& p) { p.prefetch.budget = written(11u); }, kShape, "E2210"},
      {"budget above a layer's capacity, one layer ahead",
       [](Policy& p) {
         p.cache.scope.value = Scope::layer, p.prefetch.budget = written(11u),
         p.prefetch.strategy.value = Strategy::lookahead;
       },
       kShape, "E2210"},
      {"budget for two layers",
       [](Policy& p) {
         p.cache.scope.value = Scope::layer, p.prefetch.budget = written(20u), p.prefetch.lookahead = written(2u),
         p.prefetch.strategy.value = Strategy::lookahead;
       },
       kShape, ""},
      {"expert_size_gb beside the model's", [](Policy& p) { p.cache.expert_size_gb = written(1.0); }, kSized, "W2211"},
      {"expert_size_gb alone", [](Policy& p) { p.cache.expert_size_gb = written(1.0); }, kShape, ""},
      {"lookahead beyond the model",
       [](Policy& p) { p.prefetch.strategy.value = Strategy::lookahead, p.prefetch.lookahead = written(5u); }, kShape,
       "W2212"},
      {"history wraps",
       [](Policy& p) { p.prefetch.strategy.value = Strategy::history, p.prefetch.lookahead = written(5u); }, kShape,
       ""},
      {"pressure that never comes", [](Policy& p) { p.cache.memory_threshold = written(0.9); }, kShape, "W2216"},
      {"pressure at one expert",
       [](Policy& p) { p.cache.memory_threshold = written(0.5), p.cache.memory_budget_gb = written(2.0); }, kShape,
       "W2217"},
      {"a broken IR", [](Policy& p) { p.cache.freq_window.value = 0; }, kShape, "E2200"},
      {"no layer", [](Policy&) {}, {0, 8, 2, 0}, "E2215"},
      {"too many experts", [](Policy&) {}, {1, 65535, 2, 0}, "E2215"},
      {"top_k above the experts", [](Policy&) {}, {1, 8, 9, 0}, "E2215"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Policy policy = policy_of(slots(10));
    row.change(policy);
    CHECK(bind_to(policy, row.shape).codes == row.codes);
  }
}

TEST_CASE("unwritten values give way") {
  Policy policy = policy_of(slots(3));
  policy.cache.memory_threshold = written(0.5);
  policy.cache.memory_budget_gb = written(4.0);
  policy.prefetch.strategy = written<StrategyChain>(Strategy::gate);
  policy.prefetch.lookahead = written(9u);
  const Outcome outcome = bind_to(policy, kShape);
  REQUIRE(outcome.bound);
  CHECK(outcome.bound->budget == 3);
  CHECK(outcome.bound->memory_headroom == 0.9 * 0.5);
  CHECK(outcome.bound->lookahead == 4);
}

TEST_CASE("what a miss does, and what that means for the output") {
  struct Row {
    ScheduleMode mode;
    uint64_t expert_bytes;
    MissAction miss;
    Exactness exactness;
  };
  const std::vector<Row> rows{
      {ScheduleMode::gpu_only, 0, MissAction::load, Exactness::exact},
      {ScheduleMode::cpu_fallback, 0, MissAction::cpu_load, Exactness::exact_on_host},
      {ScheduleMode::hybrid, 0, MissAction::load, Exactness::exact},              // 1.2 GB: 48 ms, below 50
      {ScheduleMode::hybrid, 1'250'000'000, MissAction::load, Exactness::exact},  // 50 ms exactly
      {ScheduleMode::hybrid, 1'300'000'000, MissAction::cpu, Exactness::exact_on_host},
  };
  for (const Row& row : rows) {
    CAPTURE(&row - rows.data());
    Policy policy = policy_of(slots(10));
    policy.schedule.mode = written(row.mode);
    const Outcome outcome = bind_to(policy, {4, 100, 2, row.expert_bytes});
    REQUIRE(outcome.bound);
    CHECK(outcome.bound->miss == row.miss);
    CHECK(outcome.bound->exactness == row.exactness);
  }
}

TEST_CASE("exactness and timing of a policy") {
  Policy policy = policy_of(slots(10));
  CHECK(exactness(policy) == Exactness::exact);
  CHECK(timing_free(policy));
  policy.prefetch.strategy = written<StrategyChain>(Strategy::gate);
  CHECK_FALSE(timing_free(policy));
  policy.prefetch.cancel_stale = written(false);
  CHECK(timing_free(policy));
  policy.schedule.mode = written(ScheduleMode::hybrid);
  CHECK(exactness(policy) == Exactness::exact_on_host);
}

}  // namespace
}  // namespace moe::ir::test
