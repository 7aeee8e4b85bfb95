// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/device_tiers.h"

namespace moe::core {
namespace {

constexpr uint64_t kAlignment = 64;

/// Those that tiers hold, those that left and are held, and as many that wait for a slot.
uint32_t num_copies(const DeviceTiers::Sizes& sizes) {
  return 2 * sizes.tier_slots + sizes.spare_slots + sizes.num_readers;
}

}  // namespace

DeviceTiers::DeviceTiers(const Precisions& precisions, size_t num_keys, const Sizes& sizes, HostMemory* host,
                         const Allocator& allocator)
    : slot_bytes_((sizes.expert_bytes + kAlignment - 1) / kAlignment * kAlignment),
      host_(host),
      copies_(num_copies(sizes), sizes.tier_slots + sizes.spare_slots, allocator, host ? &host->copies() : nullptr),
      residents_(copies_, precisions.count(), num_keys, allocator) {}

bool DeviceTiers::end_dispatch() {
  residents_.drop_kept();
  return copies_.end_dispatch();
}

void DeviceTiers::supply(uint32_t copy, Queue queue, bool starts) {
  if (!host_) return;
  copies_.set_source(copy, host_->source_of(copies_[copy].key, copies_.tag(copy).precision, queue, starts));
}

/// Behind all that is waited for. A copy more than the table holds is none: `degrade` then loads.
void DeviceTiers::enter(uint32_t key, uint32_t precision) {
  uint32_t& resident = residents_.at(key, precision);
  if (resident != kNone) return;
  const uint32_t copy = copies_.claim(key, 1, {static_cast<uint8_t>(precision), false});
  if (copy == kNone) return;
  resident = copy;
  const bool starts = copies_.take_slot(copy);
  supply(copy, Queue::background, starts);
  starts ? copies_.queue(copy, Queue::background) : copies_.defer(copy);
}

uint32_t DeviceTiers::hold(uint32_t key, uint32_t precision) {
  const uint32_t copy = residents_.kept_or_resident(key, precision);
  if (copy == kNone) return kNone;
  copies_.hold(copy);
  const Phase phase = copies_.phase(copy);
  if (phase == Phase::failed) {
    supply(copy, Queue::demand, /*starts=*/true);
    copies_.retry(copy);
  } else if (phase == Phase::queued) {
    if (host_ && copies_.source(copy) != kNone) host_->urge(copies_.source(copy));
    copies_.promote(copy);
  }
  return copy;
}

}  // namespace moe::core
