// SPDX-License-Identifier: Apache-2.0
// Every engine decides alike: the interpreter (written from docs/semantics.md), the statically compiled kernels and the
// JIT, on seeded random policies and traces, random and recorded, with swaps at random moments.
//
//   MOE_TEST_SEED        what is drawn; printed, and by default another one each time
//   MOE_TEST_POLICIES    compiled policies; a tenth of them runs on recorded traces
//   MOE_TEST_TRACES      of each policy
//   MOE_TEST_DISPATCHES  of a random trace
//   MOE_TEST_EVICTION    one eviction rule only
//   MOE_TEST_SHRINK_SECONDS  how long a failing case is made smaller; 60
//   MOE_TEST_CASE        a file with a case that a failed run printed: only that is run
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "codegen/native.h"
#include "compiler/driver.h"
#include "tests/decision/random_case.h"
#include "tests/decision/recorded_trace.h"
#include "tests/decision/shrink.h"

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

uint64_t all_policies() { return environment("MOE_TEST_POLICIES", 200); }

/// Compiles the policies of cases, each text once.
class Bench {
 public:
  /// "" where the case's policies do not bind or compile.
  std::string difference(const test::Case& of) {
    test::Contenders policies;
    for (const test::PolicyCase& policy : of.policies) {
      std::shared_ptr<const test::Contender> made = compiled(policy, of.shape);
      if (made == nullptr) return "";
      policies.push_back(std::move(made));
    }
    test::Tally tally;
    return test::first_difference(policies, of.steps, tally);
  }

 private:
  std::shared_ptr<const test::Contender> compiled(const test::PolicyCase& policy, const ir::ModelShape& shape) {
    const std::string name = fmt::format("{} {} {} {} {}\n{}", shape.num_layers, shape.num_experts, shape.top_k,
                                         policy.seed, fmt::ptr(policy.profile.get()), policy.source);
    const auto known = made_.find(name);
    if (known != made_.end()) return known->second;
    std::optional<ir::BoundPolicy> bound = test::bind_policy(policy, shape);
    std::string error;
    std::shared_ptr<const test::Contender> made;
    if (bound && codegen::beyond_kernels(*bound).empty()) made = test::Contender::compile(std::move(*bound), error);
    return made_[name] = made;
  }
  std::map<std::string, std::shared_ptr<const test::Contender>> made_;
};

/// What there is to say of a case that fails: its smallest form, to be run again with MOE_TEST_CASE.
std::string report(test::Case failing) {
  Bench bench;
  const test::ShrinkLimits limits{std::chrono::seconds(environment("MOE_TEST_SHRINK_SECONDS", 60))};
  const test::Case smallest =
      test::shrink(std::move(failing), [&](const test::Case& of) { return !bench.difference(of).empty(); }, limits);
  std::string text = bench.difference(smallest) + "\n";
  for (const test::PolicyCase& policy : smallest.policies) text += policy.source;
  return text + "as a file for MOE_TEST_CASE:\n" + test::print_case(smallest);
}

/// Runs a group's traces, each policy in turn the first; `draw` makes one.
template <class Draw>
void check_group(test::Group& group, uint64_t traces, test::Tally& tally, Draw draw) {
  REQUIRE(group.error == "");
  tally.add(group.policies);
  for (size_t first = 0; first < group.policies.size(); ++first, rotate(group)) {
    for (uint64_t t = 0; t < traces; ++t) {
      const std::vector<test::Step> steps = draw();
      const std::string difference = test::first_difference(group.policies, steps, tally);
      if (difference.empty()) continue;
      FAIL(difference << "\nmade small: " << report({group.shape, group.texts, steps}));
    }
  }
}

void check_random(uint64_t seed, uint64_t policies) {
  const uint64_t traces = environment("MOE_TEST_TRACES", 50);
  const uint64_t length = environment("MOE_TEST_DISPATCHES", 40);
  MESSAGE("seed " << seed << ", " << policies << " policies, " << traces << " traces of each");
  test::Tally tally;
  uint64_t done = 0;
  for (uint64_t i = 0; done < policies; ++i) {
    Dice dice(seed + i);
    const auto most = static_cast<uint32_t>(std::min<uint64_t>(4, policies - done));
    test::Group group = test::random_group(dice, most, {});
    INFO("group of seed " << seed + i);
    check_group(group, traces, tally,
                [&] { return test::random_steps(dice, group.shape, length, group.policies.size()); });
    done += group.policies.size();
  }
  MESSAGE(tally.text());
}

void check_recorded(const test::RecordedTrace& trace, uint64_t seed, uint64_t policies, uint64_t traces) {
  MESSAGE("seed " << seed << ", " << policies << " policies, " << traces << " slices of a recorded trace of each");
  test::Tally tally;
  uint64_t done = 0;
  for (uint64_t i = 0; done < policies; ++i) {
    Dice dice(seed + i);
    const auto most = static_cast<uint32_t>(std::min<uint64_t>(2, policies - done));
    test::Group group = test::random_group(dice, most, trace.shape());
    INFO("group of seed " << seed + i);
    check_group(group, traces, tally,
                [&] { return test::with_swaps(dice, trace.slice(dice, 4), group.policies.size()); });
    done += group.policies.size();
  }
  MESSAGE(tally.text());
}

}  // namespace

TEST_CASE("engines agree on random policies, traces and swaps") {
  check_random(run_seed(), all_policies() - all_policies() / 10);
}

TEST_CASE("engines agree on random policies and recorded traces") {
  const std::optional<test::RecordedTrace> trace = test::RecordedTrace::load("tests/data/decisions/trace.moet.zst");
  REQUIRE(trace.has_value());
  check_recorded(*trace, run_seed() + 5'000'000, all_policies() / 10, environment("MOE_TEST_TRACES", 50));
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

TEST_CASE("a case given as text") {
  const char* const path = std::getenv("MOE_TEST_CASE");
  if (path == nullptr) return;
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  const std::optional<test::Case> of = test::parse_case(text.str());
  REQUIRE(of.has_value());
  for (const test::PolicyCase& policy : of->policies) REQUIRE(test::bind_policy(policy, of->shape).has_value());
  CHECK(Bench().difference(*of) == "");
}
