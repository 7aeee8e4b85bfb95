// SPDX-License-Identifier: Apache-2.0
// Lots that a seed repeats: PCG-XSH-RR 64/32 (M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically
// Good Algorithms", 2014). The generator's state is one word of the state block.
#pragma once
#include <bit>

#include "runtime/decision/layout.h"

namespace moe::decision {

/// The generator's streams: who is evicted by `random`, and which arm `choose` explores.
enum class Stream : uint64_t { evictions = 1, arms = 2 };

template <Stream S>
struct Lots {
  static constexpr uint64_t advanced(uint64_t state) {
    return state * 6364136223846793005u + (static_cast<uint64_t>(S) << 1 | 1);
  }
  static constexpr uint64_t start(uint64_t seed) { return advanced(advanced(0) + seed); }

  static MOE_INLINE uint32_t draw(uint64_t& state) {
    const uint64_t old = state;
    state = advanced(old);
    return std::rotr(static_cast<uint32_t>(((old >> 18) ^ old) >> 27), static_cast<int>(old >> 59));
  }
  /// Uniform below `bound`, but for a bias below bound / 2^32.
  static MOE_INLINE uint32_t below(uint64_t& state, uint32_t bound) {
    return static_cast<uint32_t>((uint64_t{draw(state)} * bound) >> 32);
  }
  /// [0, 1)
  static MOE_INLINE double unit(uint64_t& state) { return draw(state) * 0x1p-32; }
};

}  // namespace moe::decision
