// SPDX-License-Identifier: Apache-2.0
#include "frontend/variables.h"

#include <algorithm>
#include <array>

#include "frontend/keys.h"

namespace moe::frontend {
namespace {

constexpr uint8_t E = kEvictPlace | kAdmitPlace;
constexpr uint8_t EM = E | kMissPlace;
constexpr uint8_t EMP = EM | kPrefetchPlace;

// Those of one expert; the others are known everywhere.
uint8_t places_of(ir::Variable variable) {
  switch (variable) {
    case ir::Variable::freq:
    case ir::Variable::recency:
    case ir::Variable::age:
    case ir::Variable::uses:
    case ir::Variable::score:
    case ir::Variable::next_use:
    case ir::Variable::foretold:
      return E;
    case ir::Variable::weight:
    case ir::Variable::position:
    case ir::Variable::resident:
      return EM;
    default:
      return ir::is_of_expert(variable) ? EMP : uint8_t{kAllPlaces};
  }
}

using ir::ExprOp;

constexpr std::array kFunctions = {
    FunctionSpec{"min", Function::minimum, 2, kAllPlaces, 0, ExprOp::min},
    FunctionSpec{"max", Function::maximum, 2, kAllPlaces, 0, ExprOp::max},
    FunctionSpec{"abs", Function::absolute, 1, kAllPlaces, 0, ExprOp::abs},
    FunctionSpec{"exp", Function::exp, 1, kAllPlaces, 0, ExprOp::exp},
    FunctionSpec{"log", Function::log, 1, kAllPlaces, 0, ExprOp::log},
    FunctionSpec{"log2", Function::log2, 1, kAllPlaces, 0, ExprOp::log2},
    FunctionSpec{"sqrt", Function::sqrt, 1, kAllPlaces, 0, ExprOp::sqrt},
    FunctionSpec{"pow", Function::pow, 2, kAllPlaces, 0, ExprOp::pow},
    FunctionSpec{"clamp", Function::clamp, 3, kAllPlaces, 0, ExprOp::clamp},
    FunctionSpec{"sigmoid", Function::sigmoid, 1, kAllPlaces, 0, ExprOp::sigmoid},
    FunctionSpec{"floor", Function::floor, 1, kAllPlaces, 0, ExprOp::floor},
    FunctionSpec{"table", Function::table, 2, kAllPlaces, kMaxTable - 1},
    FunctionSpec{"avg_over", Function::avg_over, 2, kAllPlaces, 0, ExprOp::avg_over},
    FunctionSpec{"max_over", Function::max_over, 2, kAllPlaces, 0, ExprOp::max_over},
    FunctionSpec{"trend", Function::trend, 2, kAllPlaces, 0, ExprOp::trend},
    FunctionSpec{"use_rate", Function::use_rate, 1, EMP, 0, ExprOp::use_rate},
    FunctionSpec{"weight_rate", Function::weight_rate, 1, EMP, 1, ExprOp::weight_rate},
    FunctionSpec{"victim", Function::victim, 1, kAdmitPlace},
};

// Calls that are values of keys, not functions of expressions.
constexpr std::string_view kValueForms = "least most when hottest by";

}  // namespace

std::string_view to_word(Type type) {
  switch (type) {
    case Type::unknown:
      return "unknown";
    case Type::number:
      return "a number";
    case Type::ratio:
      return "a ratio";
    case Type::time:
      return "a time";
    case Type::size:
      return "a size";
    case Type::boolean:
      return "true or false";
    case Type::phase:
      return "a phase";
    case Type::word:
      return "a word";
    case Type::text:
      break;
  }
  return "a string";
}

std::string_view describe(Place place) {
  switch (place) {
    case kEvictPlace:
      return "a rule about one expert";
    case kMissPlace:
      return "`on miss`";
    case kPrefetchPlace:
      return "prefetch's `when`";
    case kAdmitPlace:
      return "`admit`";
    case kAdaptPlace:
      return "a rule about the whole cache";
    default:
      break;
  }
  return "a constant";
}

Type type_from(ir::Type type) {
  switch (type) {
    case ir::Type::number:
      return Type::number;
    case ir::Type::ratio:
      return Type::ratio;
    case ir::Type::time:
      return Type::time;
    case ir::Type::size:
      return Type::size;
    case ir::Type::boolean:
      return Type::boolean;
    case ir::Type::phase:
      break;
  }
  return Type::phase;
}

ir::Type to_ir(Type type) {
  switch (type) {
    case Type::ratio:
      return ir::Type::ratio;
    case Type::time:
      return ir::Type::time;
    case Type::size:
      return ir::Type::size;
    case Type::boolean:
      return ir::Type::boolean;
    case Type::phase:
      return ir::Type::phase;
    default:
      break;
  }
  return ir::Type::number;
}

std::optional<Variable> find_variable(std::string_view name) {
  const std::optional<ir::Variable> id = ir::find_variable(name);
  if (!id) return std::nullopt;
  return Variable{*id, ir::to_word(*id), type_from(ir::type_of(*id)), places_of(*id)};
}

const FunctionSpec* find_function(std::string_view name) {
  const auto* found =
      std::find_if(kFunctions.begin(), kFunctions.end(), [&](const FunctionSpec& f) { return f.name == name; });
  return found == kFunctions.end() ? nullptr : found;
}

std::vector<std::string_view> variable_names(Place place) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < ir::kNumVariables; ++i) {
    const auto variable = static_cast<ir::Variable>(i);
    if ((places_of(variable) & place) != 0) names.push_back(ir::to_word(variable));
  }
  return names;
}

std::vector<std::string_view> function_names() {
  std::vector<std::string_view> names;
  for (const FunctionSpec& function : kFunctions) names.push_back(function.name);
  return names;
}

std::optional<std::string_view> reserved_as(std::string_view name) {
  if (contains_word("and or not if then else true false", name)) return "a word of expressions";
  if (find_variable(name).has_value()) return "a variable";
  if (find_function(name) != nullptr || contains_word(kValueForms, name)) return "a function";
  if (is_enum_word(name)) return "a word of the language";
  return std::nullopt;
}

}  // namespace moe::frontend
