// SPDX-License-Identifier: Apache-2.0
// The randomized Hadamard rotation of hadamard4: y = (x * signs) H / sqrt(n), with H Sylvester's matrix of order n.
//
// A rotation spreads outliers of a row over its block, so that a scale per 32 numbers fits them all (QuaRot, Ashkboos
// et al., arXiv 2404.00456; dhurandhar 0.1.4 uses it for keys and values). H / sqrt(n) is its own inverse.
#pragma once
#include <cstdint>

#include "runtime/base/host_device.h"

namespace moe::precision {

inline constexpr uint32_t kHadamardGroup = 32;   ///< numbers that share a scale
inline constexpr uint32_t kHadamardBlock = 128;  ///< the longest block that is rotated

/// Whether sign i is -1: bit i % 32 of word i / 32. It is +1 where number i of std::mt19937(20260421) is odd.
MOE_HOST_DEVICE inline bool hadamard_negative(uint32_t i) {
  constexpr uint32_t kWords[kHadamardBlock / 32] = {0x0F25F95A, 0xC96EC680, 0x0D91539F, 0x813E307E};
  return (kWords[i / 32] >> (i % 32) & 1) != 0;
}

/// The longest power of two up to kHadamardBlock that divides `cols`: rows are rotated in blocks of that. 0: none of at
/// least kHadamardGroup does.
MOE_HOST_DEVICE constexpr uint32_t hadamard_block(uint64_t cols) {
  for (uint32_t block = kHadamardBlock; block >= kHadamardGroup; block /= 2) {
    if (cols % block == 0) return block;
  }
  return 0;
}

/// 1 / sqrt(block), the float nearest to it.
MOE_HOST_DEVICE inline float hadamard_norm(uint32_t block) {
  switch (block) {
    case 32:
      return 0x1.6a09e6p-3F;
    case 64:
      return 0x1p-3F;
    default:
      return 0x1.6a09e6p-4F;
  }
}

/// Multiplies by H: butterflies of stride 1, 2, 4, ..., each a + b and a - b, in binary32. That order is part of the
/// format: it gives the bits of every decoder.
void hadamard_transform(float* values, uint32_t block);

/// x -> y.
void hadamard_rotate(float* values, uint32_t block);
/// y -> x.
void hadamard_rotate_back(float* values, uint32_t block);

}  // namespace moe::precision
