// SPDX-License-Identifier: Apache-2.0
// The shrinker on failures that are known: what is left is what they need, and nothing else.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <thread>

#include "ir/print_value.h"
#include "tests/decision/shrink.h"

namespace {

using namespace moe;
using test::Case;

/// Three random policies of one shape, and a trace with swaps between them.
Case random_case(uint64_t seed) {
  test::Dice dice(seed);
  Case of;
  of.shape = {4, 16, 2, 0};
  while (of.policies.size() < 3) {
    ir::BoundPolicy policy = test::random_policy(dice, of.shape);
    policy.ttl = 7;
    policy.capacity = std::max(policy.capacity, 2u);
    const test::PolicyCase text{test::to_source(policy), policy.options.seed, nullptr};
    if (test::bind_policy(text, of.shape)) of.policies.push_back(text);
  }
  for (test::RandomDispatch& dispatch : test::random_trace(dice, of.shape, 60)) {
    of.steps.push_back({std::nullopt, std::move(dispatch)});
  }
  for (const uint32_t at : {10u, 25u, 40u}) {
    test::Step swap;
    swap.swap_to = at % 3;
    of.steps.insert(of.steps.begin() + at, swap);
  }
  return of;
}

bool selects(const test::Step& step, uint32_t layer, int32_t expert) {
  const std::vector<int32_t>& ids = step.dispatch.ids;
  return !step.swap_to && step.dispatch.layer == layer && std::find(ids.begin(), ids.end(), expert) != ids.end();
}

/// Fails as a wrong `ttl` might: a policy that has one decides expert 3 of layer 1, and later, after a swap, expert 5.
bool fails_by_ttl(const Case& of) {
  for (const test::PolicyCase& policy : of.policies) {
    if (!test::bind_policy(policy, of.shape)) return false;
  }
  if (test::bind_policy(of.policies[0], of.shape)->ttl != 7) return false;
  bool used = false, swapped = false;
  for (const test::Step& step : of.steps) {
    used |= selects(step, 1, 3);
    swapped |= used && step.swap_to.has_value();
    if (swapped && selects(step, 1, 5)) return true;
  }
  return false;
}

Case failing_case(test::Fails fails) {
  for (uint64_t seed = 1;; ++seed) {
    REQUIRE(seed < 1000);
    Case of = random_case(seed);
    if (fails(of)) return of;
  }
}

}  // namespace

TEST_CASE("what a failure does not need goes") {
  const Case smallest = shrink(failing_case(fails_by_ttl), fails_by_ttl);
  CHECK(fails_by_ttl(smallest));
  // Used, swapped, used again: one token with one expert each, in the second layer of two; six experts.
  REQUIRE(smallest.steps.size() == 3);
  CHECK(smallest.steps[0].dispatch.ids == std::vector<int32_t>{3});
  CHECK(smallest.steps[1].swap_to == 0u);
  CHECK(smallest.steps[2].dispatch.ids == std::vector<int32_t>{5});
  CHECK(smallest.shape.num_layers == 2);
  CHECK(smallest.shape.num_experts == 6);
  CHECK(smallest.shape.top_k == 1);
  for (const test::Step& step : smallest.steps) {
    CHECK(step.dispatch.hints.empty());
    CHECK(step.dispatch.weights.empty());
    CHECK(step.dispatch.probabilities.empty());
  }
  // One policy, of which the value is left and what a policy cannot be without.
  REQUIRE(smallest.policies.size() == 1);
  const std::string& source = smallest.policies[0].source;
  CHECK_MESSAGE(source.find("ttl = 7") != std::string::npos, source);
  CHECK_MESSAGE(std::count(source.begin(), source.end(), '=') <= 2, source);
  CHECK_MESSAGE(source.find("prefetch") == std::string::npos, source);
}

TEST_CASE("no single thing more can go") {
  const auto fails = [](const Case& of) {  // by the number of dispatches, and by two statements at once
    const auto policy = test::bind_policy(of.policies[0], of.shape);
    return policy && policy->ttl == 7 && policy->protect_selected == false && of.steps.size() >= 5;
  };
  const Case smallest = shrink(failing_case(fails), fails);
  CHECK(smallest.steps.size() == 5);
  const test::Statements statements = test::statements_of(smallest.policies[0].source);
  REQUIRE(statements.spans.size() > 2);
  for (size_t i = 0; i < statements.spans.size(); ++i) {
    Case without = smallest;
    without.policies[0].source = statements.without(i);
    CHECK_FALSE(fails(without));
  }
}

TEST_CASE("a case that needs all it has stays, and one that fails whatever is in it becomes nearly nothing") {
  const Case whole = random_case(1);
  const std::string text = test::print_case(whole);
  CHECK(test::print_case(shrink(whole, [&](const Case& of) { return test::print_case(of) == text; })) == text);
  const Case nothing = shrink(whole, [](const Case& of) { return !of.policies.empty(); });
  CHECK(nothing.steps.empty());
  CHECK(nothing.policies.size() == 1);
  CHECK(nothing.shape.num_layers * nothing.shape.num_experts == 1);
}

