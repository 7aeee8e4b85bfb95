// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/memory.h"

namespace moe::disk {

/// Equal buffers aligned to 4096 that reads go through whose destination the disk cannot write to.
///
/// Memory   one allocation: from the hooks when there are some (pinned, for a device), else mapped and populated.
/// Threads  none: the reader's owner.
class StagingPool {
 public:
  StagingPool() = default;
  /// Throws std::bad_alloc.
  StagingPool(const std::optional<Allocator>& hooks, uint32_t num_buffers, size_t buffer_bytes);
  StagingPool(const StagingPool&) = delete;
  StagingPool& operator=(const StagingPool&) = delete;
  ~StagingPool();

  /// -1: all are in use.
  int32_t take();
  void give_back(int32_t buffer) { free_.push_back(buffer); }
  std::span<std::byte> memory(int32_t buffer) const {
    return {memory_ + static_cast<size_t>(buffer) * buffer_bytes_, buffer_bytes_};
  }
  std::vector<iovec> buffers() const;

 private:
  std::optional<Allocator> hooks_;
  size_t size_bytes_ = 0;
  size_t buffer_bytes_ = 0;
  std::byte* memory_ = nullptr;
  std::vector<int32_t> free_;  ///< never longer than what it was reserved for
  uint32_t num_buffers_ = 0;
};

}  // namespace moe::disk
