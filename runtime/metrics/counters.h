// SPDX-License-Identifier: Apache-2.0
// What is counted of decisions. The runtime counts live dispatches with it, the replayer recorded ones.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

#include "runtime/base/memory.h"

namespace moe::metrics {

/// Counters kept per layer, the dispatching one's. In the order in which they are printed.
enum Counter : uint32_t {
  kDispatches,
  kTokens,
  kAccesses,    ///< unique experts of dispatches
  kSelections,  ///< (token, k) pairs
  kHits,        ///< late hits included
  kLateHits,
  kMisses,
  kLoads,
  kStreams,
  kCpu,  ///< with or without a load behind
  kEvictions,
  kPrefetched,
  kPrefetchUsed,  ///< prefetched experts used before they left
  kPrefetchCancelled,
  kApproximated,    ///< selections whose expert was not computed: shared, skipped, dropped
  kDegraded,        ///< misses served by a copy of lower precision, with the full one loaded behind
  kLowerPrecision,  ///< selections computed with weights of lower precision than the model's
  kNumCounters
};
const char* counter_name(Counter counter);

/// One dispatch's share of each counter.
struct Counts {
  // All at once would be a string instruction, which takes as long as a hundred others.
  Counts() {
    std::fill_n(of, kHalf, 0);
    std::fill_n(of + kHalf, kNumCounters - kHalf, 0);
  }
  static constexpr uint32_t kHalf = kNumCounters / 2;
  uint64_t of[kNumCounters];
  uint64_t& operator[](Counter c) { return of[c]; }
  uint64_t operator[](Counter c) const { return of[c]; }
};

/// Rates over the last dispatches. An empty denominator gives 0.
struct Rates {
  double hit_rate = 0;
  double miss_rate = 0;
  double eviction_rate = 0;      ///< evictions / accesses
  double prefetch_accuracy = 0;  ///< prefetches used / prefetched
  double prefetch_coverage = 0;  ///< prefetches used / accesses
};

/// Counters per layer and rates over a window.
///
/// Cost     record: a few relaxed stores. No allocation after construction.
/// Threads  one writes (record, set_window, the prefetch marks); any may read.
class Counters {
 public:
  static constexpr uint32_t kMaxWindow = 4096;

  Counters(uint32_t num_layers, uint32_t num_experts, const Allocator& allocator);

  void record(uint32_t layer, const Counts& counts);
  /// Starts a new window of `dispatches`, 1..kMaxWindow.
  void set_window(uint32_t dispatches);

  /// Marks an expert as prefetched and not used yet; used and left say whether it was marked, and unmark it.
  void mark_prefetched(uint32_t key) {
    num_unused_ += (unused_[key / 64] & bit(key)) == 0;
    unused_[key / 64] |= bit(key);
  }
  bool any_prefetched() const { return num_unused_ != 0; }
  bool take_prefetched(uint32_t key) {
    const bool marked = any_prefetched() && (unused_[key / 64] & bit(key)) != 0;
    if (marked) {
      unused_[key / 64] &= ~bit(key);
      --num_unused_;
    }
    return marked;
  }

  uint64_t layer(uint32_t layer, Counter counter) const {
    return counters_[layer * kStride + counter].load(std::memory_order_relaxed);
  }
  /// Over all layers. Of tokens: those that have passed the last layer.
  uint64_t total(Counter counter) const;
  Rates rates() const;
  uint32_t num_layers() const { return num_layers_; }
  /// The layer is about to be recorded.
  void prefetch(uint32_t layer) const {
    __builtin_prefetch(&counters_[layer * kStride], 1);
    __builtin_prefetch(&counters_[layer * kStride + kUsual / 2], 1);
  }

 private:
  static constexpr Counter kWindowed[] = {kAccesses, kHits, kEvictions, kPrefetched, kPrefetchUsed};
  static constexpr uint32_t kNumWindowed = 5;
  static constexpr uint32_t kUsual = 16;   ///< counters that every dispatch writes: two cache lines
  static constexpr uint32_t kStride = 24;  ///< of a layer
  static_assert(kNumCounters == kUsual + 1);
  struct Row {
    uint32_t of[kNumWindowed];
  };
  static constexpr uint64_t bit(uint32_t key) { return uint64_t{1} << (key % 64); }

  const uint32_t num_layers_;
  Array<std::atomic<uint64_t>> counters_;  ///< [num_layers][kStride]
  Array<uint64_t> unused_;                 ///< one bit per key
  uint32_t num_unused_ = 0;                ///< of them set
  Array<Row> ring_;                        ///< [kMaxWindow]
  uint32_t window_ = 100;
  uint32_t next_ = 0;  ///< row of the next dispatch, below window_
  std::atomic<uint64_t> sums_[kNumWindowed] = {};
};

}  // namespace moe::metrics
