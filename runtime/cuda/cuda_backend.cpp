// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/cuda_backend.h"

#include <algorithm>
#include <string_view>

#include "moe/cuda.h"
#include "runtime/cuda/errors.h"

namespace moe::cuda {

CudaBackend::CudaBackend(Driver& driver, const moe_backend_settings& settings, Peers& peers, const void* functions)
    : driver_(driver),
      settings_(settings),
      device_(static_cast<int>(settings.device)),
      peers_(peers),
      functions_(functions),
      staging_(driver),
      table_(driver) {}

CudaBackend::~CudaBackend() {
  const DeviceScope scope(driver_, device_);
  for (const Stream stream : {demand_, background_}) {
    if (!stream) continue;
    driver_.wait_for_stream(stream);
    driver_.destroy(stream);
  }
  for (const Slot& slot : slots_) {
    if (slot.ready) driver_.destroy_event(slot.ready);
    for (const Use& use : slot.uses) driver_.destroy_event(use.event);
  }
  for (const Event event : free_events_) driver_.destroy_event(event);
  for (const Locked& memory : locked_) driver_.release_host(const_cast<std::byte*>(memory.begin));
  if (filled_) driver_.destroy_event(filled_);
  if (coded_) driver_.release(coded_);
  if (tier_) driver_.release(tier_);
}

Result<void> CudaBackend::check(Code code, const char* what) { return cuda::check(driver_, code, what); }

Result<void*> CudaBackend::allocate(uint32_t num_slots, size_t slot_bytes) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered().error();
  size_t size_bytes;
  if (__builtin_mul_overflow(size_t{num_slots}, slot_bytes, &size_bytes)) throw std::bad_alloc();
  void* memory = nullptr;
  if (const Code code = driver_.allocate(&memory, size_bytes)) {
    Error error = error_of(driver_, code, "allocate the fast tier");
    error.message += ": " + std::to_string(size_bytes) + " bytes";
    return error;
  }
  tier_ = static_cast<std::byte*>(memory);
  slot_bytes_ = slot_bytes;
  if (Result<void> made = make_streams(); !made) return made.error();
  slots_.resize(num_slots);
  for (Slot& slot : slots_) {
    if (Result<void> made = check(driver_.create_event(&slot.ready), "create an event"); !made) return made.error();
  }
  if (Result<void> locked = staging_.allocate(settings_.pinned_bytes); !locked) return locked.error();
  if (Result<void> made = table_.allocate(settings_.num_keys, demand_); !made) return made.error();
  return memory;
}

Result<void> CudaBackend::make_streams() {
  int least = 0;
  int greatest = 0;
  if (Result<void> known = check(driver_.priorities(&least, &greatest), "ask for stream priorities"); !known) {
    return known;
  }
  if (Result<void> made = check(driver_.create_stream(&demand_, greatest), "create a stream"); !made) return made;
  return check(driver_.create_stream(&background_, least), "create a stream");
}

Result<void*> CudaBackend::allocate_host(size_t size_bytes) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered().error();
  void* memory = nullptr;
  if (Result<void> made = check(driver_.allocate_host(&memory, size_bytes), "lock host memory"); !made) {
    return made.error();
  }
  const std::lock_guard lock(lock_);
  locked_.push_back({static_cast<const std::byte*>(memory), size_bytes});
  return memory;
}

bool CudaBackend::is_locked(const void* memory, size_t size_bytes) {
  const auto* const begin = static_cast<const std::byte*>(memory);
  const std::lock_guard lock(lock_);
  return std::any_of(locked_.begin(), locked_.end(), [&](const Locked& one) {
    return begin >= one.begin && begin + size_bytes <= one.begin + one.size_bytes;
  });
}

void CudaBackend::expect_copy(uint32_t slot, uint32_t key, bool urgent) {
  slots_[slot].key = key;
  slots_[slot].urgent = urgent;
}

