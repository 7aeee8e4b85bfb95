// SPDX-License-Identifier: Apache-2.0
// What waits for the link, in three queues between the dispatching thread and the transfer thread.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/base/atomic_bitset.h"
#include "runtime/base/memory.h"

namespace moe::core {

/// Which queue a transfer waits in. The first goes before the second before the third, each in order. `decode` goes
/// before all: what it moves is on the device already.
enum class Queue : uint32_t { demand, background, prefetch, decode };
inline constexpr uint32_t kNumQueues = 4;

/// A copy that was queued, and the state that it had then: it is taken only if it still has it. So nothing is ever
/// taken out of the middle of a queue, and who cancels, evicts or promotes a copy just moves its state on.
struct Waiting {
  uint32_t copy;
  uint32_t state;
};

/// What became of an attempt to take a copy out of a queue.
enum class Take {
  taken,
  gone,   ///< it is queued no longer
  later,  ///< it stays where it is in the order
};

/// The dispatching thread writes to a ring and shows what it wrote with one store, because an atomic
/// read-modify-write per load costs more than the decision. The transfer thread moves what it sees to lists that only
/// it touches. What does not fit into the ring, and what other threads queue, goes through bit sets.
///
/// Cost     add: two stores; publish: one. No lock, no allocation after construction, no system call.
/// Threads  add, publish: the dispatching thread. add_late: any. collect, first, take: the transfer thread.
class Queues {
 public:
  explicit Queues(uint32_t num_copies, const Allocator& allocator);

  void add(Queue queue, Waiting waiting);
  /// Shows the transfer thread what was added. Whether anything was.
  bool publish() {
    const bool any = next_ != written_.load(std::memory_order_relaxed);
    written_.store(next_, std::memory_order_release);
    return any;
  }
  /// Queues a copy behind what is seen already; its state is read when the transfer thread sees it.
  void add_late(Queue queue, uint32_t copy) { late_[static_cast<uint32_t>(queue)].set(copy); }

  /// Takes in what was published. `state_of(copy)`: the state of one that is queued now, else 0. `is_queued(waiting)`:
  /// whether it still has that state.
  template <class StateOf, class IsQueued>
  void collect(const StateOf& state_of, const IsQueued& is_queued);
  /// The first of the queue that is_queued; its copy is kNone if there is none.
  template <class IsQueued>
  Waiting first(Queue queue, const IsQueued& is_queued);
  /// The first copy of the queue that can be taken, as `take(waiting)` says. kNone: there is none. Cost: those that are
  /// to be taken later are asked again each time.
  template <class Taker>
  uint32_t take(Queue queue, const Taker& take);

 private:
  static constexpr uint32_t kNone = AtomicBitset::kNone;
  struct alignas(16) Item {  // never parts of two cache lines
    Waiting waiting;
    Queue queue;
  };
  /// First in, first out: [begin, end) of a ring that has room for twice the copies. A copy is queued at most once at
  /// a time, so what does not fit is older than its copy's state, and goes.
  struct List {
    List(const Allocator& allocator, uint32_t capacity) : items(allocator, capacity) {}
    Array<Waiting> items;
    uint64_t begin = 0;
    uint64_t end = 0;
    Waiting& at(uint64_t i) { return items[i & (items.size() - 1)]; }
  };

  template <class IsQueued>
  void append(Queue queue, Waiting waiting, const IsQueued& is_queued);

  Array<Item> ring_;
  std::array<AtomicBitset, kNumQueues> late_;
  alignas(64) std::atomic<uint64_t> written_{0};
  alignas(64) uint64_t next_ = 0;  ///< the dispatching thread's: where it writes
  uint64_t seen_read_ = 0;         ///< likewise: of read_
  alignas(64) std::atomic<uint64_t> read_{0};
  std::array<List, kNumQueues> lists_;
  std::array<List, kNumQueues> set_aside_;  ///< before the lists
};

inline void Queues::add(Queue queue, Waiting waiting) {
  if (next_ - seen_read_ == ring_.size()) [[unlikely]] {
    seen_read_ = read_.load(std::memory_order_acquire);
    if (next_ - seen_read_ == ring_.size()) return add_late(queue, waiting.copy);
  }
  ring_[next_ & (ring_.size() - 1)] = {waiting, queue};
  ++next_;
}

template <class IsQueued>
void Queues::append(Queue queue, Waiting waiting, const IsQueued& is_queued) {
  List& list = lists_[static_cast<uint32_t>(queue)];
  if (list.end - list.begin == list.items.size()) {
    uint64_t kept = list.begin;
    for (uint64_t i = list.begin; i < list.end; ++i) {
      if (is_queued(list.at(i))) list.at(kept++) = list.at(i);
    }
    list.end = kept;
  }
  list.at(list.end++) = waiting;
}

template <class StateOf, class IsQueued>
void Queues::collect(const StateOf& state_of, const IsQueued& is_queued) {
  const uint64_t written = written_.load(std::memory_order_acquire);
  uint64_t read = read_.load(std::memory_order_relaxed);
  if (read != written) {
    for (; read != written; ++read) {
      const Item& item = ring_[read & (ring_.size() - 1)];
      append(item.queue, item.waiting, is_queued);
    }
    read_.store(read, std::memory_order_release);
  }
  for (uint32_t queue = 0; queue < kNumQueues; ++queue) {
    late_[queue].drain([&](uint32_t copy) {
      if (const uint32_t state = state_of(copy)) append(static_cast<Queue>(queue), {copy, state}, is_queued);
    });
  }
}

template <class IsQueued>
Waiting Queues::first(Queue queue, const IsQueued& is_queued) {
  List& list = lists_[static_cast<uint32_t>(queue)];
  for (; list.begin != list.end; ++list.begin) {
    if (is_queued(list.at(list.begin))) return list.at(list.begin);
  }
  return {kNone, 0};
}

template <class Taker>
uint32_t Queues::take(Queue queue, const Taker& take) {
  List& aside = set_aside_[static_cast<uint32_t>(queue)];
  uint32_t taken = kNone;
  uint64_t kept = aside.begin;
  for (uint64_t i = aside.begin; i < aside.end; ++i) {
    const Waiting waiting = aside.at(i);
    const Take outcome = taken == kNone ? take(waiting) : Take::later;
    if (outcome == Take::taken) taken = waiting.copy;
    if (outcome == Take::later) aside.at(kept++) = waiting;
  }
  aside.end = kept;
  List& list = lists_[static_cast<uint32_t>(queue)];
  while (taken == kNone && list.begin != list.end) {
    const Waiting waiting = list.at(list.begin++);
    const Take outcome = take(waiting);
    if (outcome == Take::taken) taken = waiting.copy;
    if (outcome == Take::later)
      aside.at(aside.end++) = waiting;  // one for each queued copy at most: they are all asked
  }
  return taken;
}

}  // namespace moe::core
