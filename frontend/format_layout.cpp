// SPDX-License-Identifier: Apache-2.0
#include "frontend/format_layout.h"

#include <algorithm>

namespace moe::frontend {
namespace {

bool is_newline(char c) { return c == '\n' || c == '\r'; }

class Scanner {
 public:
  Scanner(std::string_view text, const Tokens& tokens, FormatLayout& layout)
      : text_(text), tokens_(tokens), layout_(layout) {}

  /// Comments, lines and newlines: one pass over the text.
  void scan() {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      TokenLayout& token = layout_.tokens[i];
      token.first_comment = static_cast<uint32_t>(layout_.comments.size());
      newlines_ = 0;
      while (at_ < tokens_[i].begin) skip(tokens_[i].begin);
      token.end_comment = static_cast<uint32_t>(layout_.comments.size());
      token.newlines = newlines_;
      token.line = line_;
      token.columns = count_columns(text_of(text_, tokens_[i]));
      at_ = tokens_[i].end;
    }
  }

 private:
  // White space, or a whole comment.
  void skip(uint32_t end) {
    const char c = text_[at_];
    if (c == '#' || c == '/') {
      const uint32_t stop = std::min(end, static_cast<uint32_t>(text_.find_first_of("\r\n", at_)));
      const size_t last = text_.find_last_not_of(" \t\f\v", stop - 1);
      const uint32_t column = count_columns(text_.substr(line_begin_, at_ - line_begin_));
      layout_.comments.push_back({at_, static_cast<uint32_t>(last) + 1, column, newlines_});
      newlines_ = 0;
      at_ = stop;
      return;
    }
    ++at_;
    if (!is_newline(c)) return;
    if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
    ++newlines_;
    ++line_;
    line_begin_ = at_;
  }

  std::string_view text_;
  const Tokens& tokens_;
  FormatLayout& layout_;
  uint32_t at_ = 0;
  uint32_t newlines_ = 0;
  uint32_t line_ = 0;
  uint32_t line_begin_ = 0;
};

bool opens_clause(TokenKind kind) {
  return kind == TokenKind::in || kind == TokenKind::when || kind == TokenKind::by || kind == TokenKind::every ||
         kind == TokenKind::explore || kind == TokenKind::pipe || kind == TokenKind::colon || kind == TokenKind::then ||
         kind == TokenKind::else_;
}

/// What the tree says that tokens alone do not: `-` of `-1` or of `a - 1`, `:` of `3:5` or of `8 : 16 when ...`.
class TreeReader {
 public:
  TreeReader(const ParsedSource& source, FormatLayout& layout) : source_(source), layout_(layout) {}

  void read() {
    for (const TreeNode& node : source_.tree.nodes) {
      if (node.end_token > node.first_token) read(node);
    }
  }

 private:
  TokenLayout& layout(uint32_t token) { return layout_.tokens[token]; }
  TokenKind kind(uint32_t token) const { return source_.tokens[token].kind; }

  void read(const TreeNode& node) {
    switch (node.rule) {
      case Rule::file_item:
      case Rule::member:
      case Rule::item:
        layout(node.first_token).begins_item = true;
        layout(node.first_token).item_end = node.end_token;
        return;
      case Rule::body:
      case Rule::policy_body:
        if (node.end_child - node.first_child > 3) layout(node.first_token).crowds_before = 1;  // `{`, items, `}`
        return;
      case Rule::expr:
        return read_expr(node);
      case Rule::domain:
        return loosen_range(node);
      case Rule::element:
        return tighten_colon(node);
      case Rule::for_clause:
      case Rule::cooldown:
        layout(node.first_token).may_break = true;
        return;
      case Rule::param:
      case Rule::value:
      case Rule::chain:
      case Rule::move:
      case Rule::choose:
        return read_clauses(node);
      default:
        return;
    }
  }

  void read_expr(const TreeNode& node) {
    const auto children = source_.tree.children_of(node);
    const bool begins_with_token = children[0].is_token;
    if (children.size() == 2 && begins_with_token && kind(children[0].index) == TokenKind::minus) {
      layout(children[0].index + 1).tight = true;
    } else if (children.size() == 3 && !begins_with_token && children[1].is_token &&
               kind(children[1].index) != TokenKind::left_paren) {
      layout(children[1].index).may_break = true;
    } else if (children.size() > 2 && !begins_with_token && children[1].is_token) {
      layout(children[1].index).tight = true;  // a call
    } else {
      read_clauses(node);
    }
  }

