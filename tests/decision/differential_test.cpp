// SPDX-License-Identifier: Apache-2.0
// Every engine decides alike: the interpreter (written from docs/semantics.md), the statically compiled kernels and the
// JIT, on seeded random policies and traces. MOE_TEST_SEED, MOE_TEST_POLICIES, MOE_TEST_TRACES (of a policy),
// MOE_TEST_DISPATCHES (of a trace) and MOE_TEST_EVICTION (one rule only) change the run; a failure prints the seed.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <random>

#include "codegen/compiler.h"
#include "codegen/native.h"
#include "compiler/driver.h"
#include "ir/interpreter.h"
#include "replay/kernel_engine.h"
#include "tests/decision/random_changes.h"

namespace {

using namespace moe;
using test::Dice;

uint64_t environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

uint64_t run_seed() {
  static const uint64_t seed = environment("MOE_TEST_SEED", std::random_device{}());
  return seed;
}

std::string describe(const std::optional<ir::Decision>& decision) {
  if (!decision) return "invalid";
  std::string text = "experts";
  for (const ir::ExpertDecision& e : decision->experts) {
    text += fmt::format(" {}:{}x{}w{}", e.expert, ir::to_word(e.action), e.num_selections, e.weight);
  }
  for (const ir::TierMove& move : decision->moves) text += fmt::format(" {}:{}>{}", move.key, move.from, move.to);
  for (const ir::PrecisionChoice& copy : decision->precisions) {
    text += fmt::format(" {}={}{}", copy.key, ir::to_word(copy.dtype), copy.raised ? "^" : "");
  }
  return text + fmt::format(" evicted [{}] prefetched [{}] dropped [{}] fired [{}] signals [{}]",
                            fmt::join(decision->evicted, ","), fmt::join(decision->prefetched, ","),
                            fmt::join(decision->dropped, ","), fmt::join(decision->rules_fired, ","),
                            fmt::join(decision->signals, ","));
}

/// What the traces brought about, so that a run shows whether it tried what it is for.
struct Tally {
  uint64_t moves = 0;
  uint64_t copies = 0;
  uint64_t raised = 0;
  std::array<uint64_t, 8> actions{};  ///< by ir::Action

  void add(const ir::Decision& decision) {
    moves += decision.moves.size();
    copies += decision.precisions.size();
    for (const ir::PrecisionChoice& copy : decision.precisions) raised += copy.raised ? 1 : 0;
    for (const ir::ExpertDecision& expert : decision.experts) ++actions[static_cast<size_t>(expert.action)];
  }
  uint64_t of(ir::Action action) const { return actions[static_cast<size_t>(action)]; }
};
Tally g_tally;

/// Runs one trace through both engines; "" when they agree to the end.
template <class Engine>
std::string first_difference(const std::vector<test::RandomDispatch>& trace, const ir::ModelShape& shape,
                             ir::Interpreter& oracle, Engine& engine) {
  for (size_t d = 0; d < trace.size(); ++d) {
    const test::RandomDispatch& step = trace[d];
    for (const auto& hint : step.hints) {
      oracle.hint(hint.layer, hint.ids, hint.probabilities);
      engine.hint(hint.layer, hint.ids, hint.probabilities);
    }
    ir::DispatchInput input;
    input.layer = step.layer;
    input.num_tokens = step.num_tokens;
    input.top_k = shape.top_k;
    input.ids = step.ids;
    input.weights = step.weights;
    input.dropped = step.dropped;
    input.allow_padding = step.allow_padding;
    input.phase = step.phase;
    input.requests = step.requests;
    input.measured = step.measured;
    input.probabilities = step.probabilities;
    const std::optional<ir::Decision> expected = oracle.dispatch(input);
    const std::optional<ir::Decision> actual = engine.decide(input);
    if (expected != actual) {
      return fmt::format("dispatch {} of layer {}\n  interpreter: {}\n  kernel:      {}", d, step.layer,
                         describe(expected), describe(actual));
    }
    if (expected) g_tally.add(*expected);
    if (oracle.resident() != engine.resident()) return fmt::format("residents after dispatch {}", d);
  }
  return "";
}

/// Runs random traces through both engines.
template <class MakeEngine>
void check_traces(Dice& dice, const ir::BoundPolicy& policy, MakeEngine with_engine) {
  const uint64_t num_traces = environment("MOE_TEST_TRACES", 20);
  const uint64_t length = environment("MOE_TEST_DISPATCHES", 120);
  for (uint64_t t = 0; t < num_traces; ++t) {
    const std::vector<test::RandomDispatch> trace = test::random_trace(dice, policy.shape, length);
    ir::Interpreter oracle(policy);
    Result<replay::KernelEngine> engine = with_engine();
    REQUIRE(engine.ok());
    INFO("trace " << t);
    const std::string difference = first_difference(trace, policy.shape, oracle, *engine);
    REQUIRE(difference == "");
  }
}

template <class MakeEngine>
void check_policy(uint64_t seed, MakeEngine make_engine, bool with_expressions = false) {
  Dice dice(seed);
  ir::BoundPolicy policy = test::random_policy(dice);
  if (with_expressions) test::add_expressions(dice, policy);
  INFO("seed " << seed << "\n" << (with_expressions ? ir::print_json(policy) : test::to_source(policy)));
  REQUIRE(ir::verify(policy) == std::vector<std::string>{});
  check_traces(dice, policy, make_engine(policy));
}

auto jit_engine(const ir::BoundPolicy& policy) {
  auto compiled = codegen::jit(policy, {});
  REQUIRE_MESSAGE(compiled.ok(), (compiled.ok() ? "" : compiled.error().message));
  std::shared_ptr<codegen::JitPolicy> code = std::move(compiled).value();
  return [code] { return replay::KernelEngine::create(code->descriptor()); };
}

}  // namespace

