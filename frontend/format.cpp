// SPDX-License-Identifier: Apache-2.0
#include "frontend/format.h"

#include <fmt/format.h>

#include "frontend/check_text.h"
#include "frontend/format_layout.h"
#include "frontend/limits.h"

namespace moe::frontend {
namespace {

class Writer {
 public:
  Writer(const ParsedSource& source, const FormatLayout& layout) : source_(source), layout_(layout) {
    out_.reserve(source.text.size() + source.text.size() / 4);
  }

  std::string write() {
    const auto end = static_cast<uint32_t>(source_.tokens.size() - 1);
    for (uint32_t i = 0; i < end; ++i) {
      write_comments(i);
      write_token(i);
    }
    write_comments(end);
    out_ += '\n';
    return std::move(out_);
  }

 private:
  TokenKind kind(uint32_t token) const { return source_.tokens[token].kind; }
  uint32_t indent() const { return depth_ * kFormatIndent; }

  void append(std::string_view text) {
    out_ += text;
    column_ += count_columns(text);
  }

  void start_line(uint32_t column) {
    if (!out_.empty()) out_ += '\n';
    out_.append(column, ' ');
    column_ = column;
    line_ended_ = false;
  }

  // An empty line stands between two entries only.
  void start_entry(uint32_t newlines) {
    if (newlines > 1 && !block_is_empty_) out_ += '\n';
    start_line(indent());
    block_is_empty_ = false;
  }

  // Braces of a block on one line are written like other tokens.
  bool closes_block(uint32_t i) const { return kind(i) == TokenKind::right_brace && i >= one_line_end_; }

  void write_comments(uint32_t i) {
    const TokenLayout& token = layout_.tokens[i];
    const bool between_entries = token.begins_item || closes_block(i) || kind(i) == TokenKind::end;
    bool beside = false;  // the comment before this one stands beside an entry
    uint32_t column = 0;  // in the source
    for (uint32_t c = token.first_comment; c < token.end_comment; ++c) {
      const Comment& comment = layout_.comments[c];
      if (comment.newlines == 0 && i > 0) {
        append("  ");
        beside = true;
        comment_column_ = column_;
      } else if (beside && comment.newlines == 1 && comment.column == column) {
        start_line(comment_column_);
      } else {
        beside = false;
        if (between_entries) {
          start_entry(comment.newlines);
        } else {
          start_line(indent() + kFormatContinuation);
        }
      }
      column = comment.column;
      append(std::string_view(source_.text).substr(comment.begin, comment.end - comment.begin));
      line_ended_ = true;
    }
  }

  void write_token(uint32_t i) {
    if (i < one_line_end_) {
      write_on_line(i);
    } else if (layout_.tokens[i].begins_item) {
      start_entry(layout_.tokens[i].newlines);
      if (fits_on_one_line(source_, layout_, i, indent())) one_line_end_ = layout_.tokens[i].item_end;
      append(text_of(source_.text, source_.tokens[i]));
    } else if (kind(i) == TokenKind::right_brace) {
      --depth_;
      if (kind(i - 1) != TokenKind::left_brace || line_ended_) start_line(indent());
      append("}");
      block_is_empty_ = false;
    } else {
      write_on_line(i);
      if (kind(i) == TokenKind::left_brace) ++depth_, block_is_empty_ = true;
    }
  }

  void write_on_line(uint32_t i) {
    const TokenLayout& token = layout_.tokens[i];
    const bool too_long =
        token.may_break && column_ + 1 + layout_.width(i, token.next_break) > kFormatColumns && i >= one_line_end_;
    if (line_ended_ || too_long) {
      start_line(indent() + kFormatContinuation);
    } else if (!token.tight) {
      append(" ");
    }
    append(text_of(source_.text, source_.tokens[i]));
  }

  const ParsedSource& source_;
  const FormatLayout& layout_;
  std::string out_;
  uint32_t column_ = 0;
  uint32_t depth_ = 0;
  uint32_t one_line_end_ = 0;    ///< tokens before this one stand on the line of their item
  uint32_t comment_column_ = 0;  ///< of the last comment beside an entry, in the output
  bool block_is_empty_ = true;   ///< nothing was written since the file or the block began
  bool line_ended_ = false;      ///< by a comment
};

std::string with_line_ends_of(std::string_view text, std::string formatted) {
  const size_t first = text.find('\n');
  if (first == std::string_view::npos || first == 0 || text[first - 1] != '\r') return formatted;
  std::string out;
  out.reserve(formatted.size() + formatted.size() / 8);
  for (const char c : formatted) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

}  // namespace

std::optional<std::string> format_source(const ir::SourceFile& source, ir::Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.num_errors();
  const ParsedSource parsed = parse_source(source, diagnostics);
  if (!parsed.file || diagnostics.num_errors() > errors_before) return std::nullopt;
  std::string formatted = with_line_ends_of(source.text(), Writer(parsed, lay_out(parsed)).write());
  formatted.insert(0, source.text().substr(0, byte_order_mark_length(source.text())));
  if (formatted.size() > kMaxFileBytes) {
    diagnostics.error("MOE1001", {},
                      fmt::format("laid out, the file would have {} bytes, more than 1 MiB", formatted.size()),
                      "split it: one file per group of policies");
    return std::nullopt;
  }
  return formatted;
}

}  // namespace moe::frontend
