// SPDX-License-Identifier: Apache-2.0
// What predictors start from, as the kernels read it: shares and weights of the bound profile.
#pragma once
#include <vector>

#include "codegen/program.h"

namespace moe::codegen {

/// Empty where the policy has none.
struct ProfileTables {
  std::vector<uint64_t> share_rows;  ///< affinity's shares above zero, row by row
  std::vector<uint32_t> share_followers;
  std::vector<double> shares;
  std::vector<double> weights;  ///< the learner's start; zeros for a layer whose weights are of another window
};
ProfileTables profile_tables(const Program& program);

}  // namespace moe::codegen
