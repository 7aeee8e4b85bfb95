// SPDX-License-Identifier: Apache-2.0
// CudaBackend: copies of lower precision. The device decodes them itself, in the order of the slot's stream.
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/errors.h"

namespace moe::cuda {
namespace {

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

Result<void*> CudaBackend::allocate_coded(size_t size_bytes, size_t most_bytes) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered().error();
  scratch_bytes_ = aligned(most_bytes) + size_t{3} * 64;  // scales, shifts and codes begin at multiples of 64
  size_t all;
  if (__builtin_add_overflow(aligned(size_bytes), 2 * scratch_bytes_, &all)) throw std::bad_alloc();
  void* memory = nullptr;
  if (const Code code = driver_.allocate(&memory, all)) {
    Error error = error_of(driver_, code, "allocate the GPU tiers below the first");
    error.message += ": " + std::to_string(all) + " bytes";
    return error;
  }
  coded_ = static_cast<std::byte*>(memory);
  scratch_ = coded_ + aligned(size_bytes);
  if (Result<void> made = check(driver_.create_event(&filled_), "create an event"); !made) return made.error();
  return memory;
}

Result<void> CudaBackend::fill_coded(void* to, const void* source, size_t size) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  Result<void> done = add(background_, to, source, size);
  if (done) done = staging_.flush();
  if (done) done = check(driver_.record(filled_, background_), "record an event");
  if (done) done = check(driver_.wait_for_event(filled_), "copy to the device");
  return done;
}

/// Rows of the host's in the stream's scratch. What was there before has been decoded by then: it is the same stream.
Result<precision::CodedRows> CudaBackend::bring(const precision::CodedRows& rows, Stream stream) {
  if (rows.size_bytes() + size_t{3} * 64 > scratch_bytes_) {
    return Error{Error::Kind::invalid, "more rows to decode than allocate_coded was told of"};
  }
  std::byte* at = scratch_ + (stream == demand_ ? 0 : scratch_bytes_);
  Result<void> added;
  const auto copy = [&](const uint8_t*& from, uint64_t size) {
    if (size == 0 || !added) return;
    added = add(stream, at, from, size);
    from = reinterpret_cast<const uint8_t*>(at);
    at += aligned(size);
  };
  precision::CodedRows there = rows;
  copy(there.scales, rows.scale_bytes());
  copy(there.shifts, rows.shift_bytes());
  copy(there.codes, rows.code_bytes());
  if (added) added = staging_.flush();
  if (!added) return added.error();
  return there;
}

Result<void> CudaBackend::start_decode(uint32_t index, size_t offset, const precision::CodedRows& rows, moe_dtype dtype,
                                       bool on_device, bool last) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  Slot& slot = slots_[index];
  if (Result<void> begun = begin_at(slot, offset); !begun) return begun;
  const Result<precision::CodedRows> there = on_device ? Result<precision::CodedRows>(rows) : bring(rows, slot.stream);
  if (!there) return there.error();
  void* const to = tier_ + index * slot_bytes_ + offset;
  Result<void> queued = check(driver_.dequantize(*there, dtype, to, slot.stream), "decode an expert");
  return queued ? end_at(slot, last) : queued;
}

Result<void> CudaBackend::start_copy_on_device(uint32_t index, size_t offset, const void* source, size_t size,
                                               bool last) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  Slot& slot = slots_[index];
  if (Result<void> begun = begin_at(slot, offset); !begun) return begun;
  Result<void> queued = staging_.flush();
  void* const to = tier_ + index * slot_bytes_ + offset;
  if (queued) queued = check(driver_.copy({to, source, size}, slot.stream), "copy on the device");
  return queued ? end_at(slot, last) : queued;
}

}  // namespace moe::cuda
