// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/precision/grouping.h"

namespace moe::precision {

/// Half-quadratic search for better shifts of an affine format; scales stay. Leaves the best shifts and their codes.
/// The search ends when the mean error of the whole matrix gets no smaller, so a single group can get worse.
void search_shift(const std::vector<float>& values, const Grouping& grouping, Quantized& result);

}  // namespace moe::precision
