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

constexpr std::array kVariables = {
    Variable{"freq", Type::number, E},
    Variable{"recency", Type::number, E},
    Variable{"age", Type::number, E},
    Variable{"uses", Type::number, E},
    Variable{"seen", Type::number, EMP},
    Variable{"idle", Type::number, EMP},
    Variable{"value", Type::ratio, EMP},
    Variable{"score", Type::ratio, E},
    Variable{"weight", Type::ratio, E},
    Variable{"tokens", Type::number, EM},
    Variable{"layer", Type::number, EM},
    Variable{"expert", Type::number, EM},
    Variable{"distance", Type::number, EM},
    Variable{"size", Type::size, EM},
    Variable{"predicted", Type::ratio, EMP},
    Variable{"load_ms", Type::time, EMP},
    Variable{"cpu_ms", Type::time, EMP},
    Variable{"next_use", Type::number, E},
    Variable{"hit_rate", Type::ratio},
    Variable{"miss_rate", Type::ratio},
    Variable{"eviction_rate", Type::ratio},
    Variable{"prefetch_accuracy", Type::ratio},
    Variable{"prefetch_coverage", Type::ratio},
    Variable{"stall_ms", Type::time},
    Variable{"queue_depth", Type::number},
    Variable{"link_gbps", Type::number},
    Variable{"tokens_per_s", Type::number},
    Variable{"memory_used", Type::size},
    Variable{"memory_free", Type::size},
    Variable{"cache_fill", Type::ratio},
    Variable{"kv_used", Type::size},
    Variable{"entropy", Type::number},
    Variable{"phase", Type::phase},
    Variable{"batch", Type::number},
    Variable{"capacity", Type::number},
    Variable{"num_experts", Type::number},
    Variable{"num_layers", Type::number},
    Variable{"top_k", Type::number},
};

constexpr std::array kFunctions = {
    FunctionSpec{"min", Function::minimum, 2},
    FunctionSpec{"max", Function::maximum, 2},
    FunctionSpec{"abs", Function::absolute, 1},
    FunctionSpec{"exp", Function::exp, 1},
    FunctionSpec{"log", Function::log, 1},
    FunctionSpec{"log2", Function::log2, 1},
    FunctionSpec{"sqrt", Function::sqrt, 1},
    FunctionSpec{"pow", Function::pow, 2},
    FunctionSpec{"clamp", Function::clamp, 3},
    FunctionSpec{"sigmoid", Function::sigmoid, 1},
    FunctionSpec{"avg_over", Function::avg_over, 2},
    FunctionSpec{"max_over", Function::max_over, 2},
    FunctionSpec{"trend", Function::trend, 2},
    FunctionSpec{"use_rate", Function::use_rate, 1, EMP},
    FunctionSpec{"victim", Function::victim, 1, kAdmitPlace},
};

// Calls that are values of keys, not functions of expressions.
constexpr std::string_view kValueForms = "least when hottest by";

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

const Variable* find_variable(std::string_view name) {
  const auto* found =
      std::find_if(kVariables.begin(), kVariables.end(), [&](const Variable& v) { return v.name == name; });
  return found == kVariables.end() ? nullptr : found;
}

const FunctionSpec* find_function(std::string_view name) {
  const auto* found =
      std::find_if(kFunctions.begin(), kFunctions.end(), [&](const FunctionSpec& f) { return f.name == name; });
  return found == kFunctions.end() ? nullptr : found;
}

std::vector<std::string_view> variable_names(Place place) {
  std::vector<std::string_view> names;
  for (const Variable& variable : kVariables) {
    if ((variable.places & place) != 0) names.push_back(variable.name);
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
  if (find_variable(name) != nullptr) return "a variable";
  if (find_function(name) != nullptr || contains_word(kValueForms, name)) return "a function";
  if (is_enum_word(name)) return "a word of the language";
  return std::nullopt;
}

}  // namespace moe::frontend
