// SPDX-License-Identifier: Apache-2.0
// Numbers of the .moet format that its reader and its writer share. formats.h has the layout.
#pragma once
#include <cstdint>
#include <string_view>

namespace moe::replay::moet {

inline constexpr std::string_view kMagic = "MOET";
inline constexpr uint16_t kVersion = 1;
inline constexpr uint64_t kHeaderSize = 64;
inline constexpr uint64_t kHeaderCrcOffset = 36;
inline constexpr uint64_t kAlignment = 64;
inline constexpr uint64_t kCrcSize = 4;

enum Flag : uint16_t {
  kWeightsF16 = 1,
  kRequests = 2,
  kSteps = 4,
  kPhases = 8,
  kWeightsF32 = 16,
  kLookahead = 32,
  kEvents = 64,
};
inline constexpr uint16_t kAllFlags = 127;

inline constexpr uint64_t align(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace moe::replay::moet
