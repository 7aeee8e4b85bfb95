// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace engine {

/// A row-major fp32 matrix. One row per token for activations, one row per output for weights.
struct Matrix {
  size_t rows = 0, cols = 0;
  std::vector<float> values;  ///< [rows * cols]

  Matrix() = default;
  Matrix(size_t num_rows, size_t num_cols) : rows(num_rows), cols(num_cols), values(num_rows * num_cols) {}

  float* row(size_t r) { return values.data() + r * cols; }
  const float* row(size_t r) const { return values.data() + r * cols; }
  bool empty() const { return values.empty(); }
};

}  // namespace engine
