// SPDX-License-Identifier: Apache-2.0
// Expressions of a policy, checked: what stands in `least(E)`, `when(E)`, arms, conditions and rewards.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/source.h"

namespace moe::ir {

/// Types decide how a constant is written and which values go together; all but `boolean` and `phase` are numbers.
enum class Type : uint8_t {
  number,
  ratio,    ///< 0.25 is 25 %
  time,     ///< milliseconds
  size,     ///< bytes
  boolean,  ///< 0 or 1
  phase,    ///< Phase as a number
};

enum class Phase : uint8_t { prefill, decode };
std::string_view to_word(Phase);

/// What an expression can read; docs/language.md has the meaning of each. In the order of the language's table.
enum class Variable : uint8_t {
  // of one expert
  freq,
  recency,
  age,
  uses,
  seen,
  request_uses,
  idle,
  value,
  score,
  weight,
  tokens,
  layer,
  expert,
  distance,
  size,
  predicted,
  load_ms,
  cpu_ms,
  position,
  resident,
  foretold,
  next_use,
  // of the cache, the links, the engine
  hit_rate,
  miss_rate,
  eviction_rate,
  prefetch_accuracy,
  prefetch_coverage,
  stall_ms,
  queue_depth,
  link_gbps,
  tokens_per_s,
  memory_used,
  memory_free,
  cache_fill,
  kv_used,
  entropy,
  phase,
  batch,
  capacity,
  num_experts,
  num_layers,
  top_k,
};
inline constexpr size_t kNumVariables = static_cast<size_t>(Variable::top_k) + 1;

std::string_view to_word(Variable);
/// The variable of that name.
std::optional<Variable> find_variable(std::string_view name);
Type type_of(Variable);
/// freq .. next_use: differs from expert to expert.
constexpr bool is_of_expert(Variable v) { return v <= Variable::next_use; }
/// hit_rate .. entropy: what `avg_over` and its kin look back on, one sample a dispatch.
constexpr bool is_metric(Variable v) { return v >= Variable::hit_rate && v <= Variable::entropy; }
/// Depends on clocks, links or the engine's memory: a policy that reads one is not timing_free.
bool is_measured(Variable v);

enum class ExprOp : uint8_t {
  constant,  ///< `number`
  variable,  ///< `variable`
  // one operand
  negate,
  not_,
  abs,
  exp,
  log,
  log2,
  sqrt,
  floor,
  sigmoid,
  // two operands
  add,
  subtract,
  multiply,
  divide,
  modulo,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  and_,
  or_,
  min,
  max,
  pow,
  // three operands
  conditional,  ///< if one then two else three
  clamp,        ///< clamp(x, low, high)
  // a metric's last `window` samples
  avg_over,
  max_over,
  trend,  ///< least-squares slope per sample
  // moving averages per expert, over the dispatches of its layer, with time constant `window`
  use_rate,
  weight_rate,  ///< of router weights; `largest`: only so many weights of a dispatch count, 0: all
};

/// The word or sign of an operator or function: "+", "and", "sqrt", "if", ...
std::string_view to_word(ExprOp);
/// Operands that a node of this kind has: 0 to 3.
constexpr size_t num_operands(ExprOp op) {
  if (op <= ExprOp::variable || op >= ExprOp::avg_over) return 0;
  if (op <= ExprOp::sigmoid) return 1;
  return op <= ExprOp::pow ? 2 : 3;
}

struct ExprNode {
  ExprOp op = ExprOp::constant;
  Type type = Type::number;
  Variable variable = Variable::freq;  ///< of `variable` and of a metric's history
  bool of_victim = false;  ///< of a variable, use_rate and weight_rate: the one that would leave, as `victim(x)` says
  uint32_t window = 0;     ///< 1..4096
  uint32_t largest = 0;
  double number = 0;                            ///< of a constant: a fraction, ms, bytes, 0 or 1, as the type says
  std::array<uint32_t, 3> operand = {0, 0, 0};  ///< places of the operands: below this node's
  SourceSpan span;
};

/// A tree in one array, children before parents, the root last. Empty: no expression was written.
/// Equality ignores spans; NaN constants are equal, zeros of unlike sign are not.
struct Expr {
  std::vector<ExprNode> nodes;

  bool empty() const { return nodes.empty(); }
  const ExprNode& root() const { return nodes.back(); }
  Type type() const { return nodes.empty() ? Type::boolean : nodes.back().type; }
  SourceSpan span() const { return nodes.empty() ? SourceSpan{} : nodes.back().span; }
  bool is_constant() const { return nodes.size() == 1 && nodes[0].op == ExprOp::constant; }
  bool reads(Variable v) const;
  /// Whether anything in it is_measured.
  bool reads_measured() const;
  friend bool operator==(const Expr& a, const Expr& b);
};

Expr constant(double value, Type type = Type::number);

/// The expression in the language's own syntax, with parentheses where needed; it reads back as an equal Expr. No
/// recursion; cost: linear in the nodes.
std::string print_expr(const Expr& expr);
/// A literal with its unit where there is one. What has no literal is written as a constant expression in parentheses:
/// infinity and NaN (`1e308 * 10`), and a ratio that no per cent reads back as (`0.1234 * 100%`).
std::string print_constant(double value, Type type);
/// The shortest decimal that reads back as the same number; `value` is finite.
std::string print_number(double value);

/// Where an expression gets the values of its variables.
class Environment {
 public:
  virtual ~Environment() = default;
  /// `of_victim`: of the expert that would have to leave; 0 when a slot is free.
  virtual double variable(Variable v, bool of_victim) = 0;
  /// Samples of metric `v`, oldest first, at most `window` of them, into `out`.
  virtual void history(Variable v, uint32_t window, std::vector<double>& out) = 0;
  /// use_rate(window), or weight_rate(window, largest).
  virtual double rate(ExprOp op, uint32_t window, uint32_t largest, bool of_victim) = 0;
};

/// Evaluates in IEEE binary64 in source order; booleans are 0 and 1. Over an empty history avg_over, max_over and
/// trend are NaN, with which every comparison is false. No recursion; cost: linear in the nodes.
double evaluate(const Expr& expr, Environment& environment);

/// One operator or function of numbers alone (negate .. clamp): what constant folding and evaluation share.
double apply(ExprOp op, double a, double b = 0, double c = 0);

}  // namespace moe::ir
