// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/slot_table.h"

#include "runtime/cuda/errors.h"

namespace moe::cuda {

SlotTable::~SlotTable() {
  if (table_) driver_.release(table_);
}

Result<void> SlotTable::allocate(uint32_t num_keys, Stream stream) {
  void* memory = nullptr;
  const size_t size_bytes = size_t{num_keys} * sizeof(uint64_t);
  if (const Code code = driver_.allocate(&memory, size_bytes))
    return error_of(driver_, code, "allocate the slot table");
  table_ = static_cast<uint64_t*>(memory);
  written_.resize(num_keys);
  Code code = driver_.fill(table_, 0, size_bytes, stream);
  if (code == kSuccess) code = driver_.wait_for_stream(stream);
  return check(driver_, code, "clear the slot table");
}

Result<void> SlotTable::write(uint32_t key, const void* address, Stream stream) {
  Written& last = written_[key];
  if (last.address == address && last.stream == stream) return {};
  const Code code = driver_.write_address(table_ + key, reinterpret_cast<uint64_t>(address), stream);
  if (code == kSuccess) last = {address, stream};
  return check(driver_, code, "write the slot table");
}

}  // namespace moe::cuda
