// SPDX-License-Identifier: Apache-2.0
// What an expression can read and call: names and types, in the order of the enumerations.
#include <algorithm>
#include <array>

#include "ir/expr.h"

namespace moe::ir {
namespace {

struct VariableRow {
  std::string_view name;
  Type type = Type::number;
  bool measured = false;
};

constexpr std::array<VariableRow, kNumVariables> kVariables = {{
    {"freq"},
    {"recency"},
    {"age"},
    {"uses"},
    {"seen"},
    {"request_uses"},
    {"idle"},
    {"value", Type::ratio},
    {"score", Type::ratio},
    {"weight", Type::ratio},
    {"tokens"},
    {"layer"},
    {"expert"},
    {"distance"},
    {"size", Type::size},
    {"predicted", Type::ratio},
    {"load_ms", Type::time, true},
    {"cpu_ms", Type::time, true},
    {"position"},
    {"resident"},
    {"foretold", Type::ratio},
    {"next_use"},
    {"hit_rate", Type::ratio},
    {"miss_rate", Type::ratio},
    {"eviction_rate", Type::ratio},
    {"prefetch_accuracy", Type::ratio},
    {"prefetch_coverage", Type::ratio},
    {"stall_ms", Type::time, true},
    {"queue_depth", Type::number, true},
    {"link_gbps", Type::number, true},
    {"tokens_per_s", Type::number, true},
    {"memory_used", Type::size, true},
    {"memory_free", Type::size, true},
    {"cache_fill", Type::ratio},
    {"kv_used", Type::size, true},
    {"entropy"},
    {"phase", Type::phase},
    {"batch"},
    {"capacity"},
    {"num_experts"},
    {"num_layers"},
    {"top_k"},
}};
static_assert(!kVariables.back().name.empty());

constexpr std::array<std::string_view, static_cast<size_t>(ExprOp::weight_rate) + 1> kOps = {
    "constant", "variable", "-",        "not",      "abs",   "exp",      "log",        "log2", "sqrt",
    "floor",    "sigmoid",  "+",        "-",        "*",     "/",        "%",          "==",   "!=",
    "<",        "<=",       ">",        ">=",       "and",   "or",       "min",        "max",  "pow",
    "if",       "clamp",    "avg_over", "max_over", "trend", "use_rate", "weight_rate"};
static_assert(kOps.back() == "weight_rate");

}  // namespace

std::string_view to_word(Variable v) {
  const auto i = static_cast<size_t>(v);
  return i < kVariables.size() ? kVariables[i].name : "?";
}

std::optional<Variable> find_variable(std::string_view name) {
  const auto* found =
      std::find_if(kVariables.begin(), kVariables.end(), [&](const VariableRow& row) { return row.name == name; });
  if (found == kVariables.end()) return std::nullopt;
  return static_cast<Variable>(found - kVariables.begin());
}

Type type_of(Variable v) { return kVariables.at(static_cast<size_t>(v)).type; }
bool is_measured(Variable v) { return kVariables.at(static_cast<size_t>(v)).measured; }

std::string_view to_word(ExprOp op) {
  const auto i = static_cast<size_t>(op);
  return i < kOps.size() ? kOps[i] : "?";
}

}  // namespace moe::ir
