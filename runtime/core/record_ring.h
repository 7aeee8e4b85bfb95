// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

#include "runtime/base/decision_log.h"
#include "runtime/base/memory.h"

namespace moe::core {

/// Records of 64-bit words, the newest over the oldest. One thread writes without ever waiting; any other may copy what
/// is there meanwhile, and loses what is overwritten under its hands.
///
/// Invariant  words [tail, head) modulo the capacity are whole records, each beginning with its size in words. The
///            writer moves the tail before it writes over a record, and the words are stored with release and loaded
///            with acquire: who sees a new word sees the new tail.
class RecordRing {
 public:
  RecordRing(const Allocator& allocator, uint64_t bytes)
      : words_(allocator, std::bit_floor(bytes < 512 ? uint64_t{64} : bytes / 8)), mask_(words_.size() - 1) {}

  uint64_t capacity() const { return words_.size(); }
  /// Words written since the beginning.
  uint64_t written() const { return head_.load(std::memory_order_relaxed); }

  /// The writer: begins a record of `size` words, at most the capacity; put() all of them, then commit().
  void begin(uint64_t size) {
    next_ = head_.load(std::memory_order_relaxed);
    uint64_t tail = tail_.load(std::memory_order_relaxed);
    while (next_ + size - tail > capacity()) tail += logfmt::low(word(tail).load(std::memory_order_relaxed));
    tail_.store(tail, std::memory_order_release);
  }
  void put(uint64_t value) { word(next_++).store(value, std::memory_order_release); }
  /// In whole words, the last one filled up with zeros.
  void put_bytes(const void* data, size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    for (; size >= 8; bytes += 8, size -= 8) put(read(bytes, 8));
    if (size != 0) put(read(bytes, size));
  }
  void commit() { head_.store(next_, std::memory_order_release); }

  /// Any thread: all records that were there throughout, oldest first. Allocates.
  std::vector<uint64_t> copy() const {
    for (;;) {
      const uint64_t end = head_.load(std::memory_order_acquire);
      const uint64_t first = tail_.load(std::memory_order_acquire);
      if (first > end) continue;  // the writer came round in between
      std::vector<uint64_t> out;
      out.reserve(end - first);
      for (uint64_t at = first; at < end; ++at) out.push_back(word(at).load(std::memory_order_acquire));
      const uint64_t tail = tail_.load(std::memory_order_acquire);
      if (tail >= end && end != first) continue;  // or meanwhile: nothing is left
      out.erase(out.begin(), out.begin() + static_cast<ptrdiff_t>(tail - first));
      return out;
    }
  }

 private:
  static uint64_t read(const char* bytes, size_t size) {
    uint64_t value = 0;
    __builtin_memcpy(&value, bytes, size);
    return value;
  }
  std::atomic<uint64_t>& word(uint64_t at) const { return words_[at & mask_]; }

  Array<std::atomic<uint64_t>> words_;
  const uint64_t mask_;
  std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> tail_{0};
  uint64_t next_ = 0;  ///< the writer's
};

}  // namespace moe::core
