// SPDX-License-Identifier: Apache-2.0
#include "runtime/precision/hqq.h"

#include <algorithm>

namespace moe::precision {
namespace {

constexpr float kNorm = 0.7F;  // lp
constexpr double kFirstBeta = 10;
constexpr double kKappa = 1.01;
constexpr int kSteps = 20;

double mean_error(const std::vector<float>& values, const std::vector<float>& back) {
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += std::fabs(static_cast<double>(values[i]) - back[i]);
  return sum / static_cast<double>(values.size());
}

/// The proximal operator of |x|^p: sign(x) relu(|x| - |x|^(p-1) / beta).
float shrink(float x, double beta) {
  const float magnitude = std::fabs(x);
  if (magnitude == 0) return 0;
  const float shrunk = magnitude - std::pow(magnitude, kNorm - 1) / static_cast<float>(beta);
  return std::copysign(std::max(shrunk, 0.0F), x);
}

std::vector<float> step(const std::vector<float>& values, const std::vector<float>& back, const Grouping& grouping,
                        const Quantized& quantized, double beta) {
  const moe_dtype dtype = quantized.dtype;
  std::vector<float> shifts;
  for (uint64_t k = 0; k < grouping.num_groups; ++k) {
    double sum = 0;
    for (uint64_t j = 0; j < grouping.length; ++j) {
      const uint64_t i = grouping.source(k, j);
      const float e = round_to(dtype, shrink(round_to(dtype, values[i] - back[i]), beta));
      const float scaled =
          round_to(dtype, quantized.scale[k] * static_cast<float>(quantized.codes[grouping.code(k, j)]));
      sum += round_to(dtype, scaled - round_to(dtype, values[i] - e));
    }
    shifts.push_back(round_to(dtype, static_cast<float>(sum / static_cast<double>(grouping.length))));
  }
  return shifts;
}

}  // namespace

void search_shift(const std::vector<float>& values, const Grouping& grouping, Quantized& result) {
  Quantized trial = result;
  std::vector<float> back = dequantize(trial);
  double best = mean_error(values, back);
  double beta = kFirstBeta;
  for (int i = 0; i < kSteps; ++i, beta *= kKappa) {
    trial.shift = step(values, back, grouping, trial, beta);
    encode_affine(values, grouping, trial);
    back = dequantize(trial);
    const double error = mean_error(values, back);
    if (!(error < best)) return;
    best = error;
    result.shift = trial.shift;
    result.codes = trial.codes;
  }
}

}  // namespace moe::precision
