// SPDX-License-Identifier: Apache-2.0
// Slices of a model's recorded routing, for the differential tests.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "replay/trace.h"
#include "tests/decision/random_policy.h"

namespace moe::test {

class RecordedTrace {
 public:
  /// nullopt: it cannot be read.
  static std::optional<RecordedTrace> load(const std::string& path);

  ir::ModelShape shape() const;
  /// The dispatches of `tokens` tokens in a row from a random one on. Their gates' predictions, if recorded, come as
  /// hints.
  std::vector<RandomDispatch> slice(Dice& dice, uint32_t tokens) const;

 private:
  explicit RecordedTrace(replay::Trace trace) : trace_(std::move(trace)) {}
  RandomDispatch dispatch(uint64_t token, uint32_t layer) const;

  replay::Trace trace_;
};

}  // namespace moe::test
