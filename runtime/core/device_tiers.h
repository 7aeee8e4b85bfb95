// SPDX-License-Identifier: Apache-2.0
// The GPU tiers below the first: copies of experts that are on the device already when a dispatch wants one.
#pragma once
#include "runtime/core/copies.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/precisions.h"
#include "runtime/core/residents.h"

namespace moe::core {

/// The experts that a policy's further GPU tiers hold, as their extents are: in the precision of the tier, packed.
/// Using one decodes it into a slot of the fast tier.
///
/// Slots    as many as the tiers hold experts, each as wide as the widest of them, and some more for those that have
///          left and are still being decoded. Who enters when there is none waits for one.
/// Threads  enter to end_dispatch: the dispatching thread. The transfer thread moves and ends the copies.
/// Cost     a few stores for each move between tiers; no allocation, no lock, no system call.
class DeviceTiers {
 public:
  struct Sizes {
    uint32_t tier_slots;    ///< most experts that the tiers hold
    uint32_t spare_slots;   ///< at least 1
    uint32_t num_readers;   ///< copies of the fast tier: each is decoded from one copy here at most
    uint64_t expert_bytes;  ///< of the largest
  };
  /// `host`: where experts come from; null: from the store's memory.
  DeviceTiers(const Precisions& precisions, size_t num_keys, const Sizes& sizes, HostMemory* host,
              const Allocator& allocator);

  CopyTable& copies() { return copies_; }
  const CopyTable& copies() const { return copies_; }
  uint64_t size_bytes() const { return uint64_t{copies_.num_slots()} * slot_bytes_; }
  /// Where slot 0 is; set once, before the first transfer.
  void set_memory(std::byte* base) { base_ = base; }
  std::byte* data(uint32_t copy) const { return base_ + copies_[copy].slot * slot_bytes_; }

  /// A load will come from this copy: it stays until end_dispatch, whatever the tiers decide.
  void keep(uint32_t key, uint32_t precision) { residents_.keep(key, precision); }
  /// Some tier holds it from now on; none does any more.
  void enter(uint32_t key, uint32_t precision);
  void leave(uint32_t key, uint32_t precision) { residents_.leave(key, precision); }
  /// The copy of an expert, kept or held by a tier, with one hold more, hurried on if it is still on its way; kNone: it
  /// has none.
  uint32_t hold(uint32_t key, uint32_t precision);
  bool end_dispatch();

 private:
  void supply(uint32_t copy, Queue queue, bool starts);

  const uint64_t slot_bytes_;
  HostMemory* const host_;
  CopyTable copies_;
  Residents residents_;
  std::byte* base_ = nullptr;
};

}  // namespace moe::core
