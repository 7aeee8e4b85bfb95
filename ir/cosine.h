// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

#include "runtime/base/math.h"

namespace moe::ir {

/// Of the first `size` numbers of two rows, summed in order in binary64; 0 when one of them is all zero.
template <class Number>
double cosine(const Number* a, const Number* b, size_t size) {
  double dot = 0, norm_a = 0, norm_b = 0;
  for (size_t i = 0; i < size; ++i) {
    const auto x = static_cast<double>(a[i]);
    const auto y = static_cast<double>(b[i]);
    dot += x * y;
    norm_a += x * x;
    norm_b += y * y;
  }
  if (norm_a == 0 || norm_b == 0) return 0;
  return dot / math::sqrt(norm_a * norm_b);
}

}  // namespace moe::ir
