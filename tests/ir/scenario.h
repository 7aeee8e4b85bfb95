// SPDX-License-Identifier: Apache-2.0
// Hand-worked examples for the interpreter, as tables: what is dispatched, and in words what must be decided.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "ir/interpreter.h"

namespace moe::ir::test {

using Tokens = std::vector<std::vector<int32_t>>;

/// One dispatch of a scenario. `expected` is show()'s text.
struct Row {
  uint32_t layer;
  Tokens tokens;  ///< ids token by token, all of one length
  std::string expected;
  std::vector<float> weights{};
  std::vector<uint32_t> dropped{};
};

/// "load 3, hit 7, -0:5, +1:2": accesses in order, then what left (layer:expert), then what is prefetched.
inline std::string show(const Decision& decision, uint32_t num_experts) {
  std::vector<std::string> words;
  for (const ExpertDecision& expert : decision.experts) {
    words.push_back(fmt::format("{} {}", to_word(expert.action), expert.expert));
  }
  for (uint32_t key : decision.evicted) words.push_back(fmt::format("-{}:{}", key / num_experts, key % num_experts));
  for (uint32_t key : decision.prefetched) words.push_back(fmt::format("+{}:{}", key / num_experts, key % num_experts));
  return fmt::format("{}", fmt::join(words, ", "));
}

/// Dispatches `row`; nullopt as the interpreter says.
inline std::optional<Decision> dispatch(Interpreter& interpreter, const Row& row) {
  std::vector<int32_t> ids;
  for (const auto& token : row.tokens) ids.insert(ids.end(), token.begin(), token.end());
  DispatchInput input;
  input.layer = row.layer;
  input.num_tokens = static_cast<uint32_t>(row.tokens.size());
  input.top_k = row.tokens.empty() ? 1 : static_cast<uint32_t>(row.tokens.front().size());
  input.ids = ids;
  input.weights = row.weights;
  input.dropped = row.dropped;
  input.allow_padding = true;
  return interpreter.dispatch(input);
}

inline void run(Interpreter& interpreter, uint32_t num_experts, const std::vector<Row>& rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    const std::optional<Decision> decision = dispatch(interpreter, rows[i]);
    REQUIRE(decision);
    CHECK(show(*decision, num_experts) == rows[i].expected);
  }
}

inline void run(const BoundPolicy& policy, const std::vector<Row>& rows) {
  REQUIRE(verify(policy).empty());
  Interpreter interpreter(policy);
  run(interpreter, policy.shape.num_experts, rows);
}

/// One layer of 8 experts.
inline BoundPolicy one_layer(Eviction eviction, uint32_t capacity) {
  BoundPolicy policy;
  policy.name = "one_layer";
  policy.shape = {1, 8, 2, 0};
  policy.eviction = eviction;
  policy.capacity = capacity;
  return policy;
}

/// `num_layers` layers of 8 experts under one cache.
inline BoundPolicy several_layers(uint32_t num_layers, uint32_t capacity, Strategy strategy = Strategy::none) {
  BoundPolicy policy = one_layer(Eviction::lru, capacity);
  policy.name = "several_layers";
  policy.shape.num_layers = num_layers;
  policy.strategy = strategy;
  return policy;
}

}  // namespace moe::ir::test
