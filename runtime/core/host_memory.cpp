// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/host_memory.h"

#include <utility>

namespace moe::core {
namespace {

/// Those that stay, those that have a slot and left, and those that pass through.
uint32_t num_copies(const HostMemory::Sizes& sizes) {
  return 2 * sizes.tier_slots + sizes.staging_slots + sizes.num_readers;
}

std::byte* aligned(void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  return static_cast<std::byte*>(memory) + (store::padded(address) - address);
}

}  // namespace

HostMemory::HostMemory(const store::ExpertStore& store, const Precisions& precisions, const moe_model_shape& shape,
                       const Sizes& sizes, backend::Backend& backend, const Allocator& allocator)
    : store_(store),
      sizes_(sizes),
      slot_bytes_(store::padded(sizes.expert_bytes)),
      copies_(num_copies(sizes), sizes.tier_slots + sizes.staging_slots, allocator),
      base_(allocate(backend, allocator)),
      residents_(copies_, precisions.count(), size_t{shape.num_layers} * shape.num_experts, allocator),
      urgent_(allocator, num_copies(sizes), false) {}

std::byte* HostMemory::allocate(backend::Backend& backend, const Allocator& allocator) {
  const size_t bytes = size_bytes() + store::kExtentAlignment;
  if (Result<void*> locked = backend.allocate_host(bytes)) return aligned(*locked);
  block_ = Block(allocator, bytes);
  return aligned(block_.data());
}

/// Behind what somebody waits for, until a load urges it.
void HostMemory::enter(uint32_t key, uint32_t precision) {
  uint32_t& resident = residents_.at(key, precision);
  if (resident != kNone) return;
  const uint32_t kept = residents_.kept(key, precision);
  const uint32_t copy = kept != kNone ? kept : copies_.claim(key, 1, {static_cast<uint8_t>(precision), false});
  if (copy == kNone) return;  // it is read when it is needed
  resident = copy;
  if (copy == kept) {
    copies_.hold(copy);  // it left and came back in one dispatch
  } else if (!begin(copy, Queue::background)) {
    copies_.defer(copy);
  }
}

bool HostMemory::begin(uint32_t copy, Queue queue) {
  if (!copies_.take_slot(copy)) return false;
  copies_.queue(copy, queue);
  return true;
}

uint32_t HostMemory::source_of(uint32_t key, uint32_t precision, Queue queue, bool starts) {
  uint32_t copy = residents_.kept_or_resident(key, precision);
  if (copy != kNone) {
    copies_.hold(copy);
    renew(copy);
    if (queue == Queue::demand) urge(copy);
    return copy;
  }
  copy = copies_.claim(key, 1, {static_cast<uint8_t>(precision), false});
  if (copy != kNone && starts && !begin(copy, queue)) copies_.defer(copy);
  return copy;
}

void HostMemory::renew(uint32_t copy) {
  if (copies_.phase(copy) == Phase::failed) copies_.retry(copy);
}

/// One that is being read is the disk thread's to hurry; it may just have taken one that is queued.
void HostMemory::urge(uint32_t copy) {
  const Phase phase = copies_.phase(copy);
  if (phase == Phase::queued) copies_.promote(copy);
  if (phase == Phase::queued || phase == Phase::moving) urgent_.set(copy);
}

bool HostMemory::end_dispatch() {
  residents_.drop_kept();
  return copies_.end_dispatch();
}

uint32_t HostMemory::hold_for_plan(uint32_t key) {
  const uint32_t copy = residents_.kept_or_resident(key, Precisions::kNative);
  if (copy == kNone || !CopyTable::has_slot(copies_.phase(copy))) return kNone;
  // Those that left and are held have the slots that others would pass through.
  if (2 * (num_plan_holds_.load(std::memory_order_acquire) + 1) > sizes_.staging_slots) return kNone;
  num_plan_holds_.fetch_add(1, std::memory_order_relaxed);
  copies_.hold(copy);
  renew(copy);
  urge(copy);
  return copy;
}

void HostMemory::note_failure(Error error) {
  const std::lock_guard lock(lock_);
  last_failure_ = std::move(error);
}

Error HostMemory::failure() const {
  const std::lock_guard lock(lock_);
  return last_failure_;
}

}  // namespace moe::core
