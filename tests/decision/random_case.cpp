// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/random_case.h"

#include <algorithm>

#include "codegen/native.h"
#include "tests/decision/random_changes.h"

namespace moe::test {
namespace {

enum class Kind { plain, with_expressions, with_changes };

/// What costs most to compile is drawn least.
Kind random_kind(Dice& dice) {
  const uint32_t n = dice.below(20);
  if (n < 3) return Kind::with_changes;
  return n < 8 ? Kind::with_expressions : Kind::plain;
}

/// Not every text holds: values may not go together.
PolicyCase random_text(Dice& dice, const ir::ModelShape& shape, Kind kind) {
  ir::BoundPolicy policy = random_policy(dice, shape);
  PolicyCase text;
  if (kind == Kind::with_expressions) add_expressions(dice, policy);
  text.source = kind == Kind::with_changes ? random_changing_source(dice, policy) : to_source(policy);
  text.seed = policy.options.seed;
  text.profile = policy.options.profile;
  return text;
}

/// Native code for all but rules that cannot change together.
bool has_kernels(const ir::BoundPolicy& policy, std::string& error) {
  const std::vector<std::string> beyond = codegen::beyond_kernels(policy);
  for (const std::string& part : beyond) {
    if (part.find("that changes under") == std::string::npos) error = "no kernel has " + part;
  }
  return beyond.empty();
}

}  // namespace

Group random_group(Dice& dice, uint32_t most, const ir::ModelShape& shape) {
  Group group;
  group.shape = shape.num_layers != 0 ? shape : random_shape(dice);
  for (uint32_t left = dice.between(1, most); left > 0 && group.error.empty(); --left) {
    const Kind kind = random_kind(dice);
    PolicyCase text;
    std::optional<ir::BoundPolicy> policy;
    do {
      text = random_text(dice, group.shape, kind);
      policy = bind_policy(text, group.shape);
    } while (!policy || (!has_kernels(*policy, group.error) && group.error.empty()));
    group.texts.push_back(text);
    group.policies.push_back(Contender::compile(std::move(*policy), group.error));
  }
  return group;
}

void rotate(Group& group) {
  std::rotate(group.texts.begin(), group.texts.begin() + 1, group.texts.end());
  std::rotate(group.policies.begin(), group.policies.begin() + 1, group.policies.end());
}

std::vector<Step> with_swaps(Dice& dice, std::vector<RandomDispatch> dispatches, size_t num_policies) {
  std::vector<Step> steps;
  for (RandomDispatch& dispatch : dispatches) steps.push_back({std::nullopt, std::move(dispatch)});
  for (uint32_t i = dice.below(4); i > 0; --i) {
    Step swap;
    swap.swap_to = dice.below(static_cast<uint32_t>(num_policies));
    steps.insert(steps.begin() + dice.below(static_cast<uint32_t>(steps.size()) + 1), swap);
  }
  return steps;
}

std::vector<Step> random_steps(Dice& dice, const ir::ModelShape& shape, size_t length, size_t num_policies) {
  return with_swaps(dice, random_trace(dice, shape, length), num_policies);
}

}  // namespace moe::test
