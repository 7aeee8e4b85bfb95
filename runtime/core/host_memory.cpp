// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/host_memory.h"

#include <algorithm>
#include <utility>

#include "runtime/decision/state.h"

namespace moe::core {
namespace {

bool is_host(const decision::TierSet& set, uint32_t tier) {
  return tier != 0 && set.tiers[tier].location == static_cast<uint32_t>(decision::TierLocation::host);
}

constexpr uint64_t bit(uint32_t tier) { return uint64_t{1} << tier; }

/// Those that stay, those that have a slot and left, and those that pass through.
uint32_t num_copies(const HostMemory::Sizes& sizes) {
  return 2 * sizes.tier_slots + sizes.staging_slots + sizes.num_readers;
}

std::byte* aligned(void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  return static_cast<std::byte*>(memory) + (store::padded(address) - address);
}

}  // namespace

HostMemory::HostMemory(const store::ExpertStore& store, const moe_model_shape& shape, const Sizes& sizes,
                       backend::Backend& backend, const Allocator& allocator)
    : store_(store),
      shape_(shape),
      sizes_(sizes),
      slot_bytes_(store::padded(store.expert_bytes())),
      copies_(num_copies(sizes), sizes.tier_slots + sizes.staging_slots, allocator),
      base_(allocate(backend, allocator)),
      resident_(allocator, size_t{shape.num_layers} * shape.num_experts),
      tiers_(allocator, resident_.size()),
      kept_(allocator, resident_.size()),
      kept_keys_(allocator, resident_.size()),
      urgent_(allocator, num_copies(sizes), false) {
  std::fill(resident_.begin(), resident_.end(), kNone);
  std::fill(kept_.begin(), kept_.end(), kNone);
}

std::byte* HostMemory::allocate(backend::Backend& backend, const Allocator& allocator) {
  const size_t bytes = size_bytes() + store::kExtentAlignment;
  if (Result<void*> locked = backend.allocate_host(bytes)) return aligned(*locked);
  block_ = Block(allocator, bytes);
  return aligned(block_.data());
}

void HostMemory::keep(uint32_t key) {
  const uint32_t copy = resident_[key];
  if (copy == kNone || kept_[key] != kNone) return;
  copies_.hold(copy);
  kept_[key] = copy;
  kept_keys_[num_kept_++] = key;
}

void HostMemory::apply(const decision::Params& params, const decision::Output& output) {
  for (uint32_t i = 0; i < output.num_moves; ++i) {
    const decision::TierMove& move = output.moves[i];
    const decision::TierSet& set = params.tier_sets[params.tier_set_of_layer[move.key / shape_.num_experts]];
    if (!is_host(set, move.to)) continue;
    move.from == move.to ? leave(move.key, move.to) : enter(move.key, move.to);
  }
}

void HostMemory::adopt(const decision::Params& params, void* state) {
  for (uint32_t key = 0; key < resident_.size(); ++key) {
    uint64_t tiers = 0;
    const uint32_t number = params.num_tier_sets == 0 ? kNone : params.tier_set_of_layer[key / shape_.num_experts];
    if (number != kNone) {
      const decision::TierSet& set = params.tier_sets[number];
      for (uint32_t tier = 1; tier < set.num_tiers; ++tier) {
        if (is_host(set, tier) && decision::tier_holds(params, state, tier, key)) tiers |= bit(tier);
      }
    }
    tiers_[key] = tiers;
    if (tiers == 0) forget(key);
  }
  for (uint32_t key = 0; key < resident_.size(); ++key) {
    if (tiers_[key] != 0 && resident_[key] == kNone) load(key);
  }
}

void HostMemory::enter(uint32_t key, uint32_t tier) {
  tiers_[key] |= bit(tier);
  if (resident_[key] == kNone) load(key);
}

void HostMemory::leave(uint32_t key, uint32_t tier) {
  tiers_[key] &= ~bit(tier);
  if (tiers_[key] == 0) forget(key);
}

/// To stay. Behind what somebody waits for, until a load urges it.
void HostMemory::load(uint32_t key) {
  const uint32_t copy = kept_[key] != kNone ? kept_[key] : copies_.claim(key, 1);
  if (copy == kNone) return;  // it is read when it is needed
  resident_[key] = copy;
  if (copy == kept_[key]) {
    copies_.hold(copy);  // it left and came back in one dispatch
  } else if (!begin(copy, Queue::background)) {
    copies_.defer(copy);
  }
}

void HostMemory::forget(uint32_t key) {
  const uint32_t copy = std::exchange(resident_[key], kNone);
  if (copy != kNone) copies_.evict(copy);
}

bool HostMemory::begin(uint32_t copy, Queue queue) {
  if (!copies_.take_slot(copy)) return false;
  copies_.queue(copy, queue);
  return true;
}

uint32_t HostMemory::source_of(uint32_t key, Queue queue, bool starts) {
  uint32_t copy = kept_[key] != kNone ? kept_[key] : resident_[key];
  if (copy != kNone) {
    copies_.hold(copy);
    renew(copy);
    if (queue == Queue::demand) urge(copy);
    return copy;
  }
  copy = copies_.claim(key, 1);
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
  while (num_kept_ != 0) copies_.drop(std::exchange(kept_[kept_keys_[--num_kept_]], kNone));
  return copies_.end_dispatch();
}

uint32_t HostMemory::hold_for_plan(uint32_t key) {
  const uint32_t copy = kept_[key] != kNone ? kept_[key] : resident_[key];
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
