// SPDX-License-Identifier: Apache-2.0
// Routing that all of bench-dispatch's rows share: deterministic, one token a dispatch, layer after layer.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ir/bind.h"

namespace moe::bench {

struct Routing {
  ir::ModelShape shape;
  std::vector<int32_t> ids;    ///< [num_dispatches][top_k]
  std::vector<float> weights;  ///< the same shape
  size_t num_dispatches = 0;
};

/// Each layer chooses by Zipf's law (exponent 1) over an order of its own, without repeats; weights fall with k and add
/// up to 1. `tokens_per_phase`: after so many tokens every layer gets another order; 0: never.
Routing zipf_routing(const ir::ModelShape& shape, size_t tokens, size_t tokens_per_phase);

/// Skewed by a power law, the same in all layers: what the eviction rules are compared on.
Routing skewed_routing(const ir::ModelShape& shape, size_t tokens);

/// "27x64x6"
std::string name_of(const ir::ModelShape& shape);

}  // namespace moe::bench
