// SPDX-License-Identifier: Apache-2.0
// What verify() finds, and its parts.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "ir/policy.h"

namespace moe::ir {

/// Collects the sentences.
class Findings {
 public:
  void require(bool holds, std::string_view sentence) {
    if (!holds) sentences_.emplace_back(sentence);
  }
  /// (0, 1]
  void share_above_zero(double value, std::string_view name) {
    if (!(value > 0 && value <= 1)) sentences_.push_back(fmt::format("`{}` is {}, not in (0, 1]", name, value));
  }
  /// [0, 1]
  void share(double value, std::string_view name) {
    if (!(value >= 0 && value <= 1)) sentences_.push_back(fmt::format("`{}` is {}, not in [0, 1]", name, value));
  }
  /// Above 0 and finite.
  void positive(double value, std::string_view name) {
    if (!(value > 0 && std::isfinite(value))) {
      sentences_.push_back(fmt::format("`{}` is {}, not a number above 0", name, value));
    }
  }
  void range(uint64_t value, uint64_t low, uint64_t high, std::string_view name) {
    if (value < low || value > high) {
      sentences_.push_back(fmt::format("`{}` is {}, not in {}..{}", name, value, low, high));
    }
  }
  void at_least_one(uint64_t value, std::string_view name) {
    if (value < 1) sentences_.push_back(fmt::format("`{}` is 0, not at least 1", name));
  }
  std::vector<std::string> take() { return std::move(sentences_); }

 private:
  std::vector<std::string> sentences_;
};

inline constexpr uint64_t kMaxFreqWindow = uint64_t{1} << 20;
inline constexpr uint32_t kMaxWindow = 4096;

/// Where an expression stands; decides what it may read. The later see what the earlier see.
enum class ExprPlace : uint8_t {
  whole_cache,  ///< adapt, choose: nothing of one expert
  prefetch,     ///< prefetch's `when`
  miss,         ///< on miss, drop, the times of mode balance
  expert,       ///< least, ladders, moves
  admit,        ///< and of the expert that would leave
};

/// A well-formed tree of at most 10,000 nodes: operands below, each used once, types that follow from the operands',
/// nothing constant left to compute, variables that are known in `place`. `what` names it in the sentences.
void verify_expr(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings);
/// verify_expr of a condition.
void verify_condition(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings);
/// verify_expr of a number, ratio, time or size.
void verify_quantity(const Expr& expr, ExprPlace place, std::string_view what, Findings& findings);

void verify_capacity(const Capacity& capacity, Findings& findings);
void verify_eviction(const EvictionRule& rule, bool may_be_segmented, std::string_view what, Findings& findings);
void verify_pins(const std::vector<Sourced<Pin>>& pins, Findings& findings);
/// The three blocks, of a policy or with the overrides of one of its parts.
void verify_rules(const Rules& rules, Findings& findings);

void verify_overrides(const Policy& policy, Findings& findings);  ///< bands and phases
void verify_adapt(const Policy& policy, Findings& findings);      ///< rules, choose, memory, alternatives
void verify_tiers(const TiersRule& tiers, Findings& findings);

}  // namespace moe::ir
