// SPDX-License-Identifier: Apache-2.0
// Quantizes matrices and takes them back, with the numbers of optimum-quanto 0.2.7 on a CPU, bit for bit.
//
// Every step of the arithmetic is rounded to the matrix's own dtype T, as torch does: it computes in binary32 and
// rounds, to nearest and ties to even. The steps, with r a row or group:
//
//   8 bits   scale[r] = T(max |w| / q), q = 127 or the largest number of the float8 format; d = T(w / scale)
//            int8: code = clamp(round(d), -128, 127); float8: code = float8(clamp(d, -q, q)); back: T(scale * T(code))
//   2, 4     scale = T(T(max - min) / (2^bits - 1)), shift = -min; code = clamp(round(T(T(w + shift) / scale)), 0,
//   bits     2^bits - 1); back: T(T(scale * code) - shift), so that a constant group comes back exactly
//
// A row of zeros has scale 0. Where quanto 0.2.7 makes NaNs of it in the float8 formats, codes here are 0, and
// Quantized::num_zero_scales counts such rows.
//
// Threads  functions without state: any.
// Memory   12 to 20 bytes an element while they run; they allocate.
#pragma once
#include <cstdint>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/precision/format.h"

namespace moe::precision {

/// A row-major matrix that somebody else owns; rows are outputs.
struct MatrixView {
  moe_dtype dtype = MOE_F32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  const void* data = nullptr;  ///< may be unaligned
};

enum class Axis : uint8_t {
  rows,     ///< quanto's axis 0, that of all weights of modules: a scale covers numbers of one row
  columns,  ///< quanto's axis -1: numbers of one column
};

struct Options {
  Format format = Format::qint8;
  uint32_t group = 0;  ///< of formats with groups: numbers that share a scale; 0: a whole row or column
  Axis axis = Axis::rows;
  bool zeropoint = false;  ///< affine formats: the shift is a whole number of scales, so that 0 is exact
  /// Affine formats: search the shift as HQQ does (Badri and Shaji, "Half-quadratic quantization", 2023; lp 0.7, beta
  /// 10, kappa 1.01, 20 steps, as in quanto). Sums are in another order than torch's, so it agrees with quanto in its
  /// error, not in its bits.
  bool hqq = false;
};

/// A quantized matrix, in the order that quanto keeps: for axis rows the matrix's own, cut into groups; for axis
/// columns with groups a matrix of `group` rows whose columns are the groups.
struct Quantized {
  Options options;
  moe_dtype dtype = MOE_F32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  std::vector<uint8_t> codes;  ///< one a byte: int8 as two's complement, float8 as bits, hadamard4 as code + 8
  std::vector<float> scale;    ///< [num_groups], numbers of `dtype`
  std::vector<float> shift;  ///< [num_groups] of affine formats, numbers of `dtype`, or 0 to 2^bits - 1 with zeropoint
  uint64_t num_zero_scales = 0;

  uint64_t group_length() const;
  uint64_t num_groups() const { return scale.size(); }
  /// Of the matrix of codes, as scale and shift are laid out and as it is packed.
  uint64_t code_rows() const;
  uint64_t code_cols() const;
};

/// What quanto takes for a weight of a module: of 128, 96, 64 and 32 the first that divides `cols`; 0 when none does,
/// or cols <= 128.
uint32_t default_group(uint64_t cols);

/// Errors: invalid: a group that does not divide the axis' length; hadamard4 for a matrix whose rows are no multiple of
/// 32 long, or with axis columns; no elements.
Result<Quantized> quantize(const MatrixView& matrix, const Options& options);

/// Element (row, column) of the result is `out[row * cols + column]`: numbers of quantized.dtype.
std::vector<float> dequantize(const Quantized& quantized);

/// What quanto stores for a shift of bfloat16 weights in qint4 with groups of 128, which it holds as TinyGemm does,
/// by the middle of the range, when it saves them: T(8 s - T(T(-shift) + 8 s)).
float tinygemm_shift(float scale, float shift);

}  // namespace moe::precision
