// SPDX-License-Identifier: Apache-2.0
// The experts that are in the fast tier or on their way: who holds them, where they are, what moves next.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

#include "runtime/base/atomic_bitset.h"
#include "runtime/base/memory.h"
#include "runtime/core/free_list.h"
#include "runtime/core/queues.h"

namespace moe::core {

inline constexpr uint32_t kNone = 0xFFFFFFFFu;

/// Where a copy is in its life.
///
///     claim -> deferred -> filling -> queued -> moving -> issued -> ready
///          \-----------------------/      \          \---------/-> failed
///                                          cancelled
///
/// A copy ends when its last holder lets go: at once, or, while a thread is at work on it (filling, moving, issued), as
/// an orphan that this thread ends.
enum class Phase : uint32_t {
  free,
  claimed,   ///< the dispatching thread is preparing it
  deferred,  ///< waits for a slot
  filling,   ///< gets one now
  queued,    ///< has a slot, waits for the link
  moving,    ///< the transfer thread copies it
  issued,    ///< the same, and a stream may wait for the slot's event
  ready,     ///< all bytes are there
  failed,
  cancelled,  ///< a prefetch that became stale in the queue
  orphan,     ///< at work, and nobody wants it
};

/// One expert in one slot (or without one yet). Held by residency and by the entries of unreleased plans; the slot is
/// in use exactly as long as the copy lives. So an eviction only ends one hold, and what a plan names stays where it
/// is.
///
/// The holds are counted apart from those that were given up, so that the dispatching thread, which alone gives holds
/// to plans, pays no read-modify-write for one. Who gives one up has seen that and all earlier ones, and residency's
/// was the first: as long as that lasts, `given_up` stays below what anybody sees in `holds`.
///
/// Ownership of the plain fields: the thread that claimed the copy until it is queued or deferred; from then whoever
/// moved `state` to a working phase. Others read them after an acquire of `state` that saw a slot.
struct alignas(32) Copy {          // half a cache line, never parts of two
  std::atomic<uint32_t> state;     ///< generation << 8 | Phase; waiting threads sleep on it
  std::atomic<uint32_t> holds;     ///< the dispatching thread counts up
  std::atomic<uint32_t> given_up;  ///< any thread counts up; equal to `holds`: nobody holds it
  uint32_t key;
  uint32_t slot;  ///< kNone before it has one
  /// The copy in the table below (or beside, see Tag) that its bytes come from, which it holds until they have been
  /// moved. kNone: none is needed any more, or the store has them in memory.
  std::atomic<uint32_t> source;
  std::atomic<uint64_t> order;  ///< of deferred copies: smaller goes first
};

/// What is known of a copy from its claim on: the precision that its bytes come in, a number of Precisions, and whether
/// they come from the table beside, which is in the same device's memory.
struct alignas(4) Tag {
  uint8_t precision = 0;
  bool from_beside = false;
  bool promoted = false;  ///< queued as demand after it was queued as something else
};

/// The table of copies, the pool of slots and the queues, all of fixed size.
///
/// Cost     a few atomic operations each; no allocation, no lock, no system call except the wake-ups in finish.
/// Threads  claim to hold, and evict to retry: the dispatching thread. fill_deferred and end_orphan: one at a time (of
///          the fast tier: under the plans' lock). collect to finish: the transfer thread. borrow and drop: any.
class CopyTable {
 public:
  /// `below`, `beside`: where its sources are; null: there are none.
  CopyTable(uint32_t num_copies, uint32_t num_slots, const Allocator& allocator, CopyTable* below = nullptr,
            CopyTable* beside = nullptr);

