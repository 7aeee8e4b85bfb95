// SPDX-License-Identifier: Apache-2.0
// Numbers of 8 and 16 bits as bit patterns, and their way to and from binary32. Rounding is to nearest, ties to even.
//
// Conversions use whole-number arithmetic but for what is subnormal in f16, which one addition rounds; they give the
// same bits whatever a thread's flush-to-zero mode. A NaN stays a NaN, quiet, with the bits of its payload that fit.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "moe/moe.h"
#include "runtime/base/host_device.h"

namespace moe::precision {

/// Bytes of one element of MOE_F32, MOE_F16, MOE_BF16.
MOE_HOST_DEVICE constexpr uint32_t size_of(moe_dtype dtype) { return dtype == MOE_F32 ? 4 : 2; }

MOE_HOST_DEVICE inline uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

MOE_HOST_DEVICE inline float from_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

MOE_HOST_DEVICE inline uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  uint32_t half = 0;
  if (magnitude > 0x7F800000) {
    half = 0x7E00 | (magnitude >> 13 & 0x3FF);
  } else if (magnitude >= 0x47800000) {  // 65536
    half = 0x7C00;
  } else if (magnitude < 0x38800000) {  // below 2^-14: 0.5's last place is that of a subnormal
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000;
  } else {
    half = (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

MOE_HOST_DEVICE inline float from_f16(uint16_t half) {
  const uint32_t sign = uint32_t{half} >> 15 << 31;
  const uint32_t magnitude = half & 0x7FFF;
  if (magnitude > 0x7C00) return std::bit_cast<float>(sign | 0x7FC00000 | magnitude << 13);
  if (magnitude == 0x7C00) return std::bit_cast<float>(sign | 0x7F800000);
  if (magnitude >= 0x400) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000));
  const float small = static_cast<float>(magnitude) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(small));
}

/// `value` as a number of `dtype`, in binary32.
MOE_HOST_DEVICE inline float round_to(moe_dtype dtype, float value) {
  if (dtype == MOE_F32) return value;
  return dtype == MOE_BF16 ? from_bf16(to_bf16(value)) : from_f16(to_f16(value));
}

/// Element `i` of an array; `data` need not be aligned, but on a device.
MOE_HOST_DEVICE inline float load(moe_dtype dtype, const void* data, size_t i) {
#if defined(__CUDA_ARCH__)
  if (dtype == MOE_F32) return static_cast<const float*>(data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return dtype == MOE_BF16 ? from_bf16(bits) : from_f16(bits);
#else
  const auto* const bytes = static_cast<const std::byte*>(data);
  if (dtype == MOE_F32) {
    float value = 0;
    std::memcpy(&value, bytes + i * 4, 4);
    return value;
  }
  uint16_t half = 0;
  std::memcpy(&half, bytes + i * 2, 2);
  return dtype == MOE_BF16 ? from_bf16(half) : from_f16(half);
#endif
}

/// Stores `value`, rounded, as element `i`.
MOE_HOST_DEVICE inline void store(moe_dtype dtype, void* data, size_t i, float value) {
#if defined(__CUDA_ARCH__)
  if (dtype == MOE_F32) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<uint16_t*>(data)[i] = dtype == MOE_BF16 ? to_bf16(value) : to_f16(value);
  }
#else
  auto* const bytes = static_cast<std::byte*>(data);
  if (dtype == MOE_F32) {
    std::memcpy(bytes + i * 4, &value, 4);
    return;
  }
  const uint16_t half = dtype == MOE_BF16 ? to_bf16(value) : to_f16(value);
  std::memcpy(bytes + i * 2, &half, 2);
#endif
}

/// An 8-bit floating-point format (Micikevicius et al., "FP8 formats for deep learning", arXiv 2209.05433; fnuz: Noune
/// et al., arXiv 2206.02915).
struct Float8 {
  int mantissa_bits;
  int bias;
  float largest;  ///< of the finite numbers
  uint8_t nan;
  bool infinities;
  bool unsigned_zero;  ///< 0x80 is NaN instead of -0
};
MOE_HOST_DEVICE constexpr Float8 e4m3fn() { return {3, 7, 448, 0x7F, false, false}; }
MOE_HOST_DEVICE constexpr Float8 e5m2() { return {2, 15, 57344, 0x7F, true, false}; }
MOE_HOST_DEVICE constexpr Float8 e4m3fnuz() { return {3, 8, 240, 0x80, false, true}; }
inline constexpr Float8 kE4m3fn = e4m3fn();
inline constexpr Float8 kE5m2 = e5m2();
inline constexpr Float8 kE4m3fnuz = e4m3fnuz();

MOE_HOST_DEVICE inline float from_float8(const Float8& format, uint8_t code) {
  const uint32_t sign = uint32_t{code} >> 7 << 31;
  const uint32_t magnitude = code & 0x7F;
  const auto with_sign = [&](uint32_t bits) { return std::bit_cast<float>(sign | bits); };
  const uint32_t exponent = magnitude >> format.mantissa_bits;
  if (format.unsigned_zero && code == format.nan) return with_sign(0x7FC00000);
  if (format.infinities && exponent == 31) return with_sign(magnitude == 0x7C ? 0x7F800000 : 0x7FC00000);
  if (!format.infinities && !format.unsigned_zero && magnitude == 0x7F) return with_sign(0x7FF00000);  // torch's
  if (exponent == 0) {
    const float unit = std::bit_cast<float>(uint32_t(127 + 1 - format.bias - format.mantissa_bits) << 23);
    return with_sign(std::bit_cast<uint32_t>(static_cast<float>(magnitude) * unit));
  }
  return with_sign((magnitude << (23 - format.mantissa_bits)) + (uint32_t(127 - format.bias) << 23));
}

/// Requires |value| <= format.largest, or a NaN.
inline uint8_t to_float8(const Float8& format, float value) {
  if (std::isnan(value)) return format.nan;
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 24 & 0x80;
  uint32_t magnitude = bits & 0x7FFFFFFF;
  const int shift = 23 - format.mantissa_bits;
  if (magnitude < uint32_t(128 - format.bias) << 23) {
    const float units = std::bit_cast<float>(uint32_t(127 - 1 + format.bias + format.mantissa_bits) << 23);
    magnitude = static_cast<uint32_t>(std::nearbyint(std::bit_cast<float>(magnitude) * units));
  } else {
    magnitude += (1U << (shift - 1)) - 1 + (magnitude >> shift & 1);
    magnitude = (magnitude >> shift) - (uint32_t(127 - format.bias) << format.mantissa_bits);
  }
  if (format.unsigned_zero && magnitude == 0) return 0;
  return static_cast<uint8_t>(sign | magnitude);
}

}  // namespace moe::precision
