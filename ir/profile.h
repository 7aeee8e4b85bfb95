// SPDX-License-Identifier: Apache-2.0
// A routing profile, `.moeprof`: what a trace says of a model's experts. JSON; made by `moec profile`.
#pragma once
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace moe::ir {

struct Profile {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;
  uint32_t top_k = 0;
  std::vector<std::vector<double>> frequency;  ///< [layer][expert]: share of the layer's accesses; sums to 1 or 0
  /// [layer][expert i]: expert j of the next layer -> share of i's uses after which j ran
  std::vector<std::vector<std::map<uint32_t, double>>> affinity;
  std::vector<std::vector<double>> learned;  ///< per layer: the learner's weights in its own order; empty: none
};

/// Untrusted input. Errors name the first wrong place: not JSON, another format version, shapes that do not add up,
/// numbers that are not finite or out of range.
Result<Profile> parse_profile(std::string_view json);
std::string print_profile(const Profile& profile);

}  // namespace moe::ir
