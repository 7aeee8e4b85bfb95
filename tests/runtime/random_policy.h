// SPDX-License-Identifier: Apache-2.0
// Random policies and routings for small models.
#pragma once
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "tests/runtime/support.h"

namespace moe::test {

using Random = std::mt19937_64;

inline uint32_t below(Random& random, uint32_t n) { return static_cast<uint32_t>(random() % n); }

inline decision::Params random_shape(Random& random) {
  const uint32_t layers = 1 + below(random, 4);
  const uint32_t experts = 2 + below(random, 40);
  return lru_params(layers, experts, 1 + below(random, std::min(experts, 6u)), 1);
}

/// Any policy that the language can say, for the shape of `p`.
inline decision::Params random_policy(Random& random, decision::Params p, std::vector<uint32_t>& pins) {
  const uint32_t layers = p.num_layers;
  const uint32_t experts = p.num_experts;
  p.scope_layer = below(random, 2);
  const uint32_t places = p.scope_layer ? experts : layers * experts;
  p.capacity = 1 + below(random, places);
  p.eviction = below(random, 11);
  p.seed = random();
  p.admit = below(random, 8) != 0;
  p.protect_selected = below(random, 3) != 0;
  p.ttl = below(random, 3) == 0 ? 1 + below(random, 60) : 0;
  p.memory_threshold = below(random, 4) == 0 ? 0.8 : 0;
  p.memory_headroom = 0.5;
  p.memory_budget_gb = p.capacity * p.num_instances() * 0.9;
  p.strategy = below(random, 4);
  p.budget = 1 + below(random, 5);
  p.lookahead = 1 + below(random, 3);
  p.min_probability = 0.1;
  p.bandwidth = 0.5 + 0.5 * below(random, 2);
  p.miss = below(random, 3);
  p.cancel_stale = below(random, 2);
  p.overlap = below(random, 3) != 0;
  p.priority_routing = below(random, 2);
  pins.clear();
  for (uint32_t key = 0; key < p.num_keys() && pins.size() + 1 < p.capacity; ++key) {
    if (below(random, 10) == 0) pins.push_back(key);
  }
  p.pins = pins.data();
  p.num_pins = static_cast<uint32_t>(pins.size());
  return p;
}

inline std::vector<int32_t> random_routing(Random& random, const decision::Params& p, uint32_t max_tokens) {
  std::vector<int32_t> all(p.num_experts), ids;
  std::iota(all.begin(), all.end(), 0);
  const uint32_t tokens = below(random, 3) == 0 ? 1 + below(random, max_tokens) : 1;
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t k = 0; k < p.top_k; ++k) {
      std::swap(all[k], all[k + below(random, p.num_experts - k)]);
      ids.push_back(all[k]);
    }
  }
  return ids;
}

}  // namespace moe::test
