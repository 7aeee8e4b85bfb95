// SPDX-License-Identifier: Apache-2.0
// What the parser stumbled over, in the author's words.
#pragma once
#include <string_view>

#include "frontend/parse_tree.h"
#include "ir/diagnostics.h"

namespace moe::frontend {

/// One finding per error of `outcome`.
void report_syntax_errors(std::string_view text, const Tokens& tokens, const ParseOutcome& outcome,
                          ir::Diagnostics& diagnostics);

/// A token as a message names it: its text in backticks, or "the end of the file".
std::string name_token(std::string_view text, const Token& token);

}  // namespace moe::frontend
