// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "runtime/base/result.h"
#include "runtime/cuda/driver.h"

namespace moe::cuda {

/// Copies for one stream that are queued together: neighbours become one copy, several go in one call where the toolkit
/// has it.
///
/// Cost     add: O(1). submit: one call, or one for each copy where there are no batches.
/// Threads  one at a time.
class CopyBatch {
 public:
  explicit CopyBatch(Driver& driver) : driver_(driver), batches_(driver.has_batches()) {}

  void add(const Move& move);
  bool empty() const { return moves_.empty(); }
  size_t num_moves() const { return moves_.size(); }
  /// Queues what was added, which is forgotten whatever comes of it. Errors: device.
  Result<void> submit(Stream stream);

 private:
  Driver& driver_;
  const bool batches_;
  std::vector<Move> moves_;
};

}  // namespace moe::cuda
