// SPDX-License-Identifier: Apache-2.0
// Tokens and trees as ANTLR's own lexer class and generated parser make them, with its contexts and exceptions: what
// the front end's table-driven ones are compared with. Slow, and for one thread at a time.
#pragma once
#include <string_view>

#include "frontend/parse_tree.h"

namespace moe::test {

frontend::Tokens antlr_tokenize(std::string_view text);

/// Tokens as frontend::parse_tokens takes them. Recursive: for texts that pass frontend::check_limits.
frontend::ParseOutcome antlr_parse_tokens(std::string_view text, const frontend::Tokens& tokens);

}  // namespace moe::test
