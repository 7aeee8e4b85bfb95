// SPDX-License-Identifier: Apache-2.0
// How fast one thread copies experts: host memory to host memory, and to a backend's fast tier.
#pragma once
#include <chrono>
#include <vector>

#include "runtime/device/profile.h"

namespace moe::device {

struct MemoryOptions {
  uint64_t expert_bytes = 16 << 20;  ///< 4 KiB to 1 GiB
  /// Of the memory copied from, and of that copied to: larger than caches, so that blocks come from memory as experts
  /// do. At least one expert, at most an eighth of what is available.
  uint64_t pool_bytes = 256 << 20;
  std::chrono::milliseconds row_limit{50};  ///< a row ends then, after three rounds at least
};

/// Errors: invalid (expert_bytes).
Result<void> check(const MemoryOptions& options);

struct MemorySpeed {
  std::vector<Rate> host_copy;
  std::vector<Rate> link;  ///< of the host backend: its fast tier is another allocation
};

/// Rows for blocks of 64 KiB, 256 KiB, 1, 4, 16, 64 MiB and of an expert, as far as the pool holds them. A round copies
/// 32 MiB (one block if that is larger), walking through both pools; a row has 3 to 9 rounds and the median counts.
/// Cost: twice the pool in memory, about a second. Errors: invalid (expert_bytes), no_memory.
Result<MemorySpeed> measure_memory(const MemoryOptions& options, uint64_t available_bytes);

/// The median of `values`, which is not empty; of an even number the upper one.
double median(std::vector<double> values);

}  // namespace moe::device
