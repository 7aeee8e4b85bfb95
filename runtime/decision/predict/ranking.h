// SPDX-License-Identifier: Apache-2.0
// What a strategy names, best first. Filters throw away most of it, and the budget ends the search: so it is a heap,
// made in linear time, and each candidate costs the logarithm of what is left.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

struct Named {
  double priority;
  double predicted;
  uint32_t key;
  uint32_t order;  ///< of the naming: breaks ties
};

/// The scratch array, max_named(p) long.
MOE_INLINE Named* ranking_of(const State& s) { return s.at<Named>(s.predict().ranking); }

MOE_INLINE bool ranks_before(const Named& a, const Named& b) {
  return a.priority > b.priority || (a.priority == b.priority && a.order < b.order);
}

/// Lets `item` sink from place `at` of a heap of `size` until nobody below ranks before it.
MOE_INLINE void sink(Named* heap, uint32_t size, uint32_t at, Named item) {
  for (uint32_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && ranks_before(heap[child + 1], heap[child])) ++child;
    if (!ranks_before(heap[child], item)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = item;
}

/// Shows `size` items best first, until `take` returns false. The items are moved.
template <class Take>
MOE_INLINE void in_rank_order(Named* items, uint32_t size, Take take) {
  for (uint32_t at = size / 2; at-- > 0;) sink(items, size, at, items[at]);
  while (size > 0) {
    const Named best = items[0];
    --size;
    if (size > 0) sink(items, size, 0, items[size]);
    if (!take(best)) return;
  }
}

}  // namespace moe::decision
