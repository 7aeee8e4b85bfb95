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

Result<void*> HostBackend::allocate_coded(size_t size_bytes, size_t) {
  coded_ = Block(allocator_, size_bytes);
  return coded_.data();
}

Result<void> HostBackend::fill_coded(void* to, const void* source, size_t size) {
  std::memcpy(to, source, size);
  return {};
}

Result<void> HostBackend::start_decode(uint32_t slot, size_t offset, const precision::CodedRows& rows, moe_dtype dtype,
                                       bool, bool) {
  precision::decode_rows(rows, dtype, tier_.bytes() + slot * slot_bytes_ + offset);
  return {};
}

Result<void> HostBackend::start_copy_on_device(uint32_t slot, size_t offset, const void* source, size_t size,
                                               bool last) {
  return start_copy(slot, offset, source, size, last);
}

// memcpy has ended when it returns, and there are no streams.
Result<void> HostBackend::finish_copy(uint32_t) { return {}; }
Result<void> HostBackend::stream_wait(uint32_t, void*) { return {}; }
Result<void> HostBackend::last_use(uint32_t, void*) { return {}; }

}  // namespace moe::backend
