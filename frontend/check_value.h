// SPDX-License-Identifier: Apache-2.0
// One value against what its key takes.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "frontend/eval.h"
#include "frontend/keys.h"
#include "ir/policy.h"

namespace moe::frontend {

using PinList = std::vector<ir::Sourced<ir::Pin>>;
using WordList = std::vector<ir::Sourced<std::string>>;
using CountList = std::vector<uint32_t>;

/// What a value turned out to be. monostate: it was wrong, which has been reported.
using CheckedValue = std::variant<std::monostate, Typed, ir::Capacity, PinList, WordList, ir::EvictionRule,
                                  ir::AdmitRule, ir::StrategyChain, ir::Expr, CountList, ir::Ladder>;

/// Checks `id` as the value of `key`. Numbers come out in the key's own measure (ms, 10^9 bytes, bytes, fractions).
/// The short form `a : b when E` is no value: check_block takes it apart where it may stand.
CheckedValue check_value(const CheckContext& context, const KeySpec& key, ast::ExprId id);

// The values with a file of their own.
CheckedValue check_capacity(const CheckContext& context, const KeySpec& key, ast::ExprId id);
CheckedValue check_pins(const CheckContext& context, const KeySpec& key, ast::ExprId id);
CheckedValue check_metrics(const CheckContext& context, ast::ExprId id);
CheckedValue check_counts(const CheckContext& context, const KeySpec& key, ast::ExprId id);
CheckedValue check_rule(const CheckContext& context, const KeySpec& key,
                        ast::ExprId id);  ///< eviction, strategy, admit, prefetch's evict, drop, order
CheckedValue check_ladder(const CheckContext& context, const KeySpec& key, ast::ExprId id);

/// Warns of a condition that never changes, unless it is a plain `true` or `false`.
void check_constant_condition(const CheckContext& context, const ir::Expr& condition, ast::ExprId written);

/// A number in the key's range, or one of the key's words; reports what is neither.
CheckedValue check_number(const CheckContext& context, const KeySpec& key, ast::ExprId id);

/// The word if the key takes it; reports any other.
CheckedValue check_word(const CheckContext& context, const KeySpec& key, ir::SourceSpan span, std::string_view word);

/// "at least 1", "more than 0 and at most 1", ...
std::string describe(const NumberRange& range);

}  // namespace moe::frontend
