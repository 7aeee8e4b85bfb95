// SPDX-License-Identifier: Apache-2.0
// adapt, choose and memory: rules as data of the IR.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/eval.h"
#include "frontend/link.h"
#include "ir/policy.h"

namespace moe::frontend {

/// What `use` and `choose` name, where, in order of text.
struct UsedPolicy {
  size_t policy = 0;  ///< of Linked::policies
  ir::SourceSpan span;
};

/// What lowering of rules needs and finds.
struct RuleContext {
  const CheckContext& context;
  const Linked& linked;
  std::vector<UsedPolicy>& used;
  bool approximate = false;  ///< the policy consents to actions that change the output
};

/// The actions between the braces of a rule, an `on warn` or an `on shed`. Mistakes are reported; what is wrong is left
/// out.
std::vector<ir::RuleAction> lower_actions(const RuleContext& rules, const std::vector<ast::Item>& items);

/// The arms of `on miss { ... }`. Mistakes are reported; what is wrong is left out.
std::vector<ir::Arm> lower_arms(const CheckContext& context, const ast::Block& on_miss, bool approximate);

/// Appends the block's rules and choices to `out`.
void lower_adapt(const RuleContext& rules, const ast::Block& block, ir::Policy& out);

/// memory { ... }
ir::MemoryRule lower_memory(const RuleContext& rules, const ast::Block& block);

/// A whole constant number of at least `least`; reports what is not, as the number of `what`.
std::optional<double> check_count(const CheckContext& context, ast::ExprId id, double least, std::string_view what);

}  // namespace moe::frontend
