// SPDX-License-Identifier: Apache-2.0
// What each layer used in its last dispatches, and the next layer's most frequent experts that are not resident.
#pragma once
#include <bit>

#include "bench/baselines/common.h"

namespace moe::bench {

template <class M, uint32_t Window, uint32_t Budget>
class History {
 public:
  void record(uint32_t layer, const uint32_t* experts, uint32_t n) {
    const uint64_t number = ++length_[layer];
    uint64_t* const bits = ring_[layer][number % Window];
    uint64_t* const score = score_[layer];
    for (uint32_t word = 0; word < kWords; ++word) {  // what leaves the window; nothing while it fills
      for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
        score[word * 64 + static_cast<uint32_t>(std::countr_zero(rest))] -= kOne;
      }
      bits[word] = 0;
    }
    for (uint32_t j = 0; j < n; ++j) {
      const uint32_t e = experts[j];
      bits[e / 64] |= uint64_t{1} << (e % 64);
      score[e] = ((score[e] & kCount) + kOne) | number << 8 | (255 - e);
    }
  }
  /// Uses of the expert in the window.
  uint32_t count(uint32_t layer, uint32_t e) const { return static_cast<uint32_t>(score_[layer][e] >> kShift); }

  /// The most frequent, then the more recent, then the lower id. Returns their number.
  template <class IsResident>
  uint32_t best(uint32_t layer, IsResident is_resident, uint32_t* experts) const {
    uint64_t top[Budget] = {};
    for (uint32_t e = 0; e < M::kExperts; ++e) {
      const uint64_t score = score_[layer][e];
      if (score < kOne || score <= top[Budget - 1] || is_resident(e)) continue;
      uint32_t j = Budget - 1;
      for (; j > 0 && top[j - 1] < score; --j) top[j] = top[j - 1];
      top[j] = score;
    }
    uint32_t n = 0;
    for (; n < Budget && top[n] != 0; ++n) experts[n] = 255 - static_cast<uint32_t>(top[n] & 255);
    return n;
  }

 private:
  // Count, number of the last dispatch, 255 - id: larger is better.
  static constexpr uint32_t kShift = 48;
  static constexpr uint64_t kOne = uint64_t{1} << kShift;
  static constexpr uint64_t kCount = ~(kOne - 1);
  static constexpr uint32_t kWords = (M::kExperts + 63) / 64;
  static_assert(M::kExperts <= 256);
  uint64_t length_[M::kLayers] = {};
  uint64_t score_[M::kLayers][M::kExperts] = {};
  uint64_t ring_[M::kLayers][Window][kWords] = {};
};

}  // namespace moe::bench
