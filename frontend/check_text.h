// SPDX-License-Identifier: Apache-2.0
// What is refused before any parser sees it: the input is untrusted.
#pragma once
#include <string_view>

#include "frontend/limits.h"
#include "frontend/token.h"
#include "ir/diagnostics.h"

namespace moe::frontend {

/// Size, UTF-8, NUL. False: nothing more can be said about the file.
bool check_text(std::string_view text, ir::Diagnostics& diagnostics);

/// Bytes of a leading UTF-8 byte order mark: 3 or 0.
size_t byte_order_mark_length(std::string_view text);

/// Reports what is no token of the language (stray characters, comments of other languages, open strings, wrong units)
/// and takes it out, or puts in what was meant.
Tokens check_tokens(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics);

/// Nesting, policies, operators. False: the file must not be parsed.
bool check_limits(const Tokens& tokens, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
