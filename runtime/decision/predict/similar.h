// SPDX-License-Identifier: Apache-2.0
// Cosines of one row with many stored ones. The stored lie side by side, [number of the row][place], so that one pass
// over the row's numbers serves all of them: each sum keeps its own order, and the loop over places vectorises.
#pragma once
#include "runtime/base/math.h"
#include "runtime/decision/predict/head.h"

namespace moe::decision {

/// dots[place] += the products of `row` with the stored, in order of `size`. What is 0 adds nothing.
template <class Number>
MOE_FOLDED void add_products(const Number* row, uint32_t size, const Number* stored, uint32_t places, double* dots) {
  for (uint32_t i = 0; i < size; ++i, stored += places) {
    const double x = static_cast<double>(row[i]);
    if (x == 0) continue;
    MOE_EACH_OUTPUT
    for (uint32_t s = 0; s < places; ++s) dots[s] += x * static_cast<double>(stored[s]);
  }
}

/// norm + the squares of `row`, in order.
template <class Number>
MOE_FOLDED double add_squares(const Number* row, uint32_t size, double norm) {
  for (uint32_t i = 0; i < size; ++i) {
    const double x = static_cast<double>(row[i]);
    norm += x * x;
  }
  return norm;
}

/// cosines[place] of the products and norms; 0 where one of the rows is all zero. May be in place.
MOE_FOLDED void to_cosines(const double* dots, double norm, const double* norms, uint32_t places, double* cosines) {
  MOE_EACH_OUTPUT
  for (uint32_t s = 0; s < places; ++s) {
    const double cosine = dots[s] / math::sqrt(norm * norms[s]);
    cosines[s] = norm == 0 || norms[s] == 0 ? 0 : cosine;
  }
}

/// The first of the largest. There must be one.
MOE_FOLDED uint32_t first_largest(const double* values, uint32_t size) {
  uint32_t best = 0;
  for (uint32_t s = 1; s < size; ++s) best = values[s] > values[best] ? s : best;
  return best;
}

}  // namespace moe::decision
