// SPDX-License-Identifier: Apache-2.0
// Values of keys as the language writes them: what the printers share.
#pragma once
#include <string>
#include <vector>

#include "ir/policy.h"

namespace moe::ir {

std::string print(const Capacity& capacity);
std::string print(const EvictionRule& rule);
std::string print(const AdmitRule& rule);
std::string print(const StrategyChain& chain);
/// As after `pin =` and `preload =`.
std::string print(const std::vector<Sourced<Pin>>& pins);
/// `when E -> load`, `else -> load`
std::string print(const Arm& arm);
/// by (E) [ ... ]
std::string print(const Ladder& ladder);
/// `prefetch.budget = 8`, `use other`, ...
std::string print(const RuleAction& action);
/// In quotes.
std::string print_text_value(const std::string& text);
std::string print_bool(bool value);

}  // namespace moe::ir
