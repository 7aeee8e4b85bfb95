// SPDX-License-Identifier: Apache-2.0
// The host memory between disk and fast tier: what the policy's host tiers hold, and what passes through.
#pragma once
#include <mutex>
#include <string>

#include "runtime/backend/backend.h"
#include "runtime/core/copies.h"
#include "runtime/decision/abi.h"
#include "runtime/store/store.h"

namespace moe::core {

/// The experts of a packed store that are in host memory, or on their way there. A policy's moves between tiers say
/// which ones stay; every other one that is loaded passes through and gives its slot back when its bytes are in the
/// fast tier. Weights never change, so who leaves is forgotten, and nothing is written.
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
    uint32_t num_readers;    ///< copies of the fast tier: each has one source at most
  };
  /// Page-locked memory of the backend's where its device wants that and it can have it, else the allocator's. Throws
  /// std::bad_alloc. The store is a packed one; store and backend outlive this.
  HostMemory(const store::ExpertStore& store, const moe_model_shape& shape, const Sizes& sizes,
             backend::Backend& backend, const Allocator& allocator);

  CopyTable& copies() { return copies_; }
  const CopyTable& copies() const { return copies_; }
  const store::ExpertStore& store() const { return store_; }
  uint64_t size_bytes() const { return uint64_t{copies_.num_slots()} * slot_bytes_; }
  std::byte* slot_data(uint32_t slot) const { return base_ + slot * slot_bytes_; }
  const std::byte* data(uint32_t copy) const { return slot_data(copies_[copy].slot); }

  // One dispatch, in this order.
  /// The key will be loaded: its copy stays until end_dispatch, whatever the tiers decide.
  void keep(uint32_t key);
  /// What the tiers decided, in their order.
  void apply(const decision::Params& params, const decision::Output& output);
  /// Instead of apply, after the first dispatch of a policy: its state says what the tiers hold.
  void adopt(const decision::Params& params, void* state);
  /// A source for a load of the fast tier, with one hold; kNone: the tables are full. `starts`: the load has a slot.
  uint32_t source_of(uint32_t key, Queue queue, bool starts);
  /// Somebody waits for what was queued as something less.
  void urge(uint32_t copy);
  /// A load that failed or was cancelled begins again: a source that failed is read again.
  void renew(uint32_t copy);
  bool end_dispatch();

  /// A copy that a plan reads on the host until drop_for_plan; kNone: none is there, or too many are held like this.
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
  void enter(uint32_t key, uint32_t tier);
  void leave(uint32_t key, uint32_t tier);
  void load(uint32_t key);
  void forget(uint32_t key);
  bool begin(uint32_t copy, Queue queue);
  std::byte* allocate(backend::Backend& backend, const Allocator& allocator);

  const store::ExpertStore& store_;
  const moe_model_shape shape_;
  const Sizes sizes_;
  const uint64_t slot_bytes_;
  CopyTable copies_;
  Block block_;               ///< empty: the memory is the backend's
  std::byte* base_;           ///< of slot 0, aligned for O_DIRECT
  Array<uint32_t> resident_;  ///< key -> copy that stays; kNone: none
  Array<uint64_t> tiers_;     ///< key -> the tiers that hold it, one bit each
  Array<uint32_t> kept_;      ///< key -> copy held by keep; kNone: none
  Array<uint32_t> kept_keys_;
  uint32_t num_kept_ = 0;
  std::atomic<uint32_t> num_plan_holds_{0};
  AtomicBitset urgent_;
  mutable std::mutex lock_;
  Error last_failure_;  ///< under the lock
};

}  // namespace moe::core
