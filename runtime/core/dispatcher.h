// SPDX-License-Identifier: Apache-2.0
// The dispatching thread's half of the runtime: asks the policy, turns its decision into a plan, queues the transfers.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>

#include "moe/moe.h"
#include "runtime/core/copies.h"
#include "runtime/core/decision_log.h"
#include "runtime/core/device_tiers.h"
#include "runtime/core/disk_link.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/instance.h"
#include "runtime/core/monitor.h"
#include "runtime/core/plans.h"
#include "runtime/core/precisions.h"
#include "runtime/core/tier_contents.h"
#include "runtime/core/traffic.h"
#include "runtime/core/transfer.h"
#include "runtime/hints.h"
#include "runtime/metrics/counters.h"
#include "runtime/store/store.h"

namespace moe::core {

/// Sizes that do not change after the first attach.
struct Dimensions {
  moe_model_shape shape;
  uint32_t max_tokens;
  uint32_t max_plans;
  uint32_t num_slots;
  uint32_t streaming_slots;
  uint32_t host_tier_slots;  ///< and the next: of host memory, where experts are read from disk
  uint32_t staging_slots;
  uint64_t host_expert_bytes;    ///< of the largest that comes to host memory
  uint32_t device_tier_slots;    ///< of the GPU tiers below the first; 0: there are none
  uint64_t device_expert_bytes;  ///< of the largest there

  uint32_t num_keys() const { return shape.num_layers * shape.num_experts; }
  /// Most experts that any policy may keep resident.
  uint32_t max_resident() const { return std::min(num_slots - streaming_slots, num_keys()); }
  uint64_t max_selections() const { return uint64_t{max_tokens} * shape.top_k; }
  uint32_t max_entries() const {
    return static_cast<uint32_t>(std::min<uint64_t>(max_selections(), shape.num_experts));
  }
  /// More than can be alive: with a slot, resident without one, or held by plans.
  uint32_t num_copies() const { return num_slots + max_resident() + (max_plans + 1) * max_entries(); }
  PlanSizes plan_sizes() const {
    // What leaves: the residents at a swap, the residents before the dispatch, its own loads, its prefetches.
    const size_t evicted = size_t{2} * max_resident() + max_entries() + num_keys();
    return {max_entries(), static_cast<size_t>(max_selections()), evicted, num_keys()};
  }
};

/// A miss that needs no weights: the shared expert stands in, or nobody.
constexpr bool is_left_out(uint32_t action) { return action == decision::kShared || action == decision::kSkip; }

/// Owned by the dispatching thread, apart from swap and reclaim.
///
/// Cost  dispatch: no allocation, no lock, no system call, no exception.
class alignas(64) Dispatcher {  // on no line of the link threads
 public:
  struct Parts {
    const store::ExpertStore& store;
    CopyTable& copies;
    HostMemory* host;     ///< null: every expert is in the store's memory
    DeviceTiers* device;  ///< null: there is no GPU tier below the first
    const Precisions& precisions;
    Plans& plans;
    Waker& waker;
    Traffic& traffic;
    Transfer& transfer;
    DiskLink* disk;  ///< null: likewise
    Hints& hints;
    metrics::Counters& counters;
    Monitor& monitor;
    DecisionLog* log;    ///< null: none is kept
    Timeline* timeline;  ///< null: none is kept
  };
  Dispatcher(const Dimensions& dimensions, const Parts& parts, const Allocator& allocator);
  ~Dispatcher();

  moe_status dispatch(const moe_dispatch_args& args, moe_plan& out);

  /// Hands over a policy that takes effect at the next dispatch; one that did not yet is dropped. One thread at a time.
  void swap(std::unique_ptr<Instance> next);
  /// Frees the instances that dispatches have left behind. One thread at a time, with swap.
  void reclaim();
  /// Queues the loads of the pins of the first policy. Before the first swap.
  void load_pins(const Instance& instance, bool preload);
  /// Lets the links' threads see what was queued: at the end of a dispatch, and after load_pins.
  void show_transfers();

 private:
  struct Load {
    uint32_t copy;
    uint32_t entry;
    float weight;
  };
  struct Outstanding {
    uint32_t copy;
    uint32_t state;     ///< of the copy when it was queued
    uint64_t dispatch;  ///< that queued it
  };

  moe_status check(const moe_dispatch_args& args) const;
  [[gnu::always_inline]] moe_status decide(const moe_dispatch_args& args);

  // dispatcher.cpp: the steps of a plan, in order
  // Always inlined: GCC takes a function that only prefetches for one that does nothing, and calls would add a
  // twentieth to a dispatch.
  [[gnu::always_inline]] void prefetch_hits(const moe_dispatch_args& args) const;
  [[gnu::always_inline]] void prefetch_leavers(const decision::Output& output) const;
  [[gnu::always_inline]] void start_plan(const moe_dispatch_args& args, Plan& plan, const decision::Output& output);
  [[gnu::always_inline]] void hold_hits(Plan& plan, const decision::Output& output, metrics::Counts& counts);
  uint32_t slot_of_late_hit(uint32_t copy, Phase phase);
  [[gnu::always_inline]] bool end_residencies(Plan& plan, const decision::Output& output);
  [[gnu::always_inline]] uint32_t group_selections(const moe_dispatch_args& args, Plan& plan,
                                                   const decision::Output& output);
  [[gnu::always_inline]] void finish_plan(const moe_dispatch_args& args, Plan& plan, metrics::Counts& counts,
                                          moe_plan& out);

