// SPDX-License-Identifier: Apache-2.0
// Mistakes that would throw a parser off its track are found and mended on the tokens, so that one slip gives one
// finding.
#pragma once
#include <string_view>

#include "frontend/token.h"
#include "ir/diagnostics.h"

namespace moe::frontend {

/// Reports brackets without a partner; the result is balanced, and every bracket knows its partner. Linear.
Tokens balance_brackets(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics);

/// Reports `key =` and a lone `key` without a value and puts a `missing` there. Keeps no partners: call it before
/// balance_brackets.
Tokens fill_missing_values(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