TEST_CASE("shrinking ends in time") {
  const auto slow = [](const Case& of) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return of.steps.size() > 3;
  };
  const auto begin = std::chrono::steady_clock::now();
  const Case smallest = shrink(random_case(2), slow, {std::chrono::milliseconds(100)});
  CHECK(slow(smallest));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("statements are what a policy's text is made of") {
  const std::string source =
      "policy random {\n  cache { capacity = 4 eviction = lru }\n  adapt {\n    when hit_rate < 0.5 for 3 dispatches "
      "{\n"
      "      budget = 2\n      eviction = lfu\n    } revert\n  }\n}\n";
  const test::Statements all = test::statements_of(source);
  std::vector<std::string> without;
  for (size_t i = 0; i < all.spans.size(); ++i) without.push_back(all.without(i));
  const auto is_left = [&](const std::string& text) { return std::count(without.begin(), without.end(), text) == 1; };
  CHECK(is_left(""));
  CHECK(is_left(
      "policy random {\n  adapt {\n    when hit_rate < 0.5 for 3 dispatches {\n      budget = 2\n      eviction "
      "= lfu\n    } revert\n  }\n}\n"));
  CHECK(
      is_left("policy random {\n  cache {\n    capacity = 4\n  }\n  adapt {\n    when hit_rate < 0.5 for 3 dispatches "
              "{\n      budget = 2\n      eviction = lfu\n    } revert\n  }\n}\n"));
  CHECK(is_left("policy random {\n  cache {\n    capacity = 4\n    eviction = lru\n  }\n}\n"));
}

TEST_CASE("over a smaller shape only what is still there remains") {
  Case of;
  of.shape = {2, 4, 2, 0};
  const auto add = [&of](uint32_t layer, std::vector<int32_t> ids) {
    test::Step step;
    step.dispatch.layer = layer;
    step.dispatch.ids = std::move(ids);
    step.dispatch.weights = {0.5f, 0.25f};
    step.dispatch.probabilities = {0.1f, 0.2f, 0.3f, 0.4f};
    step.dispatch.dropped = {2, 5, 7};  // 0:2, 1:1, 1:3
    step.dispatch.hints.push_back({1, {0, 3}, {0.5f, 0.5f}});
    of.steps.push_back(step);
  };
  add(0, {0, 1});
  add(0, {3, 1});
  add(1, {1, 2});
  const Case fewer = test::with_shape(of, {2, 3, 2, 0});
  REQUIRE(fewer.steps.size() == 2);
  CHECK(fewer.steps[0].dispatch.probabilities == std::vector<float>{0.1f, 0.2f, 0.3f});
  CHECK(fewer.steps[0].dispatch.dropped == std::vector<uint32_t>{2, 4});  // 0:2, 1:1
  CHECK(fewer.steps[0].dispatch.hints[0].ids == std::vector<uint32_t>{0});
  CHECK(test::with_shape(of, {1, 4, 2, 0}).steps.size() == 2);
  CHECK(test::with_shape(of, {2, 4, 1, 0}).steps[2].dispatch.ids == std::vector<int32_t>{1});
  of.steps[0].dispatch.ids = {0, 1, 2, 3};
  of.steps[0].dispatch.num_tokens = 2;
  of.steps[0].dispatch.requests = {7, 8};
  const Case single = test::with_single_selections(of);
  CHECK(single.steps[0].dispatch.ids == std::vector<int32_t>{0, 1, 2, 3});
  CHECK(single.steps[0].dispatch.num_tokens == 4);
  CHECK(single.steps[0].dispatch.requests == std::vector<uint32_t>{7, 7, 8, 8});
  CHECK(single.steps[1].dispatch.probabilities == std::vector<float>{0.1f, 0.2f, 0.3f, 0.4f, 0.1f, 0.2f, 0.3f, 0.4f});
}

TEST_CASE("a case printed reads back to the bit") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Case of = random_case(seed);
    const std::string text = test::print_case(of);
    const std::optional<Case> back = test::parse_case(text);
    REQUIRE(back.has_value());
    CHECK(test::print_case(*back) == text);
    REQUIRE(back->steps.size() == of.steps.size());
    for (size_t i = 0; i < of.steps.size(); ++i) {
      const std::vector<float>& a = of.steps[i].dispatch.weights;
      const std::vector<float>& b = back->steps[i].dispatch.weights;
      REQUIRE(a.size() == b.size());
      for (size_t j = 0; j < a.size(); ++j) {
        CHECK((a[j] != a[j] ? b[j] != b[j] : std::bit_cast<uint32_t>(a[j]) == std::bit_cast<uint32_t>(b[j])));
      }
      CHECK(back->steps[i].dispatch.ids == of.steps[i].dispatch.ids);
      CHECK(back->steps[i].swap_to == of.steps[i].swap_to);
    }
  }
  CHECK_FALSE(test::parse_case("{}").has_value());
  CHECK_FALSE(test::parse_case("no JSON").has_value());
}
