// SPDX-License-Identifier: Apache-2.0
// lru, lfu with history, and a composition, written by hand for the shapes of the benchmark: what somebody would put
// into an engine who wants that policy and no other. They decide exactly what the kernels decide, and keep nothing that
// their policy does not need. Nothing of runtime/decision but its boundary is used.
#pragma once
#include <string_view>

#include "runtime/decision/abi.h"

namespace moe::bench {

struct Baseline {
  std::string_view policy;  ///< of bench/policies; "lru": half of all experts in one cache
  uint32_t num_layers;
  uint32_t num_experts;
  uint32_t top_k;
  void* (*make)();
  void (*free)(void* state);
  decision::DispatchFn dispatch;
};

/// null: nobody wrote that by hand.
const Baseline* find_baseline(std::string_view policy, uint32_t num_layers, uint32_t num_experts, uint32_t top_k);

}  // namespace moe::bench
