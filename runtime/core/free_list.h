// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/base/atomic_bitset.h"
#include "runtime/base/memory.h"

namespace moe::core {

/// Numbers that one thread, the owner, takes, and that any thread gives back: free copies, free plans.
///
/// Cost     take and put: none but memory, as long as the owner has some at hand; else those that others gave back are
///          collected, with one atomic operation per 64. give_back: one atomic operation. No allocation, no lock.
/// Threads  give_back: any; all else: the owner. What a thread wrote before give_back(i) is seen by the owner after
///          take() returned i.
class FreeList {
 public:
  static constexpr uint32_t kNone = AtomicBitset::kNone;

  /// All of 0..size-1 are free.
  FreeList(const Allocator& allocator, uint32_t size)
      : at_hand_(allocator, size), num_at_hand_(size), given_back_(allocator, size, false) {
    for (uint32_t i = 0; i < size; ++i) at_hand_[i] = size - 1 - i;
  }

  /// kNone: there is none.
  uint32_t take() { return has(1) ? at_hand_[--num_at_hand_] : kNone; }
  /// Whether `count` takes in a row cannot fail.
  bool has(uint32_t count) {
    if (num_at_hand_ < count) given_back_.drain([this](uint32_t i) { put(i); });
    return num_at_hand_ >= count;
  }
  void put(uint32_t i) { at_hand_[num_at_hand_++] = i; }
  void give_back(uint32_t i) { given_back_.set(i); }

 private:
  Array<uint32_t> at_hand_;  ///< a stack: what was freed last is warm
  uint32_t num_at_hand_;
  AtomicBitset given_back_;
};

}  // namespace moe::core
