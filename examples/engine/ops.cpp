// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/ops.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <utility>

namespace engine {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const RowMajor>;
using MutableView = Eigen::Map<RowMajor>;
// One head of every row.
using HeadView = Eigen::Map<const RowMajor, Eigen::Unaligned, Eigen::OuterStride<>>;
using MutableHeadView = Eigen::Map<RowMajor, Eigen::Unaligned, Eigen::OuterStride<>>;

Eigen::Index index(size_t i) { return static_cast<Eigen::Index>(i); }

View view(const Matrix& m) { return {m.values.data(), index(m.rows), index(m.cols)}; }
MutableView view(Matrix& m) { return {m.values.data(), index(m.rows), index(m.cols)}; }

HeadView head(const Matrix& m, size_t h, size_t head_dim) {
  return {m.values.data() + h * head_dim, index(m.rows), index(head_dim), Eigen::OuterStride<>(index(m.cols))};
}
MutableHeadView head(Matrix& m, size_t h, size_t head_dim) {
  return {m.values.data() + h * head_dim, index(m.rows), index(head_dim), Eigen::OuterStride<>(index(m.cols))};
}

void softmax(float* values, size_t size) {
  const float largest = *std::max_element(values, values + size);
  float sum = 0;
  for (size_t i = 0; i < size; ++i) {
    values[i] = std::exp(values[i] - largest);
    sum += values[i];
  }
  for (size_t i = 0; i < size; ++i) values[i] /= sum;
}

}  // namespace

Matrix linear(const Matrix& x, const Matrix& w, std::span<const float> bias) {
  Matrix y(x.rows, w.rows);
  view(y).noalias() = view(x) * view(w).transpose();
  if (!bias.empty()) {
    for (size_t r = 0; r < y.rows; ++r) add_scaled(y.row(r), bias.data(), 1, y.cols);
  }
  return y;
}

Matrix rms_norm(const Matrix& x, std::span<const float> weight, float eps) {
  Matrix y(x.rows, x.cols);
  for (size_t r = 0; r < x.rows; ++r) {
    const float* in = x.row(r);
    float* out = y.row(r);
    double sum = 0;  // a long fp32 sum in order would lose digits
    for (size_t c = 0; c < x.cols; ++c) sum += double{in[c]} * in[c];
    const float scale = 1 / std::sqrt(static_cast<float>(sum / static_cast<double>(x.cols)) + eps);
    for (size_t c = 0; c < x.cols; ++c) out[c] = in[c] * scale * weight[c];
  }
  return y;
}

void softmax_rows(Matrix& x) {
  for (size_t r = 0; r < x.rows; ++r) softmax(x.row(r), x.cols);
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

Matrix apply(const Mlp& mlp, const Matrix& x) {
  Matrix gate = linear(x, mlp.gate);
  const Matrix up = linear(x, mlp.up);
  for (size_t i = 0; i < gate.values.size(); ++i) gate.values[i] *= sigmoid(gate.values[i]) * up.values[i];
  return linear(gate, mlp.down);
}

float dot(const float* x, const float* y, size_t size) {
  double sum = 0;
  for (size_t i = 0; i < size; ++i) sum += double{x[i]} * y[i];
  return static_cast<float>(sum);
}

void add(Matrix& x, const Matrix& y) { view(x) += view(y); }

void add_scaled(float* y, const float* x, float factor, size_t size) {
  for (size_t i = 0; i < size; ++i) y[i] += factor * x[i];
}

void clamp(Matrix& x, float limit) {
  for (float& value : x.values) value = std::clamp(value, -limit, limit);
}

RopeTable make_rope_table(size_t first_position, size_t n, size_t head_dim, double theta) {
  const size_t half = head_dim / 2;
  RopeTable table{Matrix(n, half), Matrix(n, half)};
  for (size_t i = 0; i < half; ++i) {
    // Rounded to fp32 at each step, as the reference does: at position 1000 the difference shows.
    const auto exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    const float frequency = 1 / std::pow(static_cast<float>(theta), exponent);
    for (size_t r = 0; r < n; ++r) {
      const float angle = static_cast<float>(first_position + r) * frequency;
      table.cos.row(r)[i] = std::cos(angle);
      table.sin.row(r)[i] = std::sin(angle);
    }
  }
  return table;
}

void rotate(Matrix& x, size_t num_heads, const RopeTable& table) {
  const size_t half = table.cos.cols;
  for (size_t r = 0; r < x.rows; ++r) {
    const float* cos = table.cos.row(r);
    const float* sin = table.sin.row(r);
    for (size_t h = 0; h < num_heads; ++h) {
      float* low = x.row(r) + h * 2 * half;
      float* high = low + half;
      for (size_t i = 0; i < half; ++i) {
        const float a = low[i], b = high[i];
        low[i] = a * cos[i] - b * sin[i];
        high[i] = b * cos[i] + a * sin[i];
      }
    }
  }
}

Matrix attend(const Matrix& q, const Matrix& keys, const Matrix& values, const AttentionShape& shape) {
  const size_t n = q.rows, length = keys.rows;
  const size_t head_dim = q.cols / shape.num_heads;
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  Matrix scores(n, length);
  Matrix result(n, q.cols);
  for (size_t h = 0; h < shape.num_heads; ++h) {
    const size_t kv = h / (shape.num_heads / shape.num_kv_heads);
    view(scores).noalias() = head(q, h, head_dim) * head(keys, kv, head_dim).transpose() * scale;
    for (size_t r = 0; r < n; ++r) {
      const size_t end = length - n + r + 1;  // a token sees itself and what came before
      const size_t begin = end - std::min(end, shape.window);
      std::fill(scores.row(r), scores.row(r) + begin, 0.0F);
      softmax(scores.row(r) + begin, end - begin);
      std::fill(scores.row(r) + end, scores.row(r) + length, 0.0F);
    }
    head(result, h, head_dim).noalias() = view(std::as_const(scores)) * head(values, kv, head_dim);
  }
  return result;
}

}  // namespace engine
