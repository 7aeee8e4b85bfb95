// SPDX-License-Identifier: Apache-2.0
// What the formatter knows of a file before it writes: comments, and what the parse tree says about each token.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "frontend/parse_source.h"

namespace moe::frontend {

inline constexpr uint32_t kFormatColumns = 120;
inline constexpr uint32_t kFormatIndent = 2;
inline constexpr uint32_t kFormatContinuation = 4;

struct Comment {
  uint32_t begin = 0;  ///< [begin, end) of the text, without white space at its end
  uint32_t end = 0;
  uint32_t column = 0;    ///< of its begin in the source, in characters from 0
  uint32_t newlines = 0;  ///< between it and what stands before it
};

/// One token, and the comments between it and the token before.
struct TokenLayout {
  bool tight = false;        ///< no space before it
  bool begins_item = false;  ///< a policy, member, entry, ... begins here
  bool may_break = false;    ///< a line that is too long may go on here
  uint32_t item_end = 0;     ///< where it begins an item: the token after the item's last
  uint32_t line = 0;         ///< of its begin, from 0
  uint32_t newlines = 0;     ///< between it and the last comment, or the token, before it
  uint32_t first_comment = 0;
  uint32_t end_comment = 0;    ///< [first_comment, end_comment) of FormatLayout::comments
  uint32_t flat_end = 0;       ///< its last column, were all tokens on one line
  uint32_t columns = 0;        ///< its width
  uint32_t crowds_before = 0;  ///< blocks with two items or more that open before it
  uint32_t next_break = 0;     ///< the next token that begins a line, or may
};

struct FormatLayout {
  std::vector<TokenLayout> tokens;
  std::vector<Comment> comments;

  /// Columns of tokens [begin, end) on one line.
  uint32_t width(uint32_t begin, uint32_t end) const {
    return tokens[end - 1].flat_end - tokens[begin].flat_end + tokens[begin].columns;
  }
};

/// `source` has no syntax error.
FormatLayout lay_out(const ParsedSource& source);

/// Whether the item that begins at token `first` stands on one line: its block has at most one item, as have those in
/// it, was written without a newline, and everything fits after `indent` columns.
bool fits_on_one_line(const ParsedSource& source, const FormatLayout& layout, uint32_t first, uint32_t indent);

/// Characters of UTF-8 text.
uint32_t count_columns(std::string_view text);

}  // namespace moe::frontend
