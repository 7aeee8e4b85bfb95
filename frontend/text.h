// SPDX-License-Identifier: Apache-2.0
// Small helpers for messages.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace moe::frontend {

/// Text of the author between backticks; a long one is cut short.
std::string quote(std::string_view text);

/// "`a`, `b` or `c`".
std::string list_words(const std::vector<std::string_view>& words, std::string_view last = "or");

/// "did you mean `x`?" when a candidate is near, else `otherwise`.
std::string suggest(std::string_view word, const std::vector<std::string_view>& candidates, std::string otherwise = "");

/// A number as short as it can be written exactly: "0.95", "16".
std::string number_text(double value);

}  // namespace moe::frontend