  void read_clauses(const TreeNode& node) {
    for (const TreeChild& child : source_.tree.children_of(node)) {
      if (child.is_token && opens_clause(kind(child.index))) layout(child.index).may_break = true;
    }
  }

  void loosen_range(const TreeNode& node) {
    for (const TreeChild& child : source_.tree.children_of(node)) {
      if (!child.is_token || kind(child.index) != TokenKind::range) continue;
      layout(child.index).tight = false;
      layout(child.index + 1).tight = false;
    }
  }

  void tighten_colon(const TreeNode& node) {
    for (const TreeChild& child : source_.tree.children_of(node)) {
      if (!child.is_token || kind(child.index) != TokenKind::colon) continue;
      layout(child.index).tight = true;
      layout(child.index + 1).tight = true;
    }
  }

  const ParsedSource& source_;
  FormatLayout& layout_;
};

/// Spaces that two neighbouring tokens decide alone.
void mark_tight(const ParsedSource& source, FormatLayout& layout) {
  for (size_t i = 1; i < source.tokens.size(); ++i) {
    const Token& before = source.tokens[i - 1];
    const TokenKind left = before.kind;
    const TokenKind right = source.tokens[i].kind;
    bool tight = left == TokenKind::left_paren || left == TokenKind::left_bracket || left == TokenKind::dot ||
                 left == TokenKind::range;
    tight = tight || right == TokenKind::right_paren || right == TokenKind::right_bracket ||
            right == TokenKind::comma || right == TokenKind::dot || right == TokenKind::range;
    tight = tight || (left == TokenKind::left_brace && right == TokenKind::right_brace);
    // `5...9` would be read as `5`, `..`, `.9`.
    if (right == TokenKind::range && text_of(source.text, before).ends_with('.')) tight = false;
    layout.tokens[i].tight = tight;
    layout.tokens[i].may_break = left == TokenKind::comma;
  }
}

/// The running sums, front to back, and the next places for a break, back to front.
void finish(const ParsedSource& source, FormatLayout& layout) {
  uint32_t column = 0;
  uint32_t crowds = 0;
  for (TokenLayout& token : layout.tokens) {
    column += (token.tight ? 0 : 1) + token.columns;
    token.flat_end = column;
    const uint32_t crowd = token.crowds_before;
    token.crowds_before = crowds;
    crowds += crowd;
  }
  auto next = static_cast<uint32_t>(layout.tokens.size() - 1);
  for (size_t i = layout.tokens.size(); i-- > 0;) {
    TokenLayout& token = layout.tokens[i];
    token.next_break = next;
    if (token.may_break || token.begins_item || source.tokens[i].kind == TokenKind::right_brace) {
      next = static_cast<uint32_t>(i);
    }
  }
}

}  // namespace

uint32_t count_columns(std::string_view text) {
  return static_cast<uint32_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

FormatLayout lay_out(const ParsedSource& source) {
  FormatLayout layout;
  layout.tokens.resize(source.tokens.size());
  Scanner(source.text, source.tokens, layout).scan();
  mark_tight(source, layout);
  TreeReader(source, layout).read();
  finish(source, layout);
  return layout;
}

bool fits_on_one_line(const ParsedSource& source, const FormatLayout& layout, uint32_t first, uint32_t indent) {
  const std::vector<TokenLayout>& tokens = layout.tokens;
  const uint32_t end = tokens[first].item_end;
  if (tokens[end].crowds_before != tokens[first].crowds_before) return false;
  if (tokens[end].first_comment != tokens[first].end_comment) return false;
  if (indent + layout.width(first, end) > kFormatColumns) return false;
  uint32_t open = first;
  while (open < end && source.tokens[open].kind != TokenKind::left_brace) ++open;
  return open < end && tokens[open].line == tokens[source.tokens[open].partner].line;
}

}  // namespace moe::frontend
