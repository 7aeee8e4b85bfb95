// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "runtime/cuda/errors.h"

namespace moe::cuda {

/// Memory of the device that is current when it is allocated, or page-locked memory of the host.
template <class T>
class Memory {
 public:
  enum class Where { device, host };

  Memory() = default;
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    Memory(std::move(other)).swap(*this);
    return *this;
  }
  ~Memory() {
    if (!data_) return;
    where_ == Where::device ? driver_->release(data_) : driver_->release_host(data_);
  }

  /// Errors: no_memory, device.
  static Result<Memory> allocate(Driver& driver, size_t count, Where where = Where::device) {
    Memory memory;
    void* data = nullptr;
    const size_t size_bytes = count * sizeof(T);
    const Code code =
        where == Where::device ? driver.allocate(&data, size_bytes) : driver.allocate_host(&data, size_bytes);
    if (code != kSuccess) return error_of(driver, code, "allocate scratch memory");
    memory.driver_ = &driver;
    memory.where_ = where;
    memory.data_ = static_cast<T*>(data);
    return memory;
  }

  T* data() const { return data_; }

 private:
  void swap(Memory& other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(where_, other.where_);
    std::swap(data_, other.data_);
  }
  Driver* driver_ = nullptr;
  Where where_ = Where::device;
  T* data_ = nullptr;
};

}  // namespace moe::cuda