TEST_CASE("the statically compiled kernels decide as the interpreter does") {
  const uint64_t policies = environment("MOE_TEST_POLICIES", 400);
  MESSAGE("seed " << run_seed() << ", " << policies << " policies");
  for (uint64_t i = 0; i < policies; ++i) {
    check_policy(run_seed() + i, [](const ir::BoundPolicy& policy) {
      const decision::Params params = codegen::make_params(policy);
      return [params] { return replay::KernelEngine::create_static(params); };
    });
  }
}

TEST_CASE("JIT-compiled policies decide as the interpreter does") {
  const uint64_t policies = environment("MOE_TEST_POLICIES", 300);
  MESSAGE("seed " << run_seed() << ", " << policies << " policies");
  for (uint64_t i = 0; i < policies; ++i) check_policy(run_seed() + 1'000'000 + i, jit_engine);
}

TEST_CASE("JIT-compiled expressions decide as interpreted ones do") {
  const uint64_t policies = environment("MOE_TEST_POLICIES", 80);
  MESSAGE("seed " << run_seed() << ", " << policies << " policies");
  for (uint64_t i = 0; i < policies; ++i) {
    check_policy(run_seed() + 3'000'000 + i, jit_engine, /*with_expressions=*/true);
  }
}

TEST_CASE("JIT-compiled policies whose rules change decide as interpreted ones do") {
  const uint64_t policies = environment("MOE_TEST_POLICIES", 60);
  MESSAGE("seed " << run_seed() << ", " << policies << " policies");
  uint64_t drawn = 0, done = 0;
  while (done < policies) {
    const uint64_t seed = run_seed() + 4'000'000 + drawn++;
    REQUIRE(drawn < 100 * policies);
    Dice dice(seed);
    const ir::BoundPolicy base = test::random_policy(dice);
    const ir::SourceFile source("random.moe", test::random_changing_source(dice, base));
    compiler::Target target;
    target.shape = base.shape;
    target.policy_name = "random";
    target.bind.seed = base.options.seed;
    ir::Diagnostics diagnostics;
    const std::optional<ir::BoundPolicy> policy = compiler::compile_to_bound(source, target, diagnostics);
    if (!policy) continue;  // values that do not go together
    INFO("seed " << seed << "\n" << std::string(source.text()));
    const std::vector<std::string> beyond = codegen::beyond_kernels(*policy);
    for (const std::string& part : beyond) REQUIRE(part.find("that changes under") != std::string::npos);
    if (!beyond.empty()) continue;
    check_traces(dice, *policy, jit_engine(*policy));
    ++done;
  }
  MESSAGE(drawn << " drawn; " << g_tally.moves << " moves between tiers, " << g_tally.copies << " copies, "
                << g_tally.raised << " of them raised, " << g_tally.of(ir::Action::degrade) << " degraded");
}

TEST_CASE("a random policy written as text binds to what it was made from") {
  const uint64_t policies = environment("MOE_TEST_POLICIES", 1000);
  for (uint64_t i = 0; i < policies; ++i) {
    Dice dice(run_seed() + 2'000'000 + i);
    const ir::BoundPolicy policy = test::random_policy(dice);
    const ir::SourceFile source("random.moe", test::to_source(policy));
    INFO("seed " << run_seed() << "\n" << std::string(source.text()));
    compiler::Target target;
    target.shape = policy.shape;
    target.bind.seed = policy.options.seed;
    ir::Diagnostics diagnostics;
    const std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(source, target, diagnostics);
    INFO(ir::render_text(source, diagnostics, false));
    REQUIRE(bound.has_value());
    CHECK(ir::print_json(*bound) == ir::print_json(policy));
  }
}
