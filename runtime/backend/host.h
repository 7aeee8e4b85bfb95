// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/backend/backend.h"

namespace moe::backend {

/// The fast tier is a separate allocation in host memory: what tests run on, and the baseline of CPU inference.
class HostBackend final : public Backend {
 public:
  explicit HostBackend(const Allocator& allocator) : allocator_(allocator) {}

  bool has_streams() const override { return false; }
  Result<void*> allocate(uint32_t num_slots, size_t slot_bytes) override;
  Result<void> start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override;
  Result<void> finish_copy(uint32_t slot) override;
  Result<void*> allocate_coded(size_t size_bytes, size_t most_bytes) override;
  Result<void> fill_coded(void* to, const void* source, size_t size) override;
  Result<void> start_decode(uint32_t slot, size_t offset, const precision::CodedRows& rows, moe_dtype dtype,
                            bool on_device, bool last) override;
  Result<void> start_copy_on_device(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override;
  Result<void> stream_wait(uint32_t slot, void* stream) override;
  Result<void> last_use(uint32_t slot, void* stream) override;

 private:
  Allocator allocator_;
  Block tier_;
  Block coded_;
  size_t slot_bytes_ = 0;
};

}  // namespace moe::backend
