// SPDX-License-Identifier: Apache-2.0
#include "codegen/sites.h"

#include <algorithm>

namespace moe::codegen {
namespace {

using ir::ExprOp;
using ir::Variable;

// What the kernels keep, or can work out; the others need metrics or the future.
bool is_known(Variable v) {
  switch (v) {
    case Variable::next_use:
      return false;
    case Variable::phase:
    case Variable::batch:
    case Variable::capacity:
    case Variable::num_experts:
    case Variable::num_layers:
    case Variable::top_k:
      return true;
    default:
      return ir::is_of_expert(v);
  }
}

bool is_known(ExprOp op) { return op < ExprOp::avg_over || op >= ExprOp::use_rate; }

template <class Visit>
void visit_nodes(const ir::BoundPolicy& policy, Visit visit) {
  for (const SiteExpr& site : sites_of(policy)) {
    for (const ir::ExprNode& node : site.expr->nodes) visit(site.site, node);
  }
}

uint32_t keeps_for(uint32_t site, const ir::ExprNode& node, const ir::BoundPolicy& policy) {
  if (node.op != ExprOp::variable) return 0;
  const bool has_strategy = !policy.strategy.is_none();  // without one nothing is predicted
  switch (node.variable) {
    case Variable::freq:
      return decision::kKeepsFreq;
    case Variable::age:
      return decision::kKeepsLoadedAt;
    case Variable::recency:  // residents have their last use anyway
      if (site == decision::kSiteLeast || node.of_victim) return 0;
      return decision::kKeepsLastAccess;
    case Variable::seen:
      return decision::kKeepsSeen;
    case Variable::idle:
      return decision::kKeepsIdle;
    case Variable::request_uses:
      return decision::kKeepsRequestUses;
    case Variable::load_ms:
      return decision::kCountsLoads;
    case Variable::value:
      return policy.learn ? decision::kKeepsValue : 0u;
    case Variable::predicted:
      return has_strategy ? decision::kKeepsPredicted : 0u;
    case Variable::foretold:
      return has_strategy ? decision::kKeepsForetold : 0u;
    default:
      return 0;
  }
}

}  // namespace

std::vector<SiteExpr> sites_of(const ir::BoundPolicy& policy) {
  std::vector<SiteExpr> sites;
  const auto add = [&](uint32_t site, const ir::Expr& expr) {
    if (!expr.empty()) sites.push_back({site, &expr});
  };
  if (policy.eviction == ir::Eviction::least) add(decision::kSiteLeast, policy.eviction.value);
  if (policy.admit == ir::Admit::when) add(decision::kSiteAdmit, policy.admit.condition);
  add(decision::kSiteWhen, policy.prefetch_when);
  if (policy.prefetch_admit == ir::Admit::when) add(decision::kSitePrefetchAdmit, policy.prefetch_admit.condition);
  add(decision::kSiteOrder, policy.order);
  if (policy.strategy.has(ir::Strategy::most)) add(decision::kSiteMost, policy.strategy.value);
  for (size_t i = 0; i < policy.arms.size(); ++i) {
    add(decision::kFirstArm + static_cast<uint32_t>(i), policy.arms[i].condition);
  }
  return sites;
}

std::vector<uint32_t> rates_of(const ir::BoundPolicy& policy) {
  std::vector<uint32_t> rates;
  visit_nodes(policy, [&](uint32_t, const ir::ExprNode& node) {
    if (node.op != ExprOp::use_rate) return;
    if (std::find(rates.begin(), rates.end(), node.window) == rates.end()) rates.push_back(node.window);
  });
  return rates;
}

std::vector<decision::WeightRate> weight_rates_of(const ir::BoundPolicy& policy) {
  std::vector<decision::WeightRate> rates;
  visit_nodes(policy, [&](uint32_t, const ir::ExprNode& node) {
    if (node.op == ExprOp::weight_rate && place_of(rates, node) == rates.size()) {
      rates.push_back({node.window, node.largest});
    }
  });
  return rates;
}

size_t place_of(const std::vector<decision::WeightRate>& rates, const ir::ExprNode& node) {
  const auto found = std::find_if(rates.begin(), rates.end(), [&](const decision::WeightRate& rate) {
    return rate.window == node.window && rate.largest == node.largest;
  });
  return static_cast<size_t>(found - rates.begin());
}

uint32_t keeps_of(const ir::BoundPolicy& policy) {
  uint32_t keeps = 0;
  visit_nodes(policy, [&](uint32_t site, const ir::ExprNode& node) { keeps |= keeps_for(site, node, policy); });
  return keeps;
}

std::vector<decision::Arm> arms_of(const ir::BoundPolicy& policy) {
  std::vector<decision::Arm> arms;
  for (const ir::Arm& arm : policy.arms) {
    const decision::MissAction action = arm.action == ir::MissAction::load  ? decision::MissAction::load
                                        : arm.action == ir::MissAction::cpu ? decision::MissAction::cpu
                                                                            : decision::MissAction::cpu_load;
    arms.push_back({static_cast<uint32_t>(action), arm.condition.empty() ? 1u : 0u});
  }
  return arms;
}

std::vector<std::string> beyond_sites(const ir::BoundPolicy& policy) {
  std::vector<std::string> parts;
  const auto need = [&](std::string_view what) {
    const std::string quoted = "`" + std::string(what) + "`";
    if (std::find(parts.begin(), parts.end(), quoted) == parts.end()) parts.push_back(quoted);
  };
  visit_nodes(policy, [&](uint32_t, const ir::ExprNode& node) {
    if (!is_known(node.op)) need(ir::to_word(node.op));
    if (node.op == ExprOp::variable && !is_known(node.variable)) need(ir::to_word(node.variable));
  });
  return parts;
}

}  // namespace moe::codegen