  /// A new copy of `key` with that many holders, without a slot; kNone when the table is full.
  uint32_t claim(uint32_t key, uint32_t holders, Tag tag = {});
  /// Whether `count` claims in a row cannot fail.
  bool has_room(uint32_t count) { return free_copies_.has(count); }
  /// Gives a claimed copy a free slot, unless others wait for one or there is none.
  bool take_slot(uint32_t copy);
  /// Queues the transfer of a copy with a slot. The transfer thread sees it at the end of the dispatch.
  void queue(uint32_t copy, Queue queue);
  /// Lets a claimed copy wait for a slot, behind those that wait already. Any thread that owns it.
  void defer(uint32_t copy);
  /// A claimed copy takes over one hold of a source. Before it is queued or deferred. A source that is claimed only is
  /// deferred when the copy gets its slot: so whoever has a slot below has one here, and its transfer ends by itself.
  void set_source(uint32_t copy, uint32_t source) { copies_[copy].source.store(source, std::memory_order_relaxed); }
  uint32_t source(uint32_t copy) const { return copies_[copy].source.load(std::memory_order_relaxed); }
  /// Where somebody waits for it: what is beside needs no link.
  Queue first_queue(uint32_t copy) const { return tags_[copy].from_beside ? Queue::decode : Queue::demand; }
  Tag tag(uint32_t copy) const { return tags_[copy]; }
  /// As claim's. Of a copy without a source that is claimed, has failed or was cancelled.
  void set_tag(uint32_t copy, Tag tag) { tags_[copy] = tag; }

  /// The end of a dispatch: what was queued is shown to the transfer thread, and slots that evict has freed and
  /// take_slot has not taken are free for all. Whether anything was queued.
  bool end_dispatch();

