// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk/staging.h"

#include <sys/mman.h>

#include <new>

#include "runtime/disk/files.h"

namespace moe::disk {

StagingPool::StagingPool(const std::optional<Allocator>& hooks, uint32_t num_buffers, size_t buffer_bytes)
    : hooks_(hooks), size_bytes_(num_buffers * buffer_bytes), buffer_bytes_(buffer_bytes), num_buffers_(num_buffers) {
  free_.reserve(num_buffers);
  for (uint32_t i = num_buffers; i-- > 0;) free_.push_back(static_cast<int32_t>(i));
  void* memory =
      hooks_ ? hooks_->allocate(size_bytes_, kBlock)
             : ::mmap(nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
}

StagingPool::~StagingPool() {
  if (!memory_) return;
  if (hooks_) {
    hooks_->release(memory_, size_bytes_, kBlock);
  } else {
    ::munmap(memory_, size_bytes_);
  }
}

int32_t StagingPool::take() {
  if (free_.empty()) return -1;
  const int32_t buffer = free_.back();
  free_.pop_back();
  return buffer;
}

std::vector<iovec> StagingPool::buffers() const {
  std::vector<iovec> all;
  for (uint32_t i = 0; i < num_buffers_; ++i) all.push_back({memory(static_cast<int32_t>(i)).data(), buffer_bytes_});
  return all;
}

}  // namespace moe::disk
