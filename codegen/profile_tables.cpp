// SPDX-License-Identifier: Apache-2.0
#include "codegen/profile_tables.h"

#include <algorithm>

namespace moe::codegen {
namespace {

void add_shares(const ir::Profile& profile, ProfileTables& tables) {
  tables.share_rows.push_back(0);
  for (const auto& layer : profile.affinity) {
    for (const auto& row : layer) {
      for (const auto& [follower, share] : row) {
        if (!(share > 0)) continue;
        tables.share_followers.push_back(follower);
        tables.shares.push_back(share);
      }
      tables.share_rows.push_back(tables.shares.size());
    }
  }
}

std::vector<double> first_weights(const ir::Profile& profile, const decision::Params& params) {
  std::vector<double> weights(params.num_learner_weights() * params.num_layers);
  for (size_t l = 0; l < profile.learned.size() && l < params.num_layers; ++l) {
    if (profile.learned[l].size() != params.num_learner_weights()) continue;
    std::copy(profile.learned[l].begin(), profile.learned[l].end(),
              weights.begin() + static_cast<std::ptrdiff_t>(l * params.num_learner_weights()));
  }
  return weights;
}

}  // namespace

ProfileTables profile_tables(const Program& program) {
  ProfileTables tables;
  const decision::Params& params = program.params.front();
  const ir::Profile* const profile = program.policy.options.profile.get();
  if ((params.profile & decision::kProfileShares) != 0) add_shares(*profile, tables);
  if ((params.profile & decision::kProfileWeights) != 0) tables.weights = first_weights(*profile, params);
  return tables;
}

}  // namespace moe::codegen
