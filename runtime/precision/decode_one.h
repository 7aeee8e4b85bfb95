// SPDX-License-Identifier: Apache-2.0
// The streaming layout's decoding, one number at a time: its definition, for the CPU and for kernels. Every operation
// is rounded by itself: what compiles this must not contract a * b + c.
#pragma once
#include "runtime/base/host_device.h"
#include "runtime/precision/decode.h"
#include "runtime/precision/hadamard.h"

namespace moe::precision {

MOE_HOST_DEVICE inline uint32_t code_at(const uint8_t* row, uint64_t column, uint32_t bits) {
  const uint64_t bit = column * bits;
  return row[bit / 8] >> (bit % 8) & ((1U << bits) - 1);
}

MOE_HOST_DEVICE inline float decode_affine(moe_dtype dtype, uint32_t code, float scale, float shift) {
  return round_to(dtype, round_to(dtype, scale * static_cast<float>(code)) - shift);
}

MOE_HOST_DEVICE inline float decode_float8(const Float8& format, moe_dtype dtype, uint32_t code, float scale) {
  return round_to(dtype, scale * from_float8(format, static_cast<uint8_t>(code)));
}

/// Number (r, c) in binary32, rounded to the rows' dtype. Not for hadamard4.
MOE_HOST_DEVICE inline float decode_one(const CodedRows& rows, uint64_t r, uint64_t c) {
  const uint8_t* const codes = rows.codes + r * rows.row_bytes;
  if (rows.format == Format::native) return load(rows.dtype, codes, c);
  const uint64_t k = r * (rows.cols / rows.group) + c / rows.group;
  const float scale = load(rows.dtype, rows.scales, k);
  switch (rows.format) {
    case Format::qint4:
      return decode_affine(rows.dtype, code_at(codes, c, 4), scale, load(rows.dtype, rows.shifts, k));
    case Format::qint2:
      return decode_affine(rows.dtype, code_at(codes, c, 2), scale, load(rows.dtype, rows.shifts, k));
    case Format::f8_e4m3fn:
      return decode_float8(e4m3fn(), rows.dtype, codes[c], scale);
    case Format::f8_e5m2:
      return decode_float8(e5m2(), rows.dtype, codes[c], scale);
    case Format::f8_e4m3fnuz:
      return decode_float8(e4m3fnuz(), rows.dtype, codes[c], scale);
    default:
      return round_to(rows.dtype, scale * static_cast<float>(static_cast<int8_t>(codes[c])));
  }
}

/// hadamard4: number (r, c) of the rotated rows.
MOE_HOST_DEVICE inline float decode_rotated_one(const CodedRows& rows, uint64_t r, uint64_t c) {
  const float scale = load(rows.dtype, rows.scales, r * (rows.cols / kHadamardGroup) + c / kHadamardGroup);
  const uint32_t code = code_at(rows.codes + r * rows.row_bytes, c, 4);
  return scale * static_cast<float>(static_cast<int>(code) - 8);
}

/// What hadamard_transform makes of value `i` in its step of `stride`.
MOE_HOST_DEVICE inline float butterfly(const float* values, uint32_t i, uint32_t stride) {
  return (i & stride) != 0 ? values[i - stride] - values[i] : values[i] + values[i + stride];
}

/// The end of hadamard_rotate_back for value `i`.
MOE_HOST_DEVICE inline float rotated_back(float value, uint32_t i, uint32_t block) {
  const float scaled = value * hadamard_norm(block);
  return hadamard_negative(i) ? -scaled : scaled;
}

}  // namespace moe::precision
