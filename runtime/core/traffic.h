// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>

namespace moe::core {

/// What is counted of mechanism, by several threads. Relaxed: numbers, not signals. The dispatching thread's are apart
/// from the transfer thread's, so that neither waits for the other's cache line.
struct Traffic {
  alignas(64) std::atomic<uint64_t> bytes_moved{0};
  std::atomic<uint64_t> stall_ns{0};
  std::atomic<uint64_t> failed_loads{0};
  std::atomic<uint64_t> disk_bytes{0};  ///< the disk thread's
  alignas(64) std::atomic<uint64_t> swaps{0};
  std::atomic<uint64_t> resident{0};  ///< experts resident now
};

}  // namespace moe::core
