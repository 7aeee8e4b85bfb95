// SPDX-License-Identifier: Apache-2.0
#include "ir/visit.h"

#include "ir/keys.h"

namespace moe::ir {
namespace {

void visit_one(const Expr& expr, const ExprVisitor& visit) {
  if (!expr.empty()) visit(expr);
}

void visit_actions(const std::vector<RuleAction>& actions, const ExprVisitor& visit) {
  for (const RuleAction& action : actions) {
    if (action.kind == RuleAction::Kind::assign) visit_exprs(action.assignment, visit);
  }
}

void visit_values(const std::vector<Assignment>& overrides, Key key, const ValueVisitor& visit) {
  for (const Assignment& assignment : overrides) {
    if (assignment.key == key) visit(assignment.value);
  }
}

void visit_values(const std::vector<RuleAction>& actions, Key key, const ValueVisitor& visit) {
  for (const RuleAction& action : actions) {
    const bool assigns = action.kind == RuleAction::Kind::assign && action.assignment.key == key;
    if (assigns) visit(action.assignment.value);
  }
}

void visit_tiers(const TiersRule& tiers, const ExprVisitor& visit) {
  for (const Move& move : tiers.moves) visit_one(move.condition, visit);
  if (tiers.eviction) visit_exprs(tiers.eviction->value, visit);
  if (tiers.precision) visit_one(tiers.precision->value.by, visit);
}

}  // namespace

void visit_exprs(const EvictionRule& rule, const ExprVisitor& visit) {
  visit_one(rule.value, visit);
  for (const EvictionRule& segment : rule.segments) visit_one(segment.value, visit);
}

void visit_exprs(const BoundRules& rules, const ExprVisitor& visit) {
  visit_exprs(rules.eviction, visit);
  visit_one(rules.admit.condition, visit);
  visit_one(rules.prefetch_when, visit);
  visit_one(rules.prefetch_admit.condition, visit);
  if (rules.prefetch_evict) visit_exprs(*rules.prefetch_evict, visit);
  for (const Arm& arm : rules.arms) visit_one(arm.condition, visit);
  visit_one(rules.strategy.value, visit);
  for (const Expr* expr :
       {&rules.order, &rules.drop, &rules.gpu_time, &rules.cpu_time, &rules.cpu_setup, &rules.load_time}) {
    visit_one(*expr, visit);
  }
}

void visit_exprs(const Assignment& assignment, const ExprVisitor& visit) {
  if (const auto* eviction = std::get_if<EvictionRule>(&assignment.value)) visit_exprs(*eviction, visit);
  if (const auto* admit = std::get_if<AdmitRule>(&assignment.value)) visit_one(admit->condition, visit);
  if (const auto* chain = std::get_if<StrategyChain>(&assignment.value)) visit_one(chain->value, visit);
  if (const auto* expr = std::get_if<Expr>(&assignment.value)) visit_one(*expr, visit);
  if (const auto* arms = std::get_if<std::vector<Arm>>(&assignment.value)) {
    for (const Arm& arm : *arms) visit_one(arm.condition, visit);
  }
}

void visit_exprs(const Policy& policy, const ExprVisitor& visit) {
  const Rules rules = policy.rules();
  for (size_t k = 0; k < kNumKeys; ++k) {
    const Key key = static_cast<Key>(k);
    visit_exprs(Assignment{key, get(rules, key), {}}, visit);
  }
  if (policy.tiers) visit_tiers(*policy.tiers, visit);
  if (policy.memory) {
    visit_actions(policy.memory->on_warn, visit);
    visit_actions(policy.memory->on_shed, visit);
  }
  for (const Band& band : policy.bands) {
    for (const Assignment& assignment : band.overrides) visit_exprs(assignment, visit);
    if (band.tiers) visit_tiers(*band.tiers, visit);
  }
  for (const PhaseRule& phase : policy.phases) {
    for (const Assignment& assignment : phase.overrides) visit_exprs(assignment, visit);
  }
  for (const AdaptRule& rule : policy.adapt) {
    visit_one(rule.condition, visit);
    visit_actions(rule.actions, visit);
  }
  for (const Choose& choose : policy.choose) visit_one(choose.reward, visit);
  for (const Policy& other : policy.alternatives) visit_exprs(other, visit);
}

void visit_values(const Policy& policy, Key key, const ValueVisitor& visit) {
  visit(get(policy.rules(), key));
  for (const Band& band : policy.bands) visit_values(band.overrides, key, visit);
  for (const PhaseRule& phase : policy.phases) visit_values(phase.overrides, key, visit);
  for (const AdaptRule& rule : policy.adapt) visit_values(rule.actions, key, visit);
  if (!policy.memory) return;
  visit_values(policy.memory->on_warn, key, visit);
  visit_values(policy.memory->on_shed, key, visit);
}

}  // namespace moe::ir
