// SPDX-License-Identifier: Apache-2.0
// The expressions of a policy by the place where a kernel asks them, and what state they need kept.
#pragma once
#include <optional>
#include <vector>

#include "codegen/program.h"

namespace moe::codegen {

/// The sites of one variant, numbered from `first`. Borrows from the rules.
std::vector<SiteExpr> sites_of(const ir::BoundRules& rules, uint32_t first);

/// The sites of all variants, and behind them the parts of least(E) that are kept.
std::vector<SiteExpr> all_sites(const Program& program);

/// Where the value of a site's node is kept; none: it is worked out.
std::optional<uint32_t> kept_part(const Program& program, const SiteExpr& site, size_t node);
/// All nodes of a site but those below one whose value is kept.
std::vector<bool> needed_nodes(const Program& program, const SiteExpr& site);

/// The value of a variable that the model alone determines.
std::optional<double> value_in_model(const Program& program, ir::Variable v);
/// Whether there is anything to read of an expert's variable: without a learner and a strategy some have none.
bool is_kept(const Program& program, ir::Variable v);

/// How many numbers a variant's sites take.
uint32_t num_sites(const ir::BoundRules& rules);

/// Time constants of use_rate that some site reads, in order of first appearance.
std::vector<uint32_t> rates_of(const std::vector<SiteExpr>& sites);

/// The weight_rates that some site reads, in order of first appearance; and where a node's stands, their number if it
/// stands nowhere.
std::vector<decision::WeightRate> weight_rates_of(const std::vector<SiteExpr>& sites);
size_t place_of(const std::vector<decision::WeightRate>& rates, const ir::ExprNode& node);
/// Likewise of a use_rate, and of what looks back on a metric.
size_t place_of(const std::vector<uint32_t>& rates, const ir::ExprNode& node);
size_t place_of(const std::vector<decision::Remembered>& remembered, const ir::ExprNode& node);

/// The metrics that some site looks back on, each with the longest window.
std::vector<decision::Remembered> remembered_of(const std::vector<SiteExpr>& sites);

/// What some variant has.
struct Holds {
  bool strategy = false;
  bool learner = false;
};
/// decision::Keeps: what the sites read beyond what every kernel keeps.
uint32_t keeps_of(const std::vector<SiteExpr>& sites, Holds holds);

/// Whether `v` is of the cache as a whole, and the kernels count it.
bool is_counted(ir::Variable v);
decision::Metric counted_as(ir::Variable v);

/// What the sites read or compute that native code does not have: "`value`", "`trend`", ...
std::vector<std::string> beyond_sites(const Program& program);

}  // namespace moe::codegen
