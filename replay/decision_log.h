// SPDX-License-Identifier: Apache-2.0
// A decision log that a runtime wrote (moe_decision_log_write); runtime/base/decision_log.h has the layout.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replay/bytes.h"
#include "runtime/base/result.h"

namespace moe::replay {

struct LoggedPolicy {
  uint32_t serial = 0;
  std::string manifest;  ///< JSON
  std::string program;   ///< JSON that says how it was made, or ""
};

struct LoggedHint {
  uint32_t layer = 0;
  std::vector<uint32_t> ids;
  std::vector<float> probabilities;
};

/// A dispatch, or where a replay can begin.
struct LogRecord {
  enum class Kind { start, state, dispatch };
  Kind kind = Kind::dispatch;
  uint64_t number = 0;  ///< of the dispatch: its own, or the one that follows
  uint32_t policy = 0;  ///< place in DecisionLog::policies
  Bytes state;          ///< of a state; borrowed from the file
  // of a dispatch
  uint32_t layer = 0;
  uint32_t num_tokens = 0;
  uint32_t request = 0;
  bool decode = true;
  uint64_t digest = 0;
  std::vector<int32_t> ids;
  std::vector<float> weights;
  std::vector<float> probabilities;
  std::vector<uint32_t> dropped;
  std::vector<LoggedHint> hints;
};

struct DecisionLog {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;
  uint32_t top_k = 0;
  uint32_t abi_version = 0;
  std::vector<LoggedPolicy> policies;
  std::vector<LogRecord> records;  ///< oldest first
};

/// Reads a log over bytes in memory, which must outlive it. For hostile input: refuses with the place and the reason,
/// and allocates no more than a small multiple of what the bytes hold.
Result<DecisionLog> read_decision_log(Bytes file);

}  // namespace moe::replay
