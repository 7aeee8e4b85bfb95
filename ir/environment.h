// SPDX-License-Identifier: Apache-2.0
// The interpreter's state as expressions see it.
#pragma once
#include "ir/interpreter.h"

namespace moe::ir {

/// For one expert of an instance; without one, for the cache as a whole.
class ExpertEnvironment final : public Environment {
 public:
  ExpertEnvironment(Interpreter& state, const Interpreter::Context& context, const Interpreter::Instance& instance,
                    std::optional<uint32_t> key)
      : state_(state), context_(context), instance_(instance), key_(key) {}

  /// Who would leave for it: what `victim(x)` speaks of.
  void set_victim(std::optional<uint32_t> victim) { victim_ = victim; }

  double variable(Variable v, bool of_victim) override;
  void history(Variable v, uint32_t window, std::vector<double>& out) override;
  double rate(ExprOp op, uint32_t window, uint32_t largest, bool of_victim) override;

 private:
  double of_expert(Variable v, uint32_t key);
  double recency(uint32_t key) const;

  Interpreter& state_;
  const Interpreter::Context& context_;
  const Interpreter::Instance& instance_;
  std::optional<uint32_t> key_;
  std::optional<uint32_t> victim_;
};

}  // namespace moe::ir
