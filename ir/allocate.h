// SPDX-License-Identifier: Apache-2.0
// per_layer: slots shared by the layers in proportion to a signal.
#pragma once
#include <cstdint>
#include <vector>

namespace moe::ir {

struct AllocationLimits {
  uint64_t total = 0;
  uint32_t min_capacity = 0;  ///< of each layer
  uint32_t max_capacity = 0;  ///< of each layer; at least min_capacity
};

/// min_capacity for each layer; the rest by largest remainder of `signal`, capped at max_capacity and repeated among
/// the layers not capped; ties to the lower layer. The sum is exactly min(total, layers x max_capacity), or layers x
/// min_capacity when the total is less. A signal of which no layer has any (all zero, or not finite) counts as uniform.
std::vector<uint32_t> allocate(const AllocationLimits& limits, const std::vector<double>& signal);

}  // namespace moe::ir
