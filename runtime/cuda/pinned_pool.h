// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "runtime/base/result.h"
#include "runtime/cuda/driver.h"

namespace moe::cuda {

/// Page-locked host memory in blocks of one size, through which copies go: a device reads such memory by itself, while
/// the thread fills the next block.
///
/// Threads    one at a time.
/// Memory     as asked for; less, down to two blocks, where the system locks no more.
/// Invariant  a block that take() gives is read by no copy: it waits for the event behind the block's last one.
class PinnedPool {
 public:
  static constexpr size_t kBlockBytes = size_t{1} << 20;
  static constexpr size_t kDefaultBytes = 16 * kBlockBytes;

  explicit PinnedPool(Driver& driver) : driver_(driver) {}
  ~PinnedPool();
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;

  /// `size_bytes` 0: the default. Errors: no_memory, device.
  Result<void> allocate(size_t size_bytes);

  struct Block {
    uint32_t index = 0;
    std::byte* data = nullptr;  ///< kBlockBytes
  };
  /// The block that was given back longest ago, once its copy has ended. Errors: device.
  Result<Block> take();
  /// The copy from the block is queued on `stream`. Blocks come back in the order in which they were taken.
  Result<void> give_back(const Block& block, Stream stream);

  size_t size_bytes() const { return events_.size() * kBlockBytes; }

 private:
  Driver& driver_;
  std::byte* memory_ = nullptr;
  std::vector<Event> events_;    ///< of the blocks
  std::vector<uint8_t> in_use_;  ///< of the blocks: a copy may read it
  uint32_t next_ = 0;
};

}  // namespace moe::cuda
