// SPDX-License-Identifier: Apache-2.0
// A state that the reference interpreter can start from in the middle of a run: of policies whose eviction rules are a
// number per resident (lru, lfu, score, freq_threshold, fifo, least), whose prefetch remembers nothing (none, gate,
// most), and which neither adapt, choose, learn, share slots nor read the monitor's window.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "ir/expr.h"

namespace moe::ir {

struct Snapshot {
  struct Resident {
    uint32_t key = 0;
    uint64_t load_number = 0;
    uint64_t last_use = 0;
    uint64_t loaded_at = 0;
    uint64_t uses = 0;
    double ema = 0;
    double freq = 0;
    double foretold = 0;
    bool pinned = false;
    bool awaits_layer = false;
  };
  struct Instance {
    uint32_t layer = 0;  ///< that installed its rules, with `phase`
    Phase phase = Phase::decode;
    uint32_t capacity = 0;
    uint64_t accesses = 0;
    std::vector<Resident> residents;
    std::vector<uint32_t> window;  ///< keys of the last accesses, oldest first; where freq_threshold reads them
  };
  struct Expert {
    double seen = 0;
    uint64_t last_dispatch = 0;
    uint64_t request_uses = 0;
    std::optional<uint64_t> last_access;
    std::vector<double> rates;  ///< in the order of Snapshot::rates
  };
  struct Rate {
    bool of_weights = false;
    uint32_t window = 1;
    uint32_t largest = 0;
  };
  uint64_t num_loads = 0;
  std::optional<uint32_t> request;
  std::vector<Instance> instances;
  std::vector<Expert> experts;  ///< by key
  std::vector<uint64_t> layer_dispatches;
  std::vector<Rate> rates;
};

}  // namespace moe::ir
