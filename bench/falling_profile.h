// SPDX-License-Identifier: Apache-2.0
// A profile for policies that start from the experts used most.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "ir/bind.h"
#include "ir/profile.h"

namespace moe::bench {

/// Lower ids are used more often; nothing is known of who follows whom.
inline std::shared_ptr<const ir::Profile> falling_profile(const ir::ModelShape& shape) {
  auto profile = std::make_shared<ir::Profile>();
  profile->num_layers = shape.num_layers;
  profile->num_experts = shape.num_experts;
  profile->top_k = shape.top_k;
  const double sum = 0.5 * shape.num_experts * (shape.num_experts + 1);
  std::vector<double> shares;
  for (uint32_t e = 0; e < shape.num_experts; ++e) shares.push_back((shape.num_experts - e) / sum);
  profile->frequency.assign(shape.num_layers, shares);
  profile->affinity.assign(shape.num_layers, std::vector<std::map<uint32_t, double>>(shape.num_experts));
  return profile;
}

}  // namespace moe::bench
