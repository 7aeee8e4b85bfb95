// SPDX-License-Identifier: Apache-2.0
#include "runtime/precision/codec.h"

#include <algorithm>
#include <limits>
#include <string>

#include "runtime/precision/grouping.h"
#include "runtime/precision/hadamard.h"
#include "runtime/precision/hqq.h"

namespace moe::precision {
namespace {

/// torch's maximum and minimum: a NaN wins.
float larger(float a, float b) { return a > b || std::isnan(a) ? a : b; }
float smaller(float a, float b) { return a < b || std::isnan(a) ? a : b; }

void scale_symmetric(const std::vector<float>& values, const Grouping& grouping, Quantized& result) {
  const FormatInfo& format = info(result.options.format);
  const float largest = format.float8 ? format.float8->largest : 127;
  for (uint64_t k = 0; k < grouping.num_groups; ++k) {
    float most = 0;
    for (uint64_t j = 0; j < grouping.length; ++j) most = larger(most, std::fabs(values[grouping.source(k, j)]));
    const float scale = round_to(result.dtype, most / largest);
    if (scale == 0) ++result.num_zero_scales;
    result.scale.push_back(scale);
  }
}

uint8_t encode_symmetric(const FormatInfo& format, float d) {
  if (format.float8) {
    const float largest = format.float8->largest;
    return to_float8(*format.float8, std::isnan(d) ? d : std::clamp(d, -largest, largest));
  }
  if (std::isnan(d)) return 0;
  return static_cast<uint8_t>(static_cast<int8_t>(std::clamp(std::nearbyint(d), -128.0F, 127.0F)));
}

void quantize_symmetric(const std::vector<float>& values, const Grouping& grouping, Quantized& result) {
  scale_symmetric(values, grouping, result);
  const FormatInfo& format = info(result.options.format);
  for (uint64_t k = 0; k < grouping.num_groups; ++k) {
    const float scale = result.scale[k];
    for (uint64_t j = 0; j < grouping.length; ++j) {
      const float w = values[grouping.source(k, j)];
      const bool zero_of_zero = w == 0 && scale == 0;  // 0 / 0: quanto's NaN
      result.codes[grouping.code(k, j)] =
          zero_of_zero ? uint8_t{0} : encode_symmetric(format, round_to(result.dtype, w / scale));
    }
  }
}

void scale_affine(const std::vector<float>& values, const Grouping& grouping, Quantized& result) {
  const auto levels = static_cast<float>((1U << info(result.options.format).bits) - 1);
  for (uint64_t k = 0; k < grouping.num_groups; ++k) {
    float least = values[grouping.source(k, 0)];
    float most = least;
    for (uint64_t j = 1; j < grouping.length; ++j) {
      const float w = values[grouping.source(k, j)];
      least = smaller(least, w);
      most = larger(most, w);
    }
    const float scale = round_to(result.dtype, round_to(result.dtype, most - least) / levels);
    if (scale == 0) ++result.num_zero_scales;
    result.scale.push_back(scale);
    float shift = -least;
    if (result.options.zeropoint) {
      const float whole = std::nearbyint(round_to(result.dtype, shift / scale));
      shift = std::isnan(whole) ? 0 : std::clamp(whole, 0.0F, levels);
    }
    result.shift.push_back(shift);
  }
}

/// y = x H / sqrt(n), then a symmetric code of -8 to 7 for each, kept as code + 8. The scale's divisor is 7, so that
/// both ends have room.
void quantize_rotated(std::vector<float>& values, Quantized& result) {
  const uint32_t block = hadamard_block(result.cols);
  for (uint64_t at = 0; at < values.size(); at += block) hadamard_rotate(values.data() + at, block);
  for (uint64_t at = 0; at < values.size(); at += kHadamardGroup) {
    float most = 0;
    for (uint32_t j = 0; j < kHadamardGroup; ++j) most = larger(most, std::fabs(values[at + j]));
    const float scale = round_to(result.dtype, most / 7);
    if (scale == 0) ++result.num_zero_scales;
    result.scale.push_back(scale);
    for (uint32_t j = 0; j < kHadamardGroup; ++j) {
      const float d = std::nearbyint(values[at + j] / scale);
      result.codes[at + j] =
          scale == 0 || std::isnan(d) ? uint8_t{8} : static_cast<uint8_t>(std::clamp(d, -8.0F, 7.0F) + 8);
    }
  }
}

Result<void> check(const MatrixView& matrix, const Options& options) {
  const auto invalid = [](std::string reason) { return Error{Error::Kind::invalid, std::move(reason)}; };
  if (matrix.rows == 0 || matrix.cols == 0) return invalid("a matrix without elements cannot be quantized");
  if (options.format == Format::native) return invalid("`none` is no format to quantize to");
  if (options.format == Format::hadamard4 && (options.axis == Axis::columns || hadamard_block(matrix.cols) == 0)) {
    return invalid("hadamard4 needs rows of a multiple of 32 numbers, not of " + std::to_string(matrix.cols));
  }
  const uint64_t length = options.axis == Axis::rows ? matrix.cols : matrix.rows;
  if (options.group != 0 && !info(options.format).affine) {
    return invalid(std::string(info(options.format).name) + " has no groups to choose");
  }
  if (options.group != 0 && length % options.group != 0) {
    return invalid("groups of " + std::to_string(options.group) + " do not divide " + std::to_string(length));
  }
  return {};
}

std::vector<float> dequantize_rotated(const Quantized& quantized) {
  std::vector<float> values(quantized.codes.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = quantized.scale[i / kHadamardGroup] * static_cast<float>(int{quantized.codes[i]} - 8);
  }
  const uint32_t block = hadamard_block(quantized.cols);
  for (size_t at = 0; at < values.size(); at += block) hadamard_rotate_back(values.data() + at, block);
  for (float& value : values) value = round_to(quantized.dtype, value);
  return values;
}

}  // namespace

Grouping grouping_of(const Quantized& quantized) {
  return {quantized.options.axis, quantized.rows, quantized.cols, quantized.options.group};
}

uint64_t Quantized::group_length() const {
  if (options.format == Format::hadamard4) return kHadamardGroup;
  return grouping_of(*this).length;
}

uint64_t Quantized::code_rows() const {
  if (options.axis == Axis::rows) return rows * cols / code_cols();
  return options.group ? options.group : rows;
}

uint64_t Quantized::code_cols() const {
  if (options.axis == Axis::rows) return options.group ? options.group : cols;
  return rows * cols / code_rows();
}

uint32_t default_group(uint64_t cols) {
  if (cols <= 128) return 0;
  for (const uint32_t group : {128U, 96U, 64U, 32U}) {
    if (cols % group == 0) return group;
  }
  return 0;
}

Result<Quantized> quantize(const MatrixView& matrix, const Options& options) {
  if (Result<void> good = check(matrix, options); !good) return good.error();
  std::vector<float> values(matrix.rows * matrix.cols);
  for (size_t i = 0; i < values.size(); ++i) values[i] = load(matrix.dtype, matrix.data, i);
  Quantized result;
  result.options = options;
  result.dtype = matrix.dtype;
  result.rows = matrix.rows;
  result.cols = matrix.cols;
  result.codes.resize(values.size());
  const Grouping grouping = grouping_of(result);
  if (options.format == Format::hadamard4) {
    quantize_rotated(values, result);
  } else if (info(options.format).affine) {
    scale_affine(values, grouping, result);
    encode_affine(values, grouping, result);
    if (options.hqq && !options.zeropoint) search_shift(values, grouping, result);
  } else {
    quantize_symmetric(values, grouping, result);
  }
  return result;
}

void encode_affine(const std::vector<float>& values, const Grouping& grouping, Quantized& result) {
  const moe_dtype dtype = result.dtype;
  const auto levels = static_cast<float>((1U << info(result.options.format).bits) - 1);
  for (uint64_t k = 0; k < grouping.num_groups; ++k) {
    const float scale = result.scale[k];
    const float shift = result.shift[k];
    for (uint64_t j = 0; j < grouping.length; ++j) {
      const float w = values[grouping.source(k, j)];
      const float d = result.options.zeropoint ? round_to(dtype, std::nearbyint(round_to(dtype, w / scale)) + shift)
                                               : std::nearbyint(round_to(dtype, round_to(dtype, w + shift) / scale));
      result.codes[grouping.code(k, j)] =
          std::isnan(d) ? uint8_t{0} : static_cast<uint8_t>(std::clamp(d, 0.0F, levels));
    }
  }
}

std::vector<float> dequantize(const Quantized& quantized) {
  if (quantized.options.format == Format::hadamard4) return dequantize_rotated(quantized);
  const FormatInfo& format = info(quantized.options.format);
  const moe_dtype dtype = quantized.dtype;
  const Grouping grouping = grouping_of(quantized);
  std::vector<float> values(quantized.codes.size());
  for (uint64_t k = 0; k < grouping.num_groups; ++k) {
    const float scale = quantized.scale[k];
    const float shift = format.affine ? quantized.shift[k] : 0;
    for (uint64_t j = 0; j < grouping.length; ++j) {
      const uint8_t code = quantized.codes[grouping.code(k, j)];
      float& value = values[grouping.source(k, j)];
      if (format.float8) {
        value = round_to(dtype, scale * from_float8(*format.float8, code));
      } else if (!format.affine) {
        value = round_to(dtype, scale * static_cast<float>(static_cast<int8_t>(code)));
      } else if (quantized.options.zeropoint) {
        value = round_to(dtype, scale * (static_cast<float>(code) - shift));
      } else {
        value = round_to(dtype, round_to(dtype, scale * static_cast<float>(code)) - shift);
      }
    }
  }
  return values;
}

float tinygemm_shift(float scale, float shift) {
  const auto rounded = [](float value) { return round_to(MOE_BF16, value); };
  const float half_range = rounded(scale * 8);
  return rounded(half_range - rounded(rounded(-shift) + half_range));
}

}  // namespace moe::precision
