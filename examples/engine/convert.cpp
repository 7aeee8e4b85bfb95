// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/convert.h"

#include <moe/moe.h>

#include <bit>
#include <cstring>

namespace engine {
namespace {

float from_half(uint16_t half) {
  const uint32_t magnitude = half & 0x7FFFU;
  const uint32_t sign = (half & 0x8000U) << 16;
  // The exponent's bias differs by 112. Multiplying by 2^112 moves it, and turns subnormals into normal numbers, with
  // no branch, so that the loop vectorises. Infinity and NaN get the exponent of all ones back.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  const uint32_t special = magnitude >= 0x7C00U ? 0x7F800000U : 0U;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | sign);
}

float from_bfloat(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

template <class Convert>
void widen_16(const void* source, size_t count, float* target, Convert convert) {
  const auto* bytes = static_cast<const unsigned char*>(source);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    target[i] = convert(bits);
  }
}

}  // namespace

size_t dtype_bytes(uint32_t dtype) {
  if (dtype == MOE_F32) return 4;
  return dtype == MOE_F16 || dtype == MOE_BF16 ? 2 : 0;
}

void widen(uint32_t dtype, const void* source, size_t count, float* target) {
  if (dtype == MOE_F32) {
    std::memcpy(target, source, count * sizeof(float));
  } else if (dtype == MOE_F16) {
    widen_16(source, count, target, from_half);
  } else {
    widen_16(source, count, target, from_bfloat);
  }
}

}  // namespace engine
