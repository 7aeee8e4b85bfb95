// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/pinned_pool.h"

#include <algorithm>

#include "runtime/cuda/errors.h"

namespace moe::cuda {

PinnedPool::~PinnedPool() {
  for (const Event event : events_) driver_.destroy_event(event);
  if (memory_) driver_.release_host(memory_);
}

Result<void> PinnedPool::allocate(size_t size_bytes) {
  size_t blocks = std::max<size_t>(2, (size_bytes ? size_bytes : kDefaultBytes) / kBlockBytes);
  void* memory = nullptr;
  Code code = driver_.allocate_host(&memory, blocks * kBlockBytes);
  while (code != kSuccess && blocks > 2) {
    blocks = std::max<size_t>(2, blocks / 2);
    code = driver_.allocate_host(&memory, blocks * kBlockBytes);
  }
  if (code != kSuccess) return error_of(driver_, code, "lock host memory");
  memory_ = static_cast<std::byte*>(memory);
  in_use_.assign(blocks, 0);
  for (size_t i = 0; i < blocks; ++i) {
    Event event = nullptr;
    if (Result<void> made = check(driver_, driver_.create_event(&event), "create an event"); !made) return made;
    events_.push_back(event);
  }
  return {};
}

Result<PinnedPool::Block> PinnedPool::take() {
  const Block block{next_, memory_ + next_ * kBlockBytes};
  if (in_use_[next_]) {
    Result<void> ended = check(driver_, driver_.wait_for_event(events_[next_]), "wait for a copy to the device");
    if (!ended) return ended.error();
    in_use_[next_] = 0;
  }
  next_ = (next_ + 1) % static_cast<uint32_t>(events_.size());
  return block;
}

Result<void> PinnedPool::give_back(const Block& block, Stream stream) {
  in_use_[block.index] = 1;
  return check(driver_, driver_.record(events_[block.index], stream), "record an event");
}

}  // namespace moe::cuda
