// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace moe::ir {

/// PCG-XSH-RR 64/32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms", 2014).
/// Decisions that draw lots use it, so that a seed repeats them.
class Pcg32 {
 public:
  /// `stream` chooses one of 2^63 sequences.
  explicit Pcg32(uint64_t seed, uint64_t stream = 0) : increment_((stream << 1U) | 1U) {
    next();
    state_ += seed;
    next();
  }
  uint32_t next() {
    const uint64_t old = state_;
    state_ = old * 6364136223846793005ULL + increment_;
    const auto shifted = static_cast<uint32_t>(((old >> 18U) ^ old) >> 27U);
    const auto rotation = static_cast<uint32_t>(old >> 59U);
    return (shifted >> rotation) | (shifted << ((32U - rotation) & 31U));
  }
  /// [0, bound): the high half of a product; its bias is below bound / 2^32.
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((uint64_t{next()} * bound) >> 32U); }
  /// [0, 1), 32 bits of it.
  double unit() { return next() * 0x1p-32; }

 private:
  uint64_t state_ = 0;
  uint64_t increment_;
};

}  // namespace moe::ir
