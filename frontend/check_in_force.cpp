// SPDX-License-Identifier: Apache-2.0
// Rules about everything that can be in force in a policy, wherever it stands.
#include <fmt/format.h>

#include <set>

#include "frontend/in_force.h"
#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

constexpr size_t kMaxRates = 8;  // each needs a number per expert

class Checker {
 public:
  Checker(const ir::Policy& policy, bool replay, ir::Diagnostics& diagnostics)
      : policy_(policy), replay_(replay), diagnostics_(diagnostics) {}

  void check(const InForce& in_force) {
    for (const auto& eviction : in_force.evictions) check_future(*eviction.value, eviction.span);
    for (const auto& strategy : in_force.strategies) {
      if (strategy.value->has(ir::Strategy::learned)) need_learn("strategy = learned", strategy.span);
    }
    for (const ir::Expr* expr : in_force.exprs) {
      if (too_many(diagnostics_)) return;
      for (const ir::ExprNode& node : expr->nodes) check_node(node);
    }
  }

 private:
  // False: this place has been reported; a let stands in several expressions.
  bool is_new(std::string_view code, ir::SourceSpan span) { return said_.emplace(code, span.begin).second; }

  void check_future(const ir::EvictionRule& rule, ir::SourceSpan span) {
    if (replay_ || rule.kind != ir::Eviction::belady || !is_new("MOE2131", span)) return;
    diagnostics_.error("MOE2131", span, "`belady` needs to know the future, which only `moec replay` does",
                       "choose another rule, or replay a recorded trace");
  }

  void need_learn(std::string_view what, ir::SourceSpan span) {
    if (policy_.learn || !is_new("MOE2135", span)) return;
    diagnostics_.error("MOE2135", span, fmt::format("{} needs a `learn` block", quote(what)),
                       "add `learn { window = 24 }`");
  }

  void check_node(const ir::ExprNode& node) {
    if (node.op == ir::ExprOp::variable && node.variable == ir::Variable::value) need_learn("value", node.span);
    if (node.op == ir::ExprOp::variable && node.variable == ir::Variable::next_use && !replay_ &&
        is_new("MOE2131", node.span)) {
      diagnostics_.error("MOE2131", node.span, "`next_use` is the future, which only `moec replay` knows",
                         "use `idle` or `recency`, or replay a recorded trace");
    }
    if (node.op != ir::ExprOp::use_rate && node.op != ir::ExprOp::weight_rate) return;
    if (!rates_.emplace(node.op, node.window, node.largest).second || rates_.size() != kMaxRates + 1) return;
    diagnostics_.error("MOE2138", node.span,
                       fmt::format("the policy uses more than {} different rates of experts", kMaxRates),
                       "use one of the windows that are used already");
  }

  const ir::Policy& policy_;
  bool replay_;
  ir::Diagnostics& diagnostics_;
  std::set<std::pair<std::string_view, uint32_t>> said_;
  std::set<std::tuple<ir::ExprOp, uint32_t, uint32_t>> rates_;
};

}  // namespace

void check_in_force(const ir::Policy& policy, bool replay, ir::Diagnostics& diagnostics) {
  Checker(policy, replay, diagnostics).check(find_in_force(policy));
}

void check_consent(const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  const auto check = [&](const ir::Expr& drop, ir::SourceSpan span, bool approximate) {
    if (drop.empty() || approximate) return;
    diagnostics.error("MOE2110", span, "`drop` changes the model's output",
                      "write `approximate = true` in `schedule` to allow it");
  };
  const auto check_overrides = [&](const std::vector<ir::Assignment>& overrides) {
    bool approximate = policy.schedule.approximate.value;
    for (const ir::Assignment& assignment : overrides) {
      if (assignment.key == ir::Key::approximate) approximate = std::get<bool>(assignment.value);
    }
    for (const ir::Assignment& assignment : overrides) {
      if (assignment.key == ir::Key::drop) check(std::get<ir::Expr>(assignment.value), assignment.span, approximate);
    }
  };
  check(policy.schedule.drop.value, policy.schedule.drop.span, policy.schedule.approximate.value);
  for (const ir::Band& band : policy.bands) check_overrides(band.overrides);
  for (const ir::PhaseRule& phase : policy.phases) check_overrides(phase.overrides);
  const auto check_actions = [&](const std::vector<ir::RuleAction>& actions) {
    for (const ir::RuleAction& action : actions) {
      if (action.kind == ir::RuleAction::Kind::assign) check_overrides({action.assignment});
    }
  };
  for (const ir::AdaptRule& rule : policy.adapt) check_actions(rule.actions);
  if (!policy.memory) return;
  check_actions(policy.memory->on_warn);
  check_actions(policy.memory->on_shed);
}

}  // namespace moe::frontend
