// SPDX-License-Identifier: Apache-2.0
// The definition of the streaming layout's decoding, one number after the other.
#include <cstring>

#include "runtime/precision/decode.h"
#include "runtime/precision/hadamard.h"

namespace moe::precision {
namespace {

uint32_t code_at(const uint8_t* row, uint64_t column, uint32_t bits) {
  const uint64_t bit = column * bits;
  return row[bit / 8] >> (bit % 8) & ((1U << bits) - 1);
}

float number(const CodedRows& rows, const FormatInfo& format, uint32_t code, float scale, float shift) {
  if (format.float8) return round_to(rows.dtype, scale * from_float8(*format.float8, static_cast<uint8_t>(code)));
  if (format.affine) {
    return round_to(rows.dtype, round_to(rows.dtype, scale * static_cast<float>(code)) - shift);
  }
  return round_to(rows.dtype, scale * static_cast<float>(static_cast<int8_t>(code)));
}

void decode_rotated(const CodedRows& rows, const uint8_t* codes, uint64_t first_scale, moe_dtype dtype, void* out,
                    uint64_t at) {
  const uint32_t block = hadamard_block(rows.cols);
  float values[kHadamardBlock];
  for (uint64_t begin = 0; begin < rows.cols; begin += block) {
    for (uint32_t i = 0; i < block; ++i) {
      const float scale = load(rows.dtype, rows.scales, first_scale + (begin + i) / kHadamardGroup);
      values[i] = scale * static_cast<float>(static_cast<int>(code_at(codes, begin + i, 4)) - 8);
    }
    hadamard_rotate_back(values, block);
    for (uint32_t i = 0; i < block; ++i) store(dtype, out, at + begin + i, round_to(rows.dtype, values[i]));
  }
}

}  // namespace

void decode_rows_plainly(const CodedRows& rows, moe_dtype dtype, void* out) noexcept {
  if (rows.format == Format::native && rows.dtype == dtype) {
    std::memcpy(out, rows.codes, rows.rows * rows.row_bytes);
    return;
  }
  const FormatInfo& format = info(rows.format);
  const uint64_t groups = rows.cols / rows.group;
  for (uint64_t r = 0; r < rows.rows; ++r) {
    const uint8_t* const codes = rows.codes + r * rows.row_bytes;
    if (rows.format == Format::hadamard4) {
      decode_rotated(rows, codes, r * groups, dtype, out, r * rows.cols);
      continue;
    }
    for (uint64_t c = 0; c < rows.cols; ++c) {
      if (rows.format == Format::native) {
        store(dtype, out, r * rows.cols + c, load(rows.dtype, codes, c));
        continue;
      }
      const uint64_t k = r * groups + c / rows.group;
      const float scale = load(rows.dtype, rows.scales, k);
      const float shift = format.affine ? load(rows.dtype, rows.shifts, k) : 0;
      store(dtype, out, r * rows.cols + c, number(rows, format, code_at(codes, c, format.bits), scale, shift));
    }
  }
}

}  // namespace moe::precision
