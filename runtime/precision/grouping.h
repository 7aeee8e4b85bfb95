// SPDX-License-Identifier: Apache-2.0
// Which elements of a matrix share a scale, and where their codes lie. Inside of the codecs.
#pragma once
#include "runtime/precision/codec.h"

namespace moe::precision {

/// Element j of group k: where it is in the row-major matrix, and where its code is in quanto's order.
struct Grouping {
  Grouping(Axis axis_, uint64_t rows, uint64_t cols_, uint32_t group) : axis(axis_), cols(cols_) {
    const uint64_t along = axis == Axis::rows ? cols : rows;
    length = group ? group : along;
    per_line = along / length;
    num_groups = rows * cols / length;
  }
  uint64_t source(uint64_t k, uint64_t j) const {
    if (axis == Axis::rows) return k * length + j;
    return (k % per_line * length + j) * cols + k / per_line;
  }
  uint64_t code(uint64_t k, uint64_t j) const { return axis == Axis::rows ? k * length + j : j * num_groups + k; }

  Axis axis;
  uint64_t cols;
  uint64_t length = 0;    ///< elements of a group
  uint64_t per_line = 0;  ///< groups in a row, or column
  uint64_t num_groups = 0;
};

Grouping grouping_of(const Quantized& quantized);

/// Codes of an affine format from result.scale and result.shift.
void encode_affine(const std::vector<float>& values, const Grouping& grouping, Quantized& result);

}  // namespace moe::precision
