// SPDX-License-Identifier: Apache-2.0
// The expressions of a policy by the place where a kernel asks them, and what state they need kept.
#pragma once
#include <string>
#include <vector>

#include "ir/bind.h"
#include "runtime/decision/expression.h"

namespace moe::codegen {

struct SiteExpr {
  uint32_t site = 0;  ///< decision::Site
  const ir::Expr* expr = nullptr;
};

/// In order of sites. Borrows from the policy.
std::vector<SiteExpr> sites_of(const ir::BoundPolicy& policy);

/// Time constants of use_rate that some site reads, in order of first appearance.
std::vector<uint32_t> rates_of(const ir::BoundPolicy& policy);

/// The weight_rates that some site reads, in order of first appearance; and where a node's stands, their number if it
/// stands nowhere.
std::vector<decision::WeightRate> weight_rates_of(const ir::BoundPolicy& policy);
size_t place_of(const std::vector<decision::WeightRate>& rates, const ir::ExprNode& node);

/// decision::Keeps: what the sites read beyond what every kernel keeps.
uint32_t keeps_of(const ir::BoundPolicy& policy);

/// The arms of `on miss` as the kernels read them.
std::vector<decision::Arm> arms_of(const ir::BoundPolicy& policy);

/// What the sites read or compute that native code does not have: "`value`", "`trend`", ...
std::vector<std::string> beyond_sites(const ir::BoundPolicy& policy);

}  // namespace moe::codegen
