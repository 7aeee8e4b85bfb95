// SPDX-License-Identifier: Apache-2.0
#include "runtime/backend/host.h"

#include <cstring>

namespace moe::backend {

Result<void*> HostBackend::allocate(uint32_t num_slots, size_t slot_bytes) {
  size_t size_bytes;
  if (__builtin_mul_overflow(size_t{num_slots}, slot_bytes, &size_bytes)) throw std::bad_alloc();
  tier_ = Block(allocator_, size_bytes);
  slot_bytes_ = slot_bytes;
  return tier_.data();
}

Result<void> HostBackend::start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool) {
  std::memcpy(tier_.bytes() + slot * slot_bytes_ + offset, source, size);
  return {};
}

// memcpy has ended when it returns, and there are no streams.
Result<void> HostBackend::finish_copy(uint32_t) { return {}; }
Result<void> HostBackend::stream_wait(uint32_t, void*) { return {}; }
Result<void> HostBackend::last_use(uint32_t, void*) { return {}; }

}  // namespace moe::backend
