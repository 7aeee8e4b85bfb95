// SPDX-License-Identifier: Apache-2.0
// A routing profile, `.moeprof`: what a trace says of a model's experts. JSON; made by `moec profile`.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace moe::ir {

/// Layers, experts and top_k that a profile may speak of: far above any model, low enough to be safe to allocate.
inline constexpr uint32_t kMaxProfileLayers = 4096;
inline constexpr uint32_t kMaxProfileExperts = 65536;

struct Profile {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;
  uint32_t top_k = 0;
  std::string trace;                           ///< where it came from, for people
  std::vector<std::vector<double>> frequency;  ///< [layer][expert]: share of the layer's accesses; sums to 1 or 0
  /// [layer][expert i]: expert j of the next layer -> share of i's uses after which j ran
  std::vector<std::vector<std::map<uint32_t, double>>> affinity;
  std::vector<std::vector<double>> learned;  ///< per layer: the learner's weights in its own order; empty: none
  friend bool operator==(const Profile&, const Profile&) = default;
};

/// Untrusted input. Errors name the first wrong place: not JSON, another format version, shapes that do not add up,
/// numbers that are not finite or out of range.
Result<Profile> parse_profile(std::string_view json);
/// Parses back equal. One line per layer and kind. The trace's name is written as UTF-8, bytes that are not replaced.
std::string print_profile(const Profile& profile);

}  // namespace moe::ir
