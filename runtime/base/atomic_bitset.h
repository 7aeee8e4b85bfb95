// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <bit>
#include <cstdint>

#include "runtime/base/memory.h"

namespace moe {

/// A set of small numbers that any thread may change: the pools of slots, copies and plans, and the queues of
/// transfers.
///
/// Cost     set, clear, test: one atomic operation; claim: one more per 64 numbers looked at. No allocation, no lock.
/// Threads  any. What a thread wrote before set(i) is seen by the thread whose claim() returns i, or whose for_each
///          or drain visits i.
class AtomicBitset {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFFu;

  /// Numbers 0..size-1; all of them are in the set when `full`.
  AtomicBitset(const Allocator& allocator, uint32_t size, bool full)
      : words_(allocator, (size_t{size} + 63) / 64), num_words_(static_cast<uint32_t>(words_.size())) {
    if (!full) return;
    for (uint32_t i = 0; i < size; ++i) words_[i / 64].fetch_or(bit(i), std::memory_order_relaxed);
  }

  void set(uint32_t i) { words_[i / 64].fetch_or(bit(i), std::memory_order_acq_rel); }
  /// Whether `i` was in the set.
  bool clear(uint32_t i) { return words_[i / 64].fetch_and(~bit(i), std::memory_order_acq_rel) & bit(i); }
  bool test(uint32_t i) const { return words_[i / 64].load(std::memory_order_acquire) & bit(i); }

  /// Takes some number out of the set; kNone when it is empty. Two threads never get the same one.
  uint32_t claim() {
    const uint32_t first = hint_.load(std::memory_order_relaxed);
    for (uint32_t n = 0, w = first; n < num_words_; ++n, w = w + 1 == num_words_ ? 0 : w + 1) {
      uint64_t word = words_[w].load(std::memory_order_relaxed);
      while (word) {
        const uint32_t i = w * 64 + static_cast<uint32_t>(std::countr_zero(word));
        if (clear(i)) {
          if (w != first) hint_.store(w, std::memory_order_relaxed);
          return i;
        }
        word = words_[w].load(std::memory_order_relaxed);
      }
    }
    return kNone;
  }

  /// Takes all numbers out of the set and calls f(i) for each, ascending. One atomic operation per 64 numbers of which
  /// there is one.
  template <class F>
  void drain(F&& f) {
    for (uint32_t w = 0; w < num_words_; ++w) {
      if (words_[w].load(std::memory_order_relaxed) == 0) continue;
      for (uint64_t word = words_[w].exchange(0, std::memory_order_acq_rel); word; word &= word - 1) {
        f(w * 64 + static_cast<uint32_t>(std::countr_zero(word)));
      }
    }
  }

  /// Calls f(i) for the numbers in the set, ascending; one that comes or goes meanwhile may be missed or visited.
  template <class F>
  void for_each(F&& f) const {
    for (uint32_t w = 0; w < num_words_; ++w) {
      for (uint64_t word = words_[w].load(std::memory_order_acquire); word; word &= word - 1) {
        f(w * 64 + static_cast<uint32_t>(std::countr_zero(word)));
      }
    }
  }

 private:
  static constexpr uint64_t bit(uint32_t i) { return uint64_t{1} << (i % 64); }

  Array<std::atomic<uint64_t>> words_;
  uint32_t num_words_;
  std::atomic<uint32_t> hint_{0};  ///< the word of the last claim; always < num_words_
};

}  // namespace moe
