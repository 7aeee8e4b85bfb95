// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/cuda/copy_batch.h"
#include "runtime/cuda/pinned_pool.h"

namespace moe::cuda {

/// The way from host memory to the device: from page-locked memory as it is, from other memory through page-locked
/// blocks, filled while the device empties others.
///
/// Threads  one at a time; the current device is the pool's.
class Staging {
 public:
  explicit Staging(Driver& driver) : pool_(driver), batch_(driver) {}

  /// Errors: no_memory, device.
  Result<void> allocate(size_t pinned_bytes) { return pool_.allocate(pinned_bytes); }

  /// Copies `source`, which is not needed afterwards. What does not fill a block is not queued before flush.
  Result<void> add(Stream stream, void* to, const void* source, size_t size_bytes);
  /// The same from page-locked memory, which stays as it is until the copy has ended.
  Result<void> add_locked(Stream stream, void* to, const void* source, size_t size_bytes);
  /// Queues all that was added.
  Result<void> flush();

  size_t pinned_bytes() const { return pool_.size_bytes(); }

 private:
  Result<void> turn_to(Stream stream);

  PinnedPool pool_;
  CopyBatch batch_;
  PinnedPool::Block block_;  ///< valid while `open_`
  size_t used_bytes_ = 0;    ///< of it
  bool open_ = false;
  size_t waiting_bytes_ = 0;  ///< of add_locked, since the last flush
  Stream stream_ = nullptr;   ///< of what was added
};

}  // namespace moe::cuda
