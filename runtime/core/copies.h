// SPDX-License-Identifier: Apache-2.0
// The experts that are in the fast tier or on their way: who holds them, where they are, what moves next.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

#include "runtime/base/atomic_bitset.h"
#include "runtime/base/memory.h"

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

/// Which queue a transfer waits in. The first goes before the second before the third, each in order.
enum class Queue : uint32_t { demand, background, prefetch };

/// One expert in one slot (or without one yet). Held by residency and by the entries of unreleased plans; the slot is
/// in use exactly as long as the copy lives. So an eviction only ends one hold, and what a plan names stays where it
/// is.
///
/// Ownership of the plain fields: the thread that claimed the copy until it is queued or deferred; from then whoever
/// moved `state` to a working phase. Others read them after an acquire of `state` that saw a slot.
struct Copy {
  std::atomic<uint32_t> state;  ///< generation << 8 | Phase; waiting threads sleep on it
  std::atomic<uint32_t> holders;
  std::atomic<uint64_t> order;  ///< smaller goes first
  uint32_t key;
  uint32_t slot;  ///< kNone before it has one
};

/// The table of copies, the pool of slots and the queues, all of fixed size.
///
/// Cost     a few atomic operations each; no allocation, no lock, no system call except the wake-ups in finish.
/// Threads  claim, queue, defer, promote, cancel and retry: the dispatching thread. fill_deferred and
///          end_orphan: under the plans' lock. next, start, issue and finish: the transfer thread. hold and drop: any.
class CopyTable {
 public:
  CopyTable(uint32_t num_copies, uint32_t num_slots, const Allocator& allocator);

  /// A new copy of `key` with that many holders, without a slot; kNone when the table is full.
  uint32_t claim(uint32_t key, uint32_t holders);
  /// Whether `count` claims in a row cannot fail.
  bool has_room(uint32_t count) const { return num_free_.load(std::memory_order_acquire) >= count; }
  /// Gives a claimed copy a free slot, unless others wait for one or there is none.
  bool take_slot(uint32_t copy);
  /// Queues the transfer of a copy with a slot.
  void queue(uint32_t copy, Queue queue);
  /// Lets a copy wait for a slot, behind those that wait already.
  void defer(uint32_t copy);

  void hold(uint32_t copy) { copies_[copy].holders.fetch_add(1, std::memory_order_relaxed); }
  void drop(uint32_t copy);

  /// Moves a transfer that has not started to the demand queue.
  void promote(uint32_t copy);
  /// Takes a prefetch out of the queue; false when it had started. It keeps slot and holders.
  bool cancel(uint32_t copy, uint32_t state);
  /// The state that a queued copy had, whatever it is by now: for cancel.
  uint32_t queued_state(uint32_t copy) const { return with_phase(state(copy), Phase::queued); }
  bool promoted(uint32_t copy) const { return demand_.test(copy); }
  /// Queues a failed or cancelled transfer again, as demand.
  void retry(uint32_t copy);

  /// Hands free slots to deferred copies, first come first served. Whether any got one.
  bool fill_deferred();
  bool any_deferred() const { return num_deferred_.load(std::memory_order_acquire) != 0; }
  /// Whether some slot will become free without anyone's doing: an orphan is still at work in it.
  bool any_orphan() const;
  void end_orphan(uint32_t copy);

  /// The transfer to do next of one queue; kNone if there is none.
  uint32_t next(Queue queue) const { return first_of(queue_of(queue), Phase::queued); }
  /// Takes it; false when it was dropped or cancelled meanwhile.
  bool start(uint32_t copy);
  void issue(uint32_t copy);
  /// Ends it and wakes who waits for it. False: it became an orphan, call end_orphan.
  bool finish(uint32_t copy, bool good);

  const Copy& operator[](uint32_t copy) const { return copies_[copy]; }
  uint32_t state(uint32_t copy) const { return copies_[copy].state.load(std::memory_order_acquire); }
  Phase phase(uint32_t copy) const { return phase_of(state(copy)); }
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
  /// Transfers that wait for the link, roughly.
  uint32_t num_queued() const;

 private:
  static uint32_t with_phase(uint32_t state, Phase phase) { return (state & ~0xFFu) | static_cast<uint32_t>(phase); }
  bool move(uint32_t copy, uint32_t& state, Phase to);
  void recycle(uint32_t copy, Phase last);
  uint32_t first_of(const AtomicBitset& queue, Phase phase) const;
  const AtomicBitset& queue_of(Queue queue) const {
    return queue == Queue::demand ? demand_ : queue == Queue::background ? background_ : prefetch_;
  }
  AtomicBitset& queue_of(Queue queue) { return const_cast<AtomicBitset&>(std::as_const(*this).queue_of(queue)); }
  void leave_queues(uint32_t copy);

  const uint32_t num_slots_;
  Array<Copy> copies_;
  AtomicBitset free_copies_;
  AtomicBitset free_slots_;
  AtomicBitset demand_;  ///< queued; a bit may outlive its phase for a moment, `state` decides
  AtomicBitset background_;
  AtomicBitset prefetch_;
  AtomicBitset deferred_;
  AtomicBitset failed_;
  std::atomic<uint32_t> num_free_;
  std::atomic<uint32_t> num_deferred_{0};
  std::atomic<uint64_t> next_order_{0};
  std::atomic<uint64_t> failures_{0};
  uint64_t failures_taken_ = 0;  ///< the dispatching thread's
};

}  // namespace moe::core
