// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>

#include "runtime/base/atomic_bitset.h"
#include "runtime/base/memory.h"
#include "runtime/disk/chunk.h"
#include "runtime/disk/request.h"

namespace moe::disk {

/// Where a request is in its life.
///
///     free -> reading | following -> finished -> free
///     reading -> draining -> reading | finished      a second try, a failure, cancelled
///     reading | draining -> overdue -> finished      timed out; reported twice if need be
///     following -> reading                           the leader is gone
enum class Stage : uint8_t {
  free,       ///< or on its way from the submitting thread
  reading,    ///< has bytes to ask for or under way
  following,  ///< the same extent is being read for another one, its leader
  draining,   ///< waits for its reads to come back, then begins again or finishes
  overdue,    ///< timed out with reads under way into its destination
  finished,   ///< its last completion is there
};

struct Record {
  // The submitting thread's until the owner has taken it from the inbox, then read by the owner.
  Request request;
  uint32_t generation = 0;
  uint64_t order = 0;

  // Any thread's orders; the generation in the upper half says for which request. The greater number wins.
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint64_t> urgency{0};

  // The owner's.
  Stage stage = Stage::free;
  bool begin_again = false;   ///< when drained
  bool alone = false;         ///< shares no chunk with neighbours: one of them may have failed
  bool reread = false;        ///< because of a wrong checksum
  bool wants_sum = false;     ///< somebody of the group gave a checksum
  bool listed = false;        ///< its completion waits for poll
  Class cls = Class::demand;  ///< this and the next two: the most urgent of the group
  uint16_t priority = 0;
  Clock::time_point deadline = kNever;
  uint32_t active_at = 0;  ///< place in the list of active records
  uint32_t in_flight = 0;  ///< segments in chunks
  uint64_t issued = 0;     ///< bytes asked for
  uint64_t summed = 0;     ///< bytes from the begin that are in `sum`
  uint32_t sum = 0;
  uint32_t leader = kNone;
  uint32_t next_follower = kNone;  ///< of a leader: its first
  Completion completion;
};

/// The requests of a reader, of fixed number, and the way they and orders about them take from any thread to the
/// owner.
///
/// Cost     submit, cancel, promote: a few atomic operations each; no allocation, no lock, no system call.
/// Threads  submit, cancel, promote, epoch: any. The rest: the owner.
class RequestTable {
 public:
  explicit RequestTable(uint32_t num_records);

  RequestId submit(const Request& request);
  void cancel(RequestId id) { order(id, &Record::cancelled, id & kUpperHalf); }
  void promote(RequestId id, Class cls, uint16_t priority);
  /// Changes with every call of the three.
  uint32_t epoch() const { return epoch_.load(std::memory_order_seq_cst); }

  /// Calls adopt(i) for new requests, then obey(i) for those with orders.
  template <class Adopt, class Obey>
  void take(Adopt&& adopt, Obey&& obey) {
    inbox_.for_each([&](uint32_t i) {
      inbox_.clear(i);
      adopt(i);
      obey(i);
    });
    ordered_.for_each([&](uint32_t i) {
      ordered_.clear(i);
      // One that is not adopted yet is obeyed when it is: its orders were there before the bit.
      if (records_[i].stage != Stage::free) obey(i);
    });
  }
  bool is_cancelled(uint32_t i) const {
    return records_[i].cancelled.load(std::memory_order_acquire) >> 32 == records_[i].generation;
  }
  /// Whether someone asked for more urgency, and how much.
  bool urged(uint32_t i, Class& cls, uint16_t& priority) const;

  RequestId id(uint32_t i) const { return uint64_t{records_[i].generation} << 32 | i; }
  Record& operator[](uint32_t i) const { return records_[i]; }
  uint32_t size() const { return static_cast<uint32_t>(records_.size()); }

  void activate(uint32_t i);
  void deactivate(uint32_t i);
  uint32_t num_active() const { return num_active_; }
  uint32_t active(uint32_t place) const { return active_[place]; }

  /// Lets poll report records[i].completion.
  void list(uint32_t i);
  /// The next record to report, taken from the list; kNone.
  uint32_t next_listed();
  void recycle(uint32_t i);

 private:
  static constexpr uint64_t kUpperHalf = ~uint64_t{0} << 32;
  void order(RequestId id, std::atomic<uint64_t> Record::* word, uint64_t value);

  Array<Record> records_;
  AtomicBitset free_;
  AtomicBitset inbox_;
  AtomicBitset ordered_;
  std::atomic<uint64_t> next_order_{0};
  std::atomic<uint32_t> epoch_{0};
  Array<uint32_t> active_;
  uint32_t num_active_ = 0;
  Array<uint32_t> listed_;  ///< a ring: a record is in it once at most
  uint32_t first_listed_ = 0;
  uint32_t num_listed_ = 0;
};

}  // namespace moe::disk
