// SPDX-License-Identifier: Apache-2.0
#include "codegen/sites.h"

#include <algorithm>

namespace moe::codegen {
namespace {

using decision::Metric;
using ir::ExprOp;
using ir::Variable;

struct MetricRow {
  Variable variable;
  Metric metric;
  uint32_t keeps;
};

constexpr uint32_t kPrefetches = decision::kCountsRates | decision::kCountsPrefetches;

constexpr MetricRow kMetrics[] = {
    {Variable::hit_rate, Metric::hit_rate, decision::kCountsRates},
    {Variable::miss_rate, Metric::miss_rate, decision::kCountsRates},
    {Variable::eviction_rate, Metric::eviction_rate, decision::kCountsRates},
    {Variable::prefetch_accuracy, Metric::prefetch_accuracy, kPrefetches},
    {Variable::prefetch_coverage, Metric::prefetch_coverage, kPrefetches},
    {Variable::stall_ms, Metric::stall_ms, decision::kKeepsMeasured},
    {Variable::queue_depth, Metric::queue_depth, 0},
    {Variable::link_gbps, Metric::link_gbps, decision::kKeepsMeasured},
    {Variable::tokens_per_s, Metric::tokens_per_s, decision::kKeepsMeasured},
    {Variable::memory_used, Metric::memory_used, 0},
    {Variable::memory_free, Metric::memory_free, 0},
    {Variable::cache_fill, Metric::cache_fill, 0},
    {Variable::kv_used, Metric::kv_used, 0},
    {Variable::entropy, Metric::entropy, decision::kKeepsEntropy},
    {Variable::phase, Metric::phase, 0},
    {Variable::batch, Metric::batch, 0},
    {Variable::capacity, Metric::capacity, 0},
};

const MetricRow* find_metric(Variable v) {
  const auto* found =
      std::find_if(std::begin(kMetrics), std::end(kMetrics), [v](const MetricRow& row) { return row.variable == v; });
  return found == std::end(kMetrics) ? nullptr : found;
}

bool looks_back(ExprOp op) { return op == ExprOp::avg_over || op == ExprOp::max_over || op == ExprOp::trend; }

// What the kernels keep, or can work out; the others need the future.
bool is_known(Variable v) {
  switch (v) {
    case Variable::next_use:
      return false;
    case Variable::num_experts:
    case Variable::num_layers:
    case Variable::top_k:
      return true;
    default:
      return ir::is_of_expert(v) || is_counted(v);
  }
}

template <class Visit>
void visit_nodes(const std::vector<SiteExpr>& sites, Visit visit) {
  for (const SiteExpr& site : sites) {
    for (const ir::ExprNode& node : site.expr->nodes) visit(site, node);
  }
}

/// What counts the residents.
bool reads_memory(const ir::ExprNode& node) {
  if (node.op != ExprOp::variable) return false;
  return node.variable == Variable::memory_used || node.variable == Variable::memory_free ||
         node.variable == Variable::cache_fill;
}

uint32_t keeps_for(const SiteExpr& site, const ir::ExprNode& node, Holds holds) {
  if (node.op != ExprOp::variable && !looks_back(node.op)) return 0;
  if (const MetricRow* row = find_metric(node.variable)) return row->keeps;
  if (!site.of_expert) return 0;
  switch (node.variable) {
    case Variable::freq:
      return decision::kKeepsFreq;
    case Variable::age:
      return decision::kKeepsLoadedAt;
    case Variable::recency:  // residents have their last use anyway
      if (site.kind == decision::kSiteLeast || site.kind == decision::kSiteSecondLeast) return 0;
      if (site.kind == decision::kSitePrefetchEvict || node.of_victim) return 0;
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
      return holds.learner ? decision::kKeepsValue : 0U;
    case Variable::predicted:
      return holds.strategy ? decision::kKeepsPredicted : 0U;
    case Variable::foretold:
      return holds.strategy ? decision::kKeepsForetold : 0U;
    default:
      return 0;
  }
}

}  // namespace

bool is_counted(Variable v) { return find_metric(v) != nullptr; }
Metric counted_as(Variable v) { return find_metric(v)->metric; }

std::vector<SiteExpr> sites_of(const ir::BoundRules& rules, uint32_t first) {
  std::vector<SiteExpr> sites;
  const auto add = [&](uint32_t kind, const ir::Expr& expr) {
    if (!expr.empty()) sites.push_back({first + kind, 0, kind, &expr, true});
  };
  if (rules.eviction == ir::Eviction::least) add(decision::kSiteLeast, rules.eviction.value);
  if (rules.eviction == ir::Eviction::segmented) {
    add(decision::kSiteLeast, rules.eviction.segments[0].value);
    add(decision::kSiteSecondLeast, rules.eviction.segments[1].value);
  }
  if (rules.admit == ir::Admit::when) add(decision::kSiteAdmit, rules.admit.condition);
  add(decision::kSiteWhen, rules.prefetch_when);
  if (rules.prefetch_admit == ir::Admit::when) add(decision::kSitePrefetchAdmit, rules.prefetch_admit.condition);
  add(decision::kSiteOrder, rules.order);
  add(decision::kSiteDrop, rules.drop);
  if (rules.balance) {
    add(decision::kSiteGpuTime, rules.gpu_time);
    add(decision::kSiteCpuTime, rules.cpu_time);
    add(decision::kSiteCpuSetup, rules.cpu_setup);
    add(decision::kSiteLoadTime, rules.load_time);
  }
  if (rules.strategy.has(ir::Strategy::most)) add(decision::kSiteMost, rules.strategy.value);
  if (rules.prefetch_evict) add(decision::kSitePrefetchEvict, rules.prefetch_evict->value);
  for (size_t i = 0; i < rules.arms.size(); ++i) {
    add(decision::kFirstArm + static_cast<uint32_t>(i), rules.arms[i].condition);
  }
  return sites;
}

std::vector<SiteExpr> all_sites(const Program& program) {
  std::vector<SiteExpr> sites = program.sites;
  const uint32_t first_steady = decision::first_steady_site(program.params.front());
  for (uint32_t i = 0; i < program.steady_parts.size(); ++i) {
    sites.push_back({first_steady + i, 0, first_steady + i, &program.steady_parts[i], true});
  }
  return sites;
}

std::optional<uint32_t> kept_part(const Program& program, const SiteExpr& site, size_t node) {
  if (site.kind != decision::kSiteLeast) return std::nullopt;
  const auto& roots = program.steady_roots;
  const auto found = std::find(roots.begin(), roots.end(), node);
  if (found == roots.end()) return std::nullopt;
  return static_cast<uint32_t>(found - roots.begin());
}

std::vector<bool> needed_nodes(const Program& program, const SiteExpr& site) {
  const std::vector<ir::ExprNode>& nodes = site.expr->nodes;
  std::vector<bool> needed(nodes.size());
  needed.back() = true;
  for (size_t i = nodes.size(); i-- > 0;) {
    if (!needed[i] || kept_part(program, site, i)) continue;
    for (size_t j = 0; j < ir::num_operands(nodes[i].op); ++j) needed[nodes[i].operand[j]] = true;
  }
  return needed;
}

std::optional<double> value_in_model(const Program& program, Variable v) {
  const ir::ModelShape& shape = program.policy.shape;
  if (v == Variable::num_experts) return shape.num_experts;
  if (v == Variable::num_layers) return shape.num_layers;
  if (v == Variable::top_k) return shape.top_k;
  return std::nullopt;
}

bool is_kept(const Program& program, Variable v) {
  const uint32_t keeps = program.params.front().keeps;
  if (v == Variable::value) return (keeps & decision::kKeepsValue) != 0;
  if (v == Variable::predicted) return (keeps & decision::kKeepsPredicted) != 0;
  return v != Variable::foretold || (keeps & decision::kKeepsForetold) != 0;
}

uint32_t num_sites(const ir::BoundRules& rules) {
  return decision::kFirstArm + static_cast<uint32_t>(rules.arms.size());
}

std::vector<uint32_t> rates_of(const std::vector<SiteExpr>& sites) {
  std::vector<uint32_t> rates;
  visit_nodes(sites, [&](const SiteExpr& site, const ir::ExprNode& node) {
    if (node.op != ExprOp::use_rate || !site.of_expert) return;
    if (std::find(rates.begin(), rates.end(), node.window) == rates.end()) rates.push_back(node.window);
  });
  return rates;
}

std::vector<decision::WeightRate> weight_rates_of(const std::vector<SiteExpr>& sites) {
  std::vector<decision::WeightRate> rates;
  visit_nodes(sites, [&](const SiteExpr& site, const ir::ExprNode& node) {
    if (site.of_expert && node.op == ExprOp::weight_rate && place_of(rates, node) == rates.size()) {
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

size_t place_of(const std::vector<uint32_t>& rates, const ir::ExprNode& node) {
  return static_cast<size_t>(std::find(rates.begin(), rates.end(), node.window) - rates.begin());
}

size_t place_of(const std::vector<decision::Remembered>& remembered, const ir::ExprNode& node) {
  const auto metric = static_cast<uint32_t>(counted_as(node.variable));
  const auto found = std::find_if(remembered.begin(), remembered.end(),
                                  [&](const decision::Remembered& r) { return r.metric == metric; });
  return static_cast<size_t>(found - remembered.begin());
}

std::vector<decision::Remembered> remembered_of(const std::vector<SiteExpr>& sites) {
  std::vector<decision::Remembered> remembered;
  visit_nodes(sites, [&](const SiteExpr&, const ir::ExprNode& node) {
    if (!looks_back(node.op) || !is_counted(node.variable)) return;
    const auto metric = static_cast<uint32_t>(counted_as(node.variable));
    const auto found = std::find_if(remembered.begin(), remembered.end(),
                                    [&](const decision::Remembered& r) { return r.metric == metric; });
    if (found == remembered.end()) {
      remembered.push_back({metric, node.window, 0, 0});
    } else {
      found->window = std::max(found->window, node.window);
    }
  });
  uint32_t first = 0;
  for (decision::Remembered& r : remembered) {
    r.first = first;
    first += r.window;
  }
  return remembered;
}

uint32_t keeps_of(const std::vector<SiteExpr>& sites, Holds holds) {
  uint32_t keeps = 0;
  visit_nodes(sites, [&](const SiteExpr& site, const ir::ExprNode& node) {
    keeps |= keeps_for(site, node, holds);
    if (site.kind == decision::kSiteLeast && reads_memory(node)) keeps |= decision::kLeastVaries;
  });
  return keeps;
}

std::vector<std::string> beyond_sites(const Program& program) {
  std::vector<std::string> parts;
  const auto need = [&](std::string_view what) {
    const std::string quoted = "`" + std::string(what) + "`";
    if (std::find(parts.begin(), parts.end(), quoted) == parts.end()) parts.push_back(quoted);
  };
  const auto look_at = [&](const SiteExpr&, const ir::ExprNode& node) {
    if (node.op == ExprOp::variable && !is_known(node.variable)) need(ir::to_word(node.variable));
    if (looks_back(node.op) && !is_counted(node.variable)) need(ir::to_word(node.op));
  };
  visit_nodes(program.sites, look_at);
  visit_nodes(program.conditions, look_at);
  return parts;
}

}  // namespace moe::codegen