/// The first part of a copy: behind whatever else may still touch the slot.
Result<void> CudaBackend::begin(Slot& slot) {
  const Stream stream = slot.urgent ? demand_ : background_;
  if (slot.moving) {  // an earlier copy was given up, and parts of it may be under way
    if (Result<void> queued = staging_.flush(); !queued) return queued;
    if (slot.stream != stream) {
      Code code = driver_.record(slot.ready, slot.stream);
      if (code == kSuccess) code = driver_.stream_wait(stream, slot.ready);
      if (Result<void> ordered = check(code, "order two copies"); !ordered) return ordered;
    }
  }
  slot.stream = stream;
  slot.moving = true;
  return wait_for_uses(slot, stream);
}

Result<void> CudaBackend::wait_for_uses(Slot& slot, Stream stream) {
  const std::lock_guard lock(lock_);
  for (const Use& use : slot.uses) {
    if (Result<void> queued = check(driver_.stream_wait(stream, use.event), "wait for a slot's last use"); !queued) {
      return queued;
    }
  }
  // A wait keeps what the event stood for, so the events are free again.
  for (const Use& use : slot.uses) free_events_.push_back(use.event);
  slot.uses.clear();
  return {};
}

Result<void> CudaBackend::begin_at(Slot& slot, size_t offset) {
  return offset == 0 || !slot.moving ? begin(slot) : Result<void>();
}

Result<void> CudaBackend::end_at(Slot& slot, bool last) {
  if (!last) return {};
  if (Result<void> queued = staging_.flush(); !queued) return queued;
  return check(driver_.record(slot.ready, slot.stream), "record an event");
}

Result<void> CudaBackend::add(Stream stream, void* to, const void* source, size_t size) {
  return is_locked(source, size) ? staging_.add_locked(stream, to, source, size)
                                 : staging_.add(stream, to, source, size);
}

Result<void> CudaBackend::start_copy(uint32_t index, size_t offset, const void* source, size_t size, bool last) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  Slot& slot = slots_[index];
  if (Result<void> begun = begin_at(slot, offset); !begun) return begun;
  Result<void> added = add(slot.stream, tier_ + index * slot_bytes_ + offset, source, size);
  return added ? end_at(slot, last) : added;
}

Result<void> CudaBackend::finish_copy(uint32_t index) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  Slot& slot = slots_[index];
  slot.moving = false;
  return check(driver_.wait_for_event(slot.ready), "copy to the device");
}

Result<void> CudaBackend::stream_wait(uint32_t index, void* stream) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  const Slot& slot = slots_[index];
  if (Result<void> queued = check(driver_.stream_wait(stream, slot.ready), "wait for an expert"); !queued) {
    return queued;
  }
  if (slot.key >= settings_.num_keys) return {};
  const std::lock_guard lock(lock_);
  return table_.write(slot.key, tier_ + index * slot_bytes_, stream);
}

Result<void> CudaBackend::last_use(uint32_t index, void* stream) {
  if (!stream) return {};  // the host has used it, and is done
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  const std::lock_guard lock(lock_);
  std::vector<Use>& uses = slots_[index].uses;
  auto use = std::find_if(uses.begin(), uses.end(), [&](const Use& one) { return one.stream == stream; });
  if (use == uses.end()) {
    Result<Event> event = take_event();
    if (!event) return event.error();
    use = uses.insert(uses.end(), {stream, *event});
  }
  return check(driver_.record(use->event, stream), "record an event");
}

Result<Event> CudaBackend::take_event() {
  Event event = nullptr;
  if (!free_events_.empty()) {
    event = free_events_.back();
    free_events_.pop_back();
  } else if (Result<void> made = check(driver_.create_event(&event), "create an event"); !made) {
    return made.error();
  }
  return event;
}

backend::Backend::Functions CudaBackend::functions(const char* name) {
  if (std::string_view(name) != MOE_CUDA_FUNCTIONS) return {};
  return {functions_, this};
}

}  // namespace moe::cuda
