// SPDX-License-Identifier: Apache-2.0
// Dequantizes rows of the streaming layout. Inside of ExpertStream; for benchmarks and tests.
#pragma once
#include "runtime/precision/format.h"

namespace moe::precision {

/// Rows of one part; pointers to the first of them. See runtime/precision/stream.h.
struct CodedRows {
  Format format = Format::native;
  moe_dtype dtype = MOE_F32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  uint64_t group = 0;
  uint64_t row_bytes = 0;
  const uint8_t* scales = nullptr;
  const uint8_t* shifts = nullptr;
  const uint8_t* codes = nullptr;

  uint64_t scale_bytes() const { return format == Format::native ? 0 : rows * (cols / group) * size_of(dtype); }
  uint64_t shift_bytes() const { return info(format).affine ? scale_bytes() : 0; }
  uint64_t code_bytes() const { return rows * row_bytes; }
  /// Bytes that are read to decode them.
  uint64_t size_bytes() const { return scale_bytes() + shift_bytes() + code_bytes(); }
};

/// With the best vector instructions of this processor. `out`: rows * cols numbers of `dtype`. Any thread; no
/// allocation.
void decode_rows(const CodedRows& rows, moe_dtype dtype, void* out) noexcept;

/// One number after the other: the same bits.
void decode_rows_plainly(const CodedRows& rows, moe_dtype dtype, void* out) noexcept;

}  // namespace moe::precision
