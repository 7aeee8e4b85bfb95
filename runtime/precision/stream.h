// SPDX-License-Identifier: Apache-2.0
// The streaming layout: one expert at one precision as one run of bytes, which a transfer moves in one piece and a
// kernel dequantizes from front to back.
//
// An extent holds the expert's parts in the order that was given. Of each part, in this order, each beginning at a
// multiple of 64 bytes from the extent's begin, the gaps zero:
//
//   scales   [rows][groups in a row], numbers of the part's dtype T. Formats of 8 bits: one group a row; hadamard4: one
//   for
//            32 numbers; qint4, qint2: as Precision::group says. None for `native`.
//   shifts   the same, of qint4 and qint2 only
//   codes    [rows][row_bytes], row_bytes = ceil(cols * bits / 8): column c of a row begins at bit c * bits of the row,
//            the lowest bit of a byte first. qint8: two's complement; float8: its bits; qint4, qint2: the code;
//            hadamard4: code + 8, the row rotated in blocks of hadamard_block(cols); `native`: numbers of T
//
// So the codes of neighbouring columns lie side by side, unlike in quanto's packed order, and a row, or any run of
// rows, can be decoded on its own. The extent's length is a multiple of 64 bytes. Numbers are little endian.
//
// What comes back is quanto's dequantization in T (runtime/precision/codec.h), then rounded once to what was asked for.
// It is the same bits with every vector instruction set.
#pragma once
#include <cstdint>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/precision/codec.h"
#include "runtime/precision/decode.h"

namespace moe::precision {

inline constexpr uint64_t kStreamAlignment = 64;

/// A tensor of an expert.
struct PartShape {
  moe_dtype dtype = MOE_F32;  ///< MOE_F32, MOE_F16 or MOE_BF16
  uint64_t rows = 0;          ///< outputs
  uint64_t cols = 0;
  bool quantized = true;  ///< false: kept as it is, such as a bias, whatever the precision
};

struct Precision {
  static constexpr uint32_t kQuantoGroup = UINT32_MAX;  ///< default_group of each part
  Format format = Format::native;
  /// Of qint4 and qint2: numbers that share a scale, where that divides a part's rows, else whole rows; 0: whole rows.
  uint32_t group = kQuantoGroup;
};

/// Where a part lies in an extent; offsets in bytes.
struct PartExtent {
  PartShape shape;
  Format format = Format::native;
  uint64_t group = 0;  ///< numbers that share a scale; divides cols
  uint64_t row_bytes = 0;
  uint64_t scales_offset = 0;
  uint64_t shifts_offset = 0;  ///< equal to codes_offset when there are none
  uint64_t codes_offset = 0;
  uint64_t end_offset = 0;  ///< a multiple of 64
};

/// How experts of one shape lie at one precision. Immutable: any number of threads may use one at a time.
class ExpertStream {
 public:
  /// Errors: invalid: no part, a part without elements, another dtype, hadamard4 for rows that are no multiple of 32
  /// long, groups that do not begin at whole bytes.
  static Result<ExpertStream> plan(const std::vector<PartShape>& parts, const Precision& precision);

  uint64_t size_bytes() const { return parts_.back().end_offset; }
  const std::vector<PartExtent>& parts() const { return parts_; }

  struct Notes {
    uint64_t num_zero_scales = 0;
  };
  /// Quantizes an expert. `parts`: row-major numbers of each part, unaligned if need be. `extent`: size_bytes() bytes,
  /// all of which are written. Allocates. Errors: format: a weight that is not finite; `extent` is then unspecified.
  Result<Notes> encode(const std::vector<const void*>& parts, void* extent) const;

  /// Puts codes that exist already, such as a checkpoint's, in place of part `part`, without another rounding; writes
  /// that part's bytes and no others. Errors: invalid: another shape, format, dtype or group, zero points, or axis
  /// columns.
  Result<void> place(size_t part, const Quantized& quantized, void* extent) const;

  /// Dequantizes every part: `out[i]` gets rows * cols numbers of `dtype`, row-major. `extent` need not be aligned. No
  /// allocation, no lock, no exception. Bytes that encode did not write give numbers without meaning, and no harm.
  void decode(const void* extent, moe_dtype dtype, void* const* out) const noexcept;

  /// `num_rows` rows of a part from row `first`, as they lie in an extent; for decode_rows, here or on a device.
  CodedRows rows_of(const void* extent, size_t part, uint64_t first, uint64_t num_rows) const noexcept;

  /// As decode, for those rows.
  void decode_rows(const void* extent, size_t part, uint64_t first, uint64_t num_rows, moe_dtype dtype,
                   void* out) const noexcept;

 private:
  explicit ExpertStream(std::vector<PartExtent> parts) : parts_(std::move(parts)) {}
  void write_part(const PartExtent& part, const Quantized& quantized, uint8_t* extent) const;
  std::vector<PartExtent> parts_;  ///< ascending by offset
};

/// Bytes of one expert's extent. Errors: as ExpertStream::plan.
Result<uint64_t> stream_size(const std::vector<PartShape>& parts, const Precision& precision);

}  // namespace moe::precision
