// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/staging.h"

#include <algorithm>
#include <cstring>

namespace moe::cuda {

/// What is added from now on is for this stream.
Result<void> Staging::turn_to(Stream stream) {
  Result<void> queued;
  if (stream != stream_) queued = flush();
  stream_ = stream;
  return queued;
}

Result<void> Staging::add_locked(Stream stream, void* to, const void* source, size_t size_bytes) {
  if (Result<void> turned = turn_to(stream); !turned) return turned;
  batch_.add({to, source, size_bytes});
  waiting_bytes_ += size_bytes;
  // From here on a call costs nothing beside the copy itself.
  return waiting_bytes_ < PinnedPool::kBlockBytes ? Result<void>() : flush();
}

Result<void> Staging::add(Stream stream, void* to, const void* source, size_t size_bytes) {
  if (Result<void> turned = turn_to(stream); !turned) return turned;
  auto* target = static_cast<std::byte*>(to);
  const auto* from = static_cast<const std::byte*>(source);
  while (size_bytes != 0) {
    if (!open_) {
      Result<PinnedPool::Block> block = pool_.take();
      if (!block) return block.error();
      block_ = *block;
      used_bytes_ = 0;
      open_ = true;
    }
    const size_t count = std::min(size_bytes, PinnedPool::kBlockBytes - used_bytes_);
    std::memcpy(block_.data + used_bytes_, from, count);
    batch_.add({target, block_.data + used_bytes_, count});
    used_bytes_ += count;
    target += count;
    from += count;
    size_bytes -= count;
    if (used_bytes_ < PinnedPool::kBlockBytes) continue;
    if (Result<void> queued = flush(); !queued) return queued;
  }
  return {};
}

Result<void> Staging::flush() {
  if (batch_.empty()) return {};
  waiting_bytes_ = 0;
  Result<void> queued = batch_.submit(stream_);
  if (!open_) return queued;
  open_ = false;
  // Also after a failure: some of it may be under way.
  Result<void> noted = pool_.give_back(block_, stream_);
  return queued ? noted : queued;
}

}  // namespace moe::cuda
