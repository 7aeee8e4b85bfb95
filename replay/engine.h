// SPDX-License-Identifier: Apache-2.0
// What the replayer needs of a decision engine. The interpreter is adapted here; compiled policies are adapted by who
// compiles them.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "ir/bind.h"
#include "ir/decision.h"
#include "ir/interpreter.h"

namespace moe::replay {

/// Decides dispatch after dispatch, as docs/semantics.md says. Threads: none, the caller serialises.
class DecisionEngine {
 public:
  virtual ~DecisionEngine() = default;
  /// nullopt: the dispatch is invalid, and nothing changed.
  virtual std::optional<ir::Decision> decide(const ir::DispatchInput& input) = 0;
  /// What `layer` will probably need; see ir::Interpreter::hint.
  virtual void hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) = 0;
  /// What belady and `next_use` know; must outlive the engine. Engines without such rules ignore it.
  virtual void set_future(const ir::Future* future) { (void)future; }
};

/// The reference interpreter.
std::unique_ptr<DecisionEngine> make_interpreter_engine(const ir::BoundPolicy& policy);

}  // namespace moe::replay
