// SPDX-License-Identifier: Apache-2.0
// The host memory between disk and fast tier: what the policy's host tiers hold, and what passes through.
#pragma once
#include <mutex>
#include <string>

#include "runtime/backend/backend.h"
#include "runtime/core/copies.h"
#include "runtime/core/precisions.h"
#include "runtime/core/residents.h"
#include "runtime/store/store.h"

namespace moe::core {

/// The experts of a packed store that are in host memory, or on their way there, each in one or several precisions. A
/// policy's moves between tiers say which ones stay; every other one that is loaded passes through and gives its slot
/// back when its bytes are on the device. Weights never change, so who leaves is forgotten, and nothing is written.
///
/// Slots    those of the host tiers, and `staging` more. One that stays may lose its slot only when its readers are
///          done; the staging slots are what others go on with. An expert waits for a slot here only once it has one in
///          the fast tier, so the slots of those that pass through come back without the engine's doing.
/// Threads  keep to end_dispatch, hold_for_plan: the dispatching thread. drop_for_plan, data, failure: any.
///          take_urgent, note_failure: the disk's.
/// Cost     of a dispatch: a few stores for each load, and for each move between tiers; no allocation, no system call.
class HostMemory {
 public:
  struct Sizes {
    uint32_t tier_slots;     ///< most experts that the policy's host tiers hold
    uint32_t staging_slots;  ///< at least 2
    uint32_t num_readers;    ///< copies in the device's tables: each has one source at most
    uint64_t expert_bytes;   ///< of the largest that comes here: a slot's, rounded up to a multiple of 4096
  };
  /// Page-locked memory of the backend's where its device wants that and it can have it, else the allocator's. Throws
  /// std::bad_alloc. The store is a packed one; store and backend outlive this.
  HostMemory(const store::ExpertStore& store, const Precisions& precisions, const moe_model_shape& shape,
             const Sizes& sizes, backend::Backend& backend, const Allocator& allocator);

  CopyTable& copies() { return copies_; }
  const CopyTable& copies() const { return copies_; }
  const store::ExpertStore& store() const { return store_; }
  uint64_t size_bytes() const { return uint64_t{copies_.num_slots()} * slot_bytes_; }
  uint64_t slot_bytes() const { return slot_bytes_; }
  /// Where a copy is read from.
  const store::Extent& extent(uint32_t copy) const {
    return store_.extents()->index().extents[residents_.place(copies_[copy].key, copies_.tag(copy).precision)];
  }
  std::byte* slot_data(uint32_t slot) const { return base_ + slot * slot_bytes_; }
  const std::byte* data(uint32_t copy) const { return slot_data(copies_[copy].slot); }

  // One dispatch: first all keeps, then what enters and leaves, then the loads.
  /// The key will be loaded: its copy stays until end_dispatch, whatever the tiers decide.
  void keep(uint32_t key, uint32_t precision) { residents_.keep(key, precision); }
  /// Some host tier holds it from now on; none does any more.
  void enter(uint32_t key, uint32_t precision);
  void leave(uint32_t key, uint32_t precision) { residents_.leave(key, precision); }
  /// A source for a load of the device's, with one hold; kNone: the tables are full. `starts`: the load has a slot.
  uint32_t source_of(uint32_t key, uint32_t precision, Queue queue, bool starts);
  /// Somebody waits for what was queued as something less.
  void urge(uint32_t copy);
  /// A load that failed or was cancelled begins again: a source that failed is read again.
  void renew(uint32_t copy);
  bool end_dispatch();

  /// A native copy that a plan reads on the host until drop_for_plan; kNone: none is there, or too many are held like
  /// this.
  uint32_t hold_for_plan(uint32_t key);
  void drop_for_plan(uint32_t copy) {
    copies_.drop(copy);
    num_plan_holds_.fetch_sub(1, std::memory_order_release);
  }

  /// Calls f(copy) for copies that became urgent.
  template <class F>
  void take_urgent(F&& f) {
    urgent_.drain(std::forward<F>(f));
  }
  void note_failure(Error error);
  Error failure() const;

 private:
  bool begin(uint32_t copy, Queue queue);
  std::byte* allocate(backend::Backend& backend, const Allocator& allocator);

  const store::ExpertStore& store_;
  const Sizes sizes_;
  const uint64_t slot_bytes_;
  CopyTable copies_;
  Block block_;      ///< empty: the memory is the backend's
  std::byte* base_;  ///< of slot 0, aligned for O_DIRECT
  Residents residents_;
  std::atomic<uint32_t> num_plan_holds_{0};
  AtomicBitset urgent_;
  mutable std::mutex lock_;
  Error last_failure_;  ///< under the lock
};

}  // namespace moe::core
