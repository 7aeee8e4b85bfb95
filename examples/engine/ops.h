// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "examples/engine/matrix.h"

namespace engine {

// The arithmetic of a transformer, in fp32. Eigen is behind these functions only.
//
// Determinism: a result depends on the arguments' values and shapes, never on where they lie in memory. That is what
// lets every policy give the same bits.

/// x [n, in] times the transpose of w [out, in], plus `bias` [out] unless it is empty: [n, out].
Matrix linear(const Matrix& x, const Matrix& w, std::span<const float> bias = {});

/// Each row divided by its root mean square, times `weight` [cols].
Matrix rms_norm(const Matrix& x, std::span<const float> weight, float eps);

/// Each row's softmax, in place.
void softmax_rows(Matrix& x);

float sigmoid(float x);

/// A gated MLP: down(silu(gate(x)) * up(x)).
struct Mlp {
  Matrix gate, up;  ///< [width, hidden]
  Matrix down;      ///< [hidden, width]
};
Matrix apply(const Mlp& mlp, const Matrix& x);

float dot(const float* x, const float* y, size_t size);

/// x += y.
void add(Matrix& x, const Matrix& y);

/// y += factor * x, for rows of `size` numbers.
void add_scaled(float* y, const float* x, float factor, size_t size);

void clamp(Matrix& x, float limit);

/// cos and sin of every position's rotation angles, each [n, head_dim / 2].
struct RopeTable {
  Matrix cos, sin;
};
RopeTable make_rope_table(size_t first_position, size_t n, size_t head_dim, double theta);

/// Rotates every head of every row, in place. Pairs are (i, i + head_dim / 2): halves, as Hugging Face stores them.
void rotate(Matrix& x, size_t num_heads, const RopeTable& table);

/// Causal attention of `q` [n, num_heads * head_dim] over all of `keys` and `values` [length, num_kv_heads * head_dim],
/// whose last n rows are the queries' own tokens. Query head h reads key head h / (num_heads / num_kv_heads). A token
/// sees `window` tokens, itself included (>= 1).
struct AttentionShape {
  size_t num_heads, num_kv_heads;
  size_t window = SIZE_MAX;
};
Matrix attend(const Matrix& q, const Matrix& keys, const Matrix& values, const AttentionShape& shape);

}  // namespace engine
