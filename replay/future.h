// SPDX-License-Identifier: Apache-2.0
// What a recorded trace knows and a live run does not: when an expert is used next.
#pragma once
#include <vector>

#include "ir/interpreter.h"
#include "replay/trace.h"

namespace moe::replay {

/// Accesses are numbered over the whole trace: unique experts of each dispatch in order of first appearance.
///
/// Memory  8 bytes an access.
class TraceFuture final : public ir::Future {
 public:
  explicit TraceFuture(const Trace& trace);
  /// The next dispatch of the trace begins.
  void begin_dispatch();
  double next_use(uint32_t key, uint64_t done) const override;

 private:
  std::vector<std::vector<uint64_t>> uses_;  ///< by key, ascending access numbers
  std::vector<uint64_t> first_access_;       ///< by dispatch
  size_t num_begun_ = 0;
};

/// Whether a policy asks: `belady`, or `next_use` in an expression.
bool needs_future(const ir::BoundPolicy& policy);

}  // namespace moe::replay