  // place.cpp
  uint32_t count_leaving(const Plan& plan) const;
  bool leaves(const Plan& plan, uint32_t entry) const;
  bool is_to_stay(const decision::Output& output, uint32_t entry, uint32_t key) const;
  void place_misses(Plan& plan, const decision::Output& output, uint32_t leaving, bool sorted);
  bool place_miss(Plan& plan, uint32_t entry, uint32_t key, uint32_t copy, bool stays);
  void queue_loads();
  void load_behind_plan(const Plan& plan, const decision::Output& output);
  void load_behind(uint32_t key);
  uint32_t reserve(uint32_t key);
  void settle_aside(uint32_t layer);
  [[gnu::always_inline]] bool supply(uint32_t copy, Queue queue);
  void place_on_host(Plan& plan, uint32_t entry, uint32_t key);
  void reserve_prefetches(const Plan& plan, const decision::Output& output, uint32_t leaving);
  void place_prefetches(Plan& plan, const decision::Output& output, metrics::Counts& counts);

  // sources.cpp: where loads come from, and in which precision
  void move_between_tiers(uint32_t layer, const decision::Output& output);
  void choose_source(const Instance& instance, uint32_t key, uint32_t wanted);
  uint32_t wanted_precision(const Instance& instance, uint32_t key) const;
  void hold_lower_copies(uint32_t layer, const decision::Output& output);
  void find_source(uint32_t copy, Queue queue, bool starts);
  void supply_again(uint32_t copy);
  void hurry_source(uint32_t copy);
  bool place_degraded(Plan& plan, uint32_t entry, uint32_t key);
  void note_precisions(Plan& plan, metrics::Counts& counts) const;

  // raise.cpp: residents that the ladder puts on a higher rung
  void raise(const decision::Output& output);
  bool start_raise(uint32_t key, uint32_t precision, uint32_t& copy);
  void settle_raises();
  void end_raise(uint32_t key);

  // adopt.cpp: what happens between two dispatches
  void take_swap();
  void reconcile(const Instance& instance);
  void keep_dropped(const Instance& instance);
  void leave_unwanted_precisions(const Instance& instance);
  void collect_dropped();
  void cancel_stale();
  void report_dropped(uint32_t key);

  uint64_t num_resident() const { return parts_.traffic.resident.load(std::memory_order_relaxed); }
  void set_resident(uint32_t key, uint32_t copy) {
    resident_[key] = copy;
    count_resident(1);
  }
  bool end_residency(uint32_t key);
  /// Only this thread changes it, so load and store do.
  void count_resident(int64_t change) {
    parts_.traffic.resident.store(num_resident() + static_cast<uint64_t>(change), std::memory_order_relaxed);
  }

  const Dimensions dims_;
  Parts parts_;
  std::atomic<Instance*> next_{nullptr};
  std::atomic<Instance*> retired_{nullptr};
  Instance* current_ = nullptr;

  Array<uint32_t> resident_;  ///< key -> copy; kNone: not in the fast tier, or only the kernel thinks so
  Array<uint32_t> entry_of_;  ///< expert -> entry of this dispatch
  Array<uint32_t> next_selection_;
  Array<uint32_t> absent_;  ///< entries of this dispatch that have no copy yet
  Array<Load> loads_;
  Array<uint32_t> dropped_;  ///< keys to report to the kernel at the next dispatch, each resident there
  Array<uint32_t> left_;     ///< keys that left at a swap, to be listed by the next plan
  Array<Outstanding> prefetches_;
  struct Raise {
    uint32_t key;
    uint32_t precision;
    uint32_t copy;  ///< the higher one, on its way; kNone: no slot was free for it yet
  };
  Array<Tag> coming_;             ///< key -> what a load of it brings; of those that this dispatch may load
  Array<uint32_t> lower_copies_;  ///< of the entries: the copy that it is decoded from, held; kNone: none
  Array<Raise> raises_;
  TierContents contents_;
  Array<uint32_t> aside_;   ///< keys that wait beside the cache for their layer's next dispatch
  Array<uint64_t> passed_;  ///< layer -> number of its last dispatch
  uint32_t num_absent_ = 0;
  uint32_t num_loads_ = 0;
  uint32_t num_dropped_ = 0;
  uint32_t num_left_ = 0;
  uint32_t num_prefetches_ = 0;
  uint32_t num_aside_ = 0;
  uint32_t num_raises_ = 0;
  uint32_t num_raising_ = 0;    ///< of them with a copy
  uint64_t number_ = 1;         ///< of this dispatch
  uint64_t cancelled_ = 0;      ///< since the last plan
  bool queued_ = false;         ///< this dispatch queued transfers
  bool has_tiers_ = false;      ///< the policy's tiers are to be carried out
  bool tiers_are_new_ = false;  ///< nobody has seen yet what they hold
};

/// False: somebody may still hold it.
inline bool Dispatcher::end_residency(uint32_t key) {
  const bool unused = parts_.counters.take_prefetched(key);
  const uint32_t copy = resident_[key];
  if (copy == kNone) return true;
  if (num_raises_ != 0) end_raise(key);
  if (unused) cancelled_ += parts_.copies.phase(copy) == Phase::queued;  // it never starts
  resident_[key] = kNone;
  count_resident(-1);
  return parts_.copies.evict(copy);
}

}  // namespace moe::core
