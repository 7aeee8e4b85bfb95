// SPDX-License-Identifier: Apache-2.0
// A policy's expressions for the kernels that serve every policy (any_policy.h): evaluated step by step, so that
// nothing has to be compiled. The operations are ir::apply()'s and the leaves are the functions of
// runtime/decision/values.h, as in compiled code.
#pragma once
#include <vector>

#include "codegen/program.h"

namespace moe::codegen {

/// A node of an expression.
struct EvalStep {
  enum class Kind : uint8_t {
    number,     ///< `number`
    by_key,     ///< a double of each key, at `offset` in the block
    of_expert,  ///< `read.of_expert(frame, key, place)`
    of_victim,  ///< `read.of_victim(frame, victim)`
    metric,     ///< moe_metric(frame, number[0])
    look_back,  ///< `read.look_back(frame, numbers...)`
    apply,      ///< of the operands
  };
  using OfExpert = double (*)(const decision::Frame*, uint32_t key, uint32_t place);
  using OfVictim = double (*)(const decision::Frame*, uint32_t victim);
  using LookBack = double (*)(const decision::Frame*, uint32_t which, uint32_t window);

  Kind kind = Kind::number;
  ir::ExprOp op = ir::ExprOp::constant;
  bool is_victims = false;     ///< of by_key
  uint32_t arguments[3] = {};  ///< operands, as places of earlier steps; or of the function
  union {
    double number = 0;
    size_t offset;
    OfExpert of_expert;
    OfVictim of_victim;
    LookBack look_back;
  };
};

/// The steps of every site and condition.
class SiteTable {
 public:
  /// Nodes of an expression: their values are on the stack.
  static constexpr size_t kMostSteps = 256;

  explicit SiteTable(const Program& program);
  /// False: some expression has more than kMostSteps nodes.
  bool complete() const { return complete_; }

  /// As moe_evaluate() and moe_condition().
  double evaluate(const decision::Frame& frame, uint32_t site, uint32_t key, uint32_t place, uint32_t victim) const;
  double condition(const decision::Frame& frame, uint32_t which) const;

 private:
  using Steps = std::vector<EvalStep>;
  static double run(const Steps& steps, const decision::Frame& frame, uint32_t key, uint32_t place, uint32_t victim);
  void add(const Program& program, const SiteExpr& site, std::vector<Steps>& to);

  std::vector<Steps> sites_;  ///< by number; empty: no expression
  std::vector<Steps> conditions_;
  bool complete_ = true;
};

}  // namespace moe::codegen
