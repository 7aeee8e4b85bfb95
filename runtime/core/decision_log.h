// SPDX-License-Identifier: Apache-2.0
// The optional decision log: the inputs of the last dispatches, and where a replay of them can begin.
// docs/decisions/0007-decision-log.md says why inputs and not reasons.
#pragma once
#include <mutex>
#include <string>
#include <vector>

#include "moe/moe.h"
#include "runtime/base/result.h"
#include "runtime/core/instance.h"
#include "runtime/core/record_ring.h"
#include "runtime/hints.h"

namespace moe::core {

/// Cost  a dispatch: a copy of its input, a few words and a digest; every quarter of the ring, or after a swap, a copy
/// of
///       the policy's state. No allocation, no lock, no system call.
/// Threads  before and record: the dispatching one. add_policy and write: any.
class DecisionLog {
 public:
  DecisionLog(uint64_t bytes, const moe_model_shape& shape, const Allocator& allocator)
      : shape_(shape), ring_(allocator, bytes) {}

  /// A policy that dispatches may come to use: what the file says of it. Its serial. May allocate.
  uint32_t add_policy(const moe_policy& policy);
  /// Whether states of that size fit: without them the log can be explained only until it wraps.
  bool can_hold(size_t state_bytes) const { return state_words(state_bytes) <= ring_.capacity() / 4; }

  /// `instance` decides from the next dispatch on. `fresh`: its state is as init_state leaves it.
  void starts(const Instance& instance, bool fresh) {
    serial_ = instance.log_serial;
    begin_ = fresh ? Begin::fresh : Begin::state;
    state_bytes_ = decision::state_bytes(instance.params());
  }
  /// Before a dispatch is decided.
  void before(const Instance& instance, Hints& hints);
  /// After it was.
  void record(const decision::Input& input, const decision::Output& output, Hints& hints);

  /// All of it as a file. Errors: io.
  Result<void> write(const std::string& path) const;
  /// The file's bytes.
  std::string bytes() const;

 private:
  enum class Begin { nothing, fresh, state };
  struct Entry {
    uint32_t serial;
    std::string manifest;
    std::string program;
  };
  static constexpr size_t kMostPolicies = 16;  ///< of the last swaps; records of those before go unread

  static uint64_t state_words(size_t bytes) { return logfmt::kPrologue + logfmt::words_for(bytes); }
  void put_prologue(logfmt::Kind kind, uint8_t flags, uint64_t words, uint32_t layer);
  uint64_t words_of(const decision::Input& input, const Hints& hints) const;
  void put_ids(const decision::Input& input);

  const moe_model_shape shape_;
  RecordRing ring_;
  uint64_t number_ = 0;      ///< of the next dispatch
  uint64_t last_begin_ = 0;  ///< words written when the last start or state was
  size_t state_bytes_ = 0;   ///< of the policy in force
  uint32_t serial_ = 0;
  Begin begin_ = Begin::nothing;
  mutable std::mutex lock_;  ///< of what follows
  std::vector<Entry> policies_;
  uint32_t num_policies_ = 0;
};

}  // namespace moe::core
