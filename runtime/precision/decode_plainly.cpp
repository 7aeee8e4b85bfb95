// SPDX-License-Identifier: Apache-2.0
// The definition of the streaming layout's decoding, one number after the other.
#include <cstring>

#include "runtime/precision/decode_one.h"

namespace moe::precision {
namespace {

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
  for (uint64_t r = 0; r < rows.rows; ++r) {
    if (rows.format == Format::hadamard4) {
      const uint64_t first_scale = r * (rows.cols / kHadamardGroup);
      decode_rotated(rows, rows.codes + r * rows.row_bytes, first_scale, dtype, out, r * rows.cols);
      continue;
    }
    for (uint64_t c = 0; c < rows.cols; ++c) store(dtype, out, r * rows.cols + c, decode_one(rows, r, c));
  }
}

}  // namespace moe::precision
