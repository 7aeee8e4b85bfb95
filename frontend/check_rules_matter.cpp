// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frontend/check_adapt.h"
#include "frontend/condition_range.h"
#include "frontend/limits.h"
#include "frontend/text.h"
#include "ir/keys.h"

namespace moe::frontend {
namespace {

using Kind = ir::RuleAction::Kind;

// `hit_rate > 90` most likely means per cent.
std::string hint_for(const ir::Expr& condition) {
  for (const ir::ExprNode& node : condition.nodes) {
    if (num_operands(node.op) != 2 || node.op < ir::ExprOp::eq || node.op > ir::ExprOp::ge) continue;
    const ir::ExprNode* a = &condition.nodes[node.operand[0]];
    const ir::ExprNode* b = &condition.nodes[node.operand[1]];
    if (a->op == ir::ExprOp::constant) std::swap(a, b);
    if (a->op != ir::ExprOp::variable || b->op != ir::ExprOp::constant) continue;
    const ValueRange range = range_of(a->variable);
    if (b->number >= range.low && b->number <= range.high) continue;
    const bool per_cent = range.high == 1 && b->number > 1 && b->number <= 100;
    if (per_cent) return fmt::format("{} is 0 to 1: write `{}%`", quote(to_word(a->variable)), number_text(b->number));
    const std::string high = range.high < 1e300 ? fmt::format(" and at most {}", number_text(range.high)) : "";
    return fmt::format("{} is at least {}{}", quote(to_word(a->variable)), number_text(range.low), high);
  }
  return "compare it with a value that it can have";
}

class RuleChecker {
 public:
  RuleChecker(const ir::Policy& policy, ir::Diagnostics& diagnostics)
      : policy_(policy), rules_(policy.rules()), diagnostics_(diagnostics) {
    for (const ir::Band& band : policy.bands) count(band.overrides);
    for (const ir::PhaseRule& phase : policy.phases) count(phase.overrides);
    for (const ir::AdaptRule& rule : policy.adapt) count(rule.actions);
    if (policy.memory) {
      count(policy.memory->on_warn);
      count(policy.memory->on_shed);
    }
    in_force_.push_back(find_in_force(policy));
    for (const ir::Policy& other : policy.alternatives) in_force_.push_back(find_in_force(other));
  }

  void check() {
    for (const ir::AdaptRule& rule : policy_.adapt) {
      if (too_many(diagnostics_)) return;
      check_condition(rule);
      check_actions(rule.actions);
    }
    if (!policy_.memory) return;
    check_actions(policy_.memory->on_warn);
    check_actions(policy_.memory->on_shed);
  }

 private:
  void count(const std::vector<ir::Assignment>& overrides) {
    for (const ir::Assignment& assignment : overrides) ++num_setters_[static_cast<size_t>(assignment.key)];
  }
  void count(const std::vector<ir::RuleAction>& actions) {
    for (const ir::RuleAction& action : actions) {
      if (action.kind == Kind::assign) ++num_setters_[static_cast<size_t>(action.assignment.key)];
      if (action.kind == Kind::use) ++num_uses_;
    }
  }

  void check_condition(const ir::AdaptRule& rule) {
    if (rule.condition.is_constant()) return;  // said where it was read
    const Outcomes outcomes = outcomes_of(rule.condition);
    if (!outcomes.can_hold) {
      diagnostics_.warning("MOE2150", rule.condition.span(), "the condition can never hold", hint_for(rule.condition));
    } else if (!outcomes.can_fail) {
      diagnostics_.warning("MOE2115", rule.condition.span(), "the condition always holds", hint_for(rule.condition));
    }
  }

  void check_actions(const std::vector<ir::RuleAction>& actions) {
    check_changes(actions);
    for (const ir::RuleAction& action : actions) {
      if (action.span.is_default()) continue;  // a default that follows what the rule sets
      if (action.kind == Kind::assign) check_assignment(action);
      if (action.kind == Kind::rebalance && !policy_.per_layer) {
        diagnostics_.warning("MOE2159", action.span, "there is no `per_layer` whose slots could be shared out anew",
                             "add `per_layer { allocation = entropy }`, or remove the action");
      }
    }
  }

  // Rules that only set what holds anyway. Where others set the key too, it may be what brings the value back.
  void check_changes(const std::vector<ir::RuleAction>& actions) {
    const bool all = std::all_of(actions.begin(), actions.end(),
                                 [this](const ir::RuleAction& action) { return changes_nothing(action); });
    if (!all || actions.empty()) return;
    const bool one = actions.size() == 1 && actions[0].kind == Kind::assign;
    const std::string what =
        one ? quote(ir::info_of(actions[0].assignment.key).name) + " has this value" : "it is so already";
    diagnostics_.warning("MOE2151", actions[0].span, "the rule changes nothing: " + what,
                         "choose another value, or remove the rule");
  }

  bool changes_nothing(const ir::RuleAction& action) const {
    if (action.span.is_default()) return true;  // a default that follows what the rule sets
    if (action.kind == Kind::use) {
      return action.name == policy_.name.value && num_uses_ == 1 && policy_.choose.empty();
    }
    if (action.kind != Kind::assign || !policy_.alternatives.empty()) return false;
    const ir::Assignment& assignment = action.assignment;
    return num_setters_[static_cast<size_t>(assignment.key)] == 1 &&
           ir::get(rules_, assignment.key) == assignment.value;
  }

  void check_assignment(const ir::RuleAction& action) {
    const ir::Assignment& assignment = action.assignment;
    const std::string name = quote(ir::info_of(assignment.key).name);
    std::string_view reader;
    for (size_t i = 0; i < in_force_.size(); ++i) {
      const ir::Policy& policy = i == 0 ? policy_ : policy_.alternatives[i - 1];
      reader = missing_reader(assignment.key, in_force_[i], policy);
      if (reader.empty()) return;
    }
    diagnostics_.warning("MOE2022", action.span, fmt::format("nothing reads {}: it belongs to {}", name, quote(reader)),
                         fmt::format("remove it, or write {}", quote(reader)));
  }

  const ir::Policy& policy_;
  const ir::Rules rules_;
  ir::Diagnostics& diagnostics_;
  std::vector<InForce> in_force_;  ///< of the policy and its alternatives
  std::array<size_t, ir::kNumKeys> num_setters_{};
  size_t num_uses_ = 0;
};

}  // namespace

void check_rules_matter(const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  if (policy.adapt.empty() && !policy.memory) return;
  RuleChecker(policy, diagnostics).check();
}

}  // namespace moe::frontend
