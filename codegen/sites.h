// SPDX-License-Identifier: Apache-2.0
// The expressions of a policy by the place where a kernel asks them, and what state they need kept.
#pragma once
#include <vector>

#include "codegen/program.h"

namespace moe::codegen {

/// The sites of one variant, numbered from `first`. Borrows from the rules.
std::vector<SiteExpr> sites_of(const ir::BoundRules& rules, uint32_t first);

/// How many numbers a variant's sites take.
uint32_t num_sites(const ir::BoundRules& rules);

/// Time constants of use_rate that some site reads, in order of first appearance.
std::vector<uint32_t> rates_of(const std::vector<SiteExpr>& sites);

/// The weight_rates that some site reads, in order of first appearance; and where a node's stands, their number if it
/// stands nowhere.
std::vector<decision::WeightRate> weight_rates_of(const std::vector<SiteExpr>& sites);
size_t place_of(const std::vector<decision::WeightRate>& rates, const ir::ExprNode& node);

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
