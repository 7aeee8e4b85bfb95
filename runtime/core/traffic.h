// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>

namespace moe::core {

/// What is counted of mechanism, by several threads. Relaxed: numbers, not signals.
struct Traffic {
  std::atomic<uint64_t> bytes_moved{0};
  std::atomic<uint64_t> stall_ns{0};
  std::atomic<uint64_t> failed_loads{0};
  std::atomic<uint64_t> swaps{0};
  std::atomic<uint64_t> resident{0};  ///< experts resident now
};

}  // namespace moe::core
