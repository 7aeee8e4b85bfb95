// SPDX-License-Identifier: Apache-2.0
// Plans from dispatch to release: what the engine's wait, done and release act on.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "moe/moe.h"
#include "runtime/backend/backend.h"
#include "runtime/core/copies.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/timeline.h"
#include "runtime/core/traffic.h"
#include "runtime/core/waker.h"

namespace moe::core {

/// Lengths of a plan's arrays.
struct PlanSizes {
  size_t entries;
  size_t selections;
  size_t evicted;
  size_t prefetched;
};

inline constexpr uint32_t kMapped = kNone - 1;

/// A plan's arrays.
struct PlanMemory {
  PlanMemory(const PlanSizes& sizes, const Allocator& allocator);

  Array<moe_plan_entry> entries;
  Array<uint32_t> copies;
  Array<uint32_t> host_copies;
  Array<uint8_t> done;
  Array<uint32_t> selections;
  Array<uint32_t> evicted;
  Array<uint32_t> prefetched;
};

/// One plan. Written by the dispatching thread from claim to publish, then under the lock of Plans. A dispatch touches
/// two cache lines of it and the beginnings of its arrays.
struct Plan {
  Plan(uint32_t index, const PlanSizes& sizes, const Allocator& allocator);

  const PlanMemory memory;
  alignas(64) const uint32_t index;
  uint32_t generation = 0;
  std::atomic<uint64_t> id{0};  ///< 0: not published
  uint32_t layer = 0;
  uint32_t first_key = 0;  ///< of the layer
  uint32_t num_entries = 0;
  uint32_t num_evicted = 0;
  uint32_t num_prefetched = 0;
  bool settled = false;  ///< false: the first wait waits for all of it (overlap = false)
  moe_plan_entry* const entries;
  uint32_t* const copies;  ///< of the entries; kNone: none, it is computed on the host
  uint32_t* const selections;
  uint32_t* const evicted;     ///< [][2]
  uint32_t* const prefetched;  ///< [][2]
  /// Of the entries: the copy in host memory that it is computed from; kNone: none is held, kMapped: the store's file.
  /// Of a plan that is free: kNone.
  uint32_t* const host_copies;
  uint8_t* const done;  ///< of the entries; 0 of a plan that is free
};

/// All plans of a runtime, and the lock that wait, done, release and deferred fills share. Dispatch never takes it.
///
/// Invariant  an id names one plan of one runtime for ever: runtime, generation and index are in it.
class Plans {
 public:
  struct Parts {
    CopyTable& copies;
    HostMemory* host;  ///< null: every expert is in host memory
    backend::Backend& backend;
    Waker& waker;
    Traffic& traffic;
    Timeline* timeline;  ///< null: none is kept
  };
  Plans(uint32_t max_plans, const PlanSizes& sizes, const Parts& parts, const Allocator& allocator);

  // The dispatching thread.
  /// nullptr: all are unreleased.
  Plan* claim();
  void unclaim(Plan& plan);
  /// From now on the plan's id is valid.
  void publish(Plan& plan);

  // Any thread; the contract is moe.h's.
  moe_status wait(uint64_t id, uint32_t index, void* stream);
  moe_status done(uint64_t id, uint32_t index, void* stream);
  moe_status release(uint64_t id, void* stream);

  // The transfer thread.
  void fill_deferred();
  void end_orphan(uint32_t copy);
  void note_failure(Error error);

  uint32_t num_open() const {
    return opened_.load(std::memory_order_relaxed) - closed_.load(std::memory_order_relaxed);
  }

  /// Where slot 0 is; set once, before the first dispatch.
  void set_tier(std::byte* base, size_t slot_bytes) { tier_ = {base, slot_bytes}; }
  const void* slot_data(uint32_t slot) const { return tier_.base + slot * tier_.slot_bytes; }
  struct Tier {
    std::byte* base = nullptr;
    size_t slot_bytes = 0;
    /// Null for kNone, without a branch.
    const void* data_or_null(uint32_t slot) const {
      const auto address = reinterpret_cast<uintptr_t>(base) + slot * slot_bytes;
      return reinterpret_cast<const void*>(address & (uintptr_t{slot == kNone} - 1));
    }
  };
  Tier tier() const { return tier_; }

 private:
  Plan* find(uint64_t id);
  moe_status check_stream(void* stream) const;
  moe_status check_entry(const Plan* plan, uint32_t index) const;
  bool place(Plan& plan, uint32_t index);
  moe_status hold_entry(uint64_t id, uint32_t index, bool streamed, uint32_t& copy, bool& settled);
  moe_status wait_on_host(uint64_t id, uint32_t index);
  Phase wait_for(const CopyTable& table, uint32_t copy, bool issued_is_enough);
  Phase sleep_until_there(const CopyTable& table, uint32_t copy, bool issued_is_enough);
  moe_status failure(uint32_t copy);
  void settle(uint64_t id);
  moe_status let_go(Plan& plan, uint32_t index, void* stream);

  CopyTable& copies_;
  HostMemory* const host_;
  backend::Backend& backend_;
  Waker& waker_;
  Traffic& traffic_;
  Timeline* const timeline_;
  const uint64_t tag_;  ///< this runtime's part of every id
  const bool has_streams_;
  Tier tier_;
  std::vector<std::unique_ptr<Plan>> plans_;
  FreeList free_plans_;
  std::atomic<uint32_t> opened_{0};   ///< the dispatching thread counts
  std::atomic<uint32_t> closed_{0};   ///< counted under the lock
  std::atomic<uint32_t> drained_{0};  ///< orphans that have ended
  std::mutex lock_;
  Error last_failure_;  ///< under the lock
};

}  // namespace moe::core