  /// For a plan. The caller knows that residency holds the copy. Returns where it is.
  Phase hold(uint32_t id) {
    Copy& copy = copies_[id];
    copy.holds.store(copy.holds.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return phase_of(copy.state.load(std::memory_order_acquire));
  }
  /// For a while, by a thread that waits. The caller knows that a plan holds the copy.
  void borrow(uint32_t copy) { copies_[copy].given_up.fetch_sub(1, std::memory_order_relaxed); }
  void drop(uint32_t copy);
  /// As drop, for residency's hold. Slot and copy of one that nobody else holds serve this dispatch's misses: what one
  /// thread frees and takes costs no atomic operation. False: it is at work, or somebody else may hold it.
  bool evict(uint32_t copy);

  /// Moves a transfer that has not started to the demand queue.
  void promote(uint32_t copy);
  /// Takes a prefetch out of the queue; false when it had started. It keeps slot and holders.
  bool cancel(uint32_t copy, uint32_t state);
  /// The state that a queued copy had, whatever it is by now: for cancel.
  uint32_t queued_state(uint32_t copy) const { return with_phase(state(copy), Phase::queued); }
  bool promoted(uint32_t copy) const { return tags_[copy].promoted; }
  /// Queues a failed or cancelled transfer again, as demand.
  void retry(uint32_t copy);

  /// Hands free slots to deferred copies, first come first served. Whether any got one.
  bool fill_deferred();
  bool any_deferred() const { return num_deferred_.load(std::memory_order_acquire) != 0; }
  /// Whether some slot will become free without anyone's doing: an orphan is still at work in it.
  bool any_orphan() const;
  void end_orphan(uint32_t copy);

  /// Looks for transfers that were queued since.
  void collect();
  bool has_queued(Queue queue);
  /// Takes the first of a queue whose source is there, or has failed; kNone if there is none.
  uint32_t start(Queue queue);
  /// The bytes have been moved, or will not be.
  void end_source(uint32_t copy);
  void issue(uint32_t copy);
  /// Ends it and wakes who waits for it. False: it became an orphan, call end_orphan.
  bool finish(uint32_t copy, bool good);

  const Copy& operator[](uint32_t copy) const { return copies_[copy]; }
  /// One copy more, ready and without a slot: holding it means nothing, and saves a branch that comes as it pleases.
  uint32_t nobodys() const { return size(); }
  uint32_t state(uint32_t copy) const { return copies_[copy].state.load(std::memory_order_acquire); }
  Phase phase(uint32_t copy) const { return phase_of(state(copy)); }
  /// The copy is about to be held or evicted, and the transfer thread wrote it last.
  void prefetch(uint32_t copy) const { __builtin_prefetch(&copies_[copy], 1); }
  static Phase phase_of(uint32_t state) { return static_cast<Phase>(state & 0xFF); }
  static bool has_slot(Phase phase) { return phase > Phase::filling; }

  /// Calls f(copy) for copies whose transfer failed since the last call. The dispatching thread.
  template <class F>
  void take_failed(F&& f) {
    const uint64_t failures = failures_.load(std::memory_order_acquire);
    if (failures == failures_taken_) return;
    failures_taken_ = failures;
    failed_.for_each([&](uint32_t copy) {
      if (phase(copy) != Phase::failed) return;  // about to fail: counted later
      failed_.clear(copy);
      f(copy);
    });
  }

  uint32_t num_slots() const { return num_slots_; }
  uint32_t size() const { return static_cast<uint32_t>(copies_.size()) - 1; }
  /// Transfers that wait for the link, roughly: looks at all copies.
  uint32_t num_queued() const;

 private:
  static constexpr uint32_t kGenerationStep = 1u << 8;
  static uint32_t with_phase(uint32_t state, Phase phase) { return (state & ~0xFFu) | static_cast<uint32_t>(phase); }
  bool move(uint32_t copy, uint32_t& state, Phase to);
  void recycle(uint32_t copy, Phase last);
  uint32_t first_deferred() const;
  bool is_queued(Waiting waiting) const { return state(waiting.copy) == waiting.state; }
  bool is_supplied(uint32_t copy) const;
  CopyTable& sources_of(uint32_t copy) const { return tags_[copy].from_beside ? *beside_ : *below_; }
  uint32_t show(uint32_t copy, Phase phase);

  const uint32_t num_slots_;
  CopyTable* const below_;
  CopyTable* const beside_;
  Array<Copy> copies_;  ///< nobody's is the last
  Array<Tag> tags_;     ///< of the copies; as their plain fields
  AtomicBitset free_slots_;
  AtomicBitset deferred_;  ///< a bit may outlive its phase for a moment, `state` decides
  AtomicBitset failed_;
  std::atomic<uint32_t> num_deferred_{0};
  std::atomic<uint64_t> num_deferrals_{0};
  std::atomic<uint64_t> failures_{0};
  Queues queues_;
  // The dispatching thread's, apart from what others read all the time.
  alignas(64) FreeList free_copies_;
  Array<uint32_t> spare_slots_;
  uint32_t num_spare_slots_ = 0;
  uint64_t failures_taken_ = 0;
};

// What every miss does is inlined into the dispatch.

inline uint32_t CopyTable::claim(uint32_t key, uint32_t holders, Tag tag) {
  const uint32_t id = free_copies_.take();
  if (id == kNone) return kNone;
  Copy& copy = copies_[id];
  copy.key = key;
  copy.slot = kNone;
  copy.source.store(kNone, std::memory_order_relaxed);
  copy.holds.store(holders, std::memory_order_relaxed);
  copy.given_up.store(0, std::memory_order_relaxed);
  tags_[id] = tag;
  // Only its claimer moves a free copy on, so load and store do.
  const uint32_t generation = copy.state.load(std::memory_order_relaxed) + kGenerationStep;
  copy.state.store(with_phase(generation, Phase::claimed), std::memory_order_relaxed);
  return id;
}

inline bool CopyTable::take_slot(uint32_t id) {
  // Those that wait were first, and only fill_deferred keeps their order.
  if (any_deferred()) return false;
  copies_[id].slot = num_spare_slots_ != 0 ? spare_slots_[--num_spare_slots_] : free_slots_.claim();
  return copies_[id].slot != kNone;
}

/// Only its claimer moves a copy on that is claimed, failed or cancelled, so load and store do. Returns the new state.
inline uint32_t CopyTable::show(uint32_t id, Phase phase) {
  std::atomic<uint32_t>& state = copies_[id].state;
  const uint32_t shown = with_phase(state.load(std::memory_order_relaxed), phase);
  state.store(shown, std::memory_order_release);
  return shown;
}

inline void CopyTable::queue(uint32_t id, Queue queue) { queues_.add(queue, {id, show(id, Phase::queued)}); }

inline bool CopyTable::evict(uint32_t id) {
  Copy& copy = copies_[id];
  const uint32_t state = copy.state.load(std::memory_order_acquire);
  const uint32_t holders = copy.holds.load(std::memory_order_relaxed) - copy.given_up.load(std::memory_order_acquire);
  // Nobody takes hold of it but this thread, and a transfer that has ended does not come back.
  if (phase_of(state) != Phase::ready || holders != 1) {
    drop(id);
    return false;
  }
  spare_slots_[num_spare_slots_++] = copy.slot;
  copy.state.store(with_phase(state, Phase::free), std::memory_order_relaxed);
  free_copies_.put(id);
  return true;
}

}  // namespace moe::core
