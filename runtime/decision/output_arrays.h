// SPDX-License-Identifier: Apache-2.0
// The arrays that a dispatch writes its decision to, for callers that may allocate from the heap.
#pragma once
#include <vector>

#include "runtime/decision/abi.h"

namespace moe::decision {

/// Threads  none: one dispatch at a time.
class OutputArrays {
 public:
  OutputArrays() = default;
  explicit OutputArrays(const OutputSizes& sizes) { make_room(sizes); }

  /// Never shrinks.
  void make_room(const OutputSizes& sizes) {
    if (expert_.size() < sizes.entries) {
      expert_.resize(sizes.entries);
      action_.resize(sizes.entries);
      num_selections_.resize(sizes.entries);
      weight_.resize(sizes.entries);
    }
    if (evicted_.size() < sizes.evicted) evicted_.resize(sizes.evicted);
    if (prefetched_.size() < sizes.prefetched) prefetched_.resize(sizes.prefetched);
    if (fired_.size() < sizes.fired) fired_.resize(sizes.fired);
    if (dropped_.size() < sizes.dropped) dropped_.resize(sizes.dropped);
    if (moves_.size() < sizes.moves) moves_.resize(sizes.moves);
    if (copies_.size() < sizes.copies) copies_.resize(sizes.copies);
  }

  /// Empty. Borrows the arrays until the next make_room().
  Output output() {
    Output out{};
    out.expert = expert_.data();
    out.action = action_.data();
    out.num_selections = num_selections_.data();
    out.weight = weight_.data();
    out.evicted = evicted_.data();
    out.prefetched = prefetched_.data();
    out.fired = fired_.data();
    out.dropped = dropped_.data();
    out.moves = moves_.data();
    out.copies = copies_.data();
    return out;
  }

 private:
  std::vector<uint32_t> expert_, num_selections_, evicted_, prefetched_, fired_, dropped_;
  std::vector<TierMove> moves_;
  std::vector<CopyChoice> copies_;
  std::vector<uint8_t> action_;
  std::vector<float> weight_;
};

}  // namespace moe::decision
