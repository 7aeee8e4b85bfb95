// SPDX-License-Identifier: Apache-2.0
// The names of the expression language: variables, functions, and where each may be used.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ir/expr.h"

namespace moe::frontend {

enum class Type : uint8_t {
  unknown,  ///< something that has been reported: fits everywhere
  number,
  ratio,
  time,  ///< milliseconds
  size,  ///< bytes
  boolean,
  phase,  ///< prefill or decode
  word,   ///< an enumerated value such as `lru`
  text,
};

std::string_view to_word(Type type);
Type type_from(ir::Type type);
/// Of a value that an expression can have: number .. phase.
ir::Type to_ir(Type type);

/// Where an expression stands; decides which variables it sees. A set of these in Variable.
enum Place : uint8_t {
  kConstantPlace = 0,  ///< a value that is fixed when the policy is compiled
  kEvictPlace = 1,     ///< least(E), admit, ladders, moves, strategy most(E)
  kMissPlace = 2,      ///< on miss, and what `balance`, `drop` and `order` of schedule read
  kPrefetchPlace = 4,  ///< prefetch `when`
  kAdmitPlace = 8,     ///< both `admit`: what kEvictPlace sees, and victim(x)
  kAdaptPlace = 16,    ///< adapt rules, short forms, choose, memory
  kAllPlaces = 31,
};

/// "an eviction rule", ...
std::string_view describe(Place place);

/// A variable of the IR and where it is known.
struct Variable {
  ir::Variable id = ir::Variable::freq;
  std::string_view name;
  Type type = Type::number;
  uint8_t places = kAllPlaces;
};

enum class Function : uint8_t {
  minimum,
  maximum,
  absolute,
  exp,
  log,
  log2,
  sqrt,
  pow,
  clamp,
  sigmoid,
  floor,
  table,  ///< table(i, x0, x1, ...): nested conditionals
  avg_over,
  max_over,
  trend,
  use_rate,
  weight_rate,
  victim,
};

struct FunctionSpec {
  std::string_view name;
  Function function = Function::minimum;
  uint8_t num_arguments = 1;
  uint8_t places = kAllPlaces;
  uint8_t num_optional = 0;              ///< arguments that may follow
  ir::ExprOp op = ir::ExprOp::constant;  ///< of all but table and victim
};

std::optional<Variable> find_variable(std::string_view name);
const FunctionSpec* find_function(std::string_view name);

/// As many entries of `table` print within the nesting that the language allows.
inline constexpr uint8_t kMaxTable = 48;

/// Variables seen at `place`.
std::vector<std::string_view> variable_names(Place place);
std::vector<std::string_view> function_names();

/// Whether a param or let must not take this name: a variable, function or word of the language. Says which.
std::optional<std::string_view> reserved_as(std::string_view name);

}  // namespace moe::frontend
