// SPDX-License-Identifier: Apache-2.0
// One case of the differential tests, complete as text: policies of one shape, and what happens to them step by step.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/bind.h"
#include "tests/decision/random_policy.h"

namespace moe::test {

/// A policy called `random` in a source of its own.
struct PolicyCase {
  std::string source;
  uint64_t seed = 1;
  std::shared_ptr<const ir::Profile> profile;  ///< or null
};

/// A dispatch, or, before it, a swap.
struct Step {
  std::optional<uint32_t> swap_to;  ///< the policy that takes over, by its place in the case
  RandomDispatch dispatch;          ///< otherwise
};

struct Case {
  ir::ModelShape shape;
  std::vector<PolicyCase> policies;  ///< the first one is in force at the start
  std::vector<Step> steps;
};

/// The policy bound to the case's shape; nullopt when the text does not hold.
std::optional<ir::BoundPolicy> bind_policy(const PolicyCase& policy, const ir::ModelShape& shape);

/// JSON, the steps one a line; parses back equal to the bit.
std::string print_case(const Case& of);
/// nullopt: not such a text.
std::optional<Case> parse_case(std::string_view text);

}  // namespace moe::test
