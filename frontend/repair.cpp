// SPDX-License-Identifier: Apache-2.0
#include "frontend/repair.h"

#include <fmt/format.h>

#include "frontend/text.h"

namespace moe::frontend {
namespace {

// Garbage gives a finding every few bytes; nobody reads more than this many.
constexpr size_t kMaxErrors = 50;

char character_of(TokenKind kind) {
  switch (kind) {
    case TokenKind::left_brace:
      return '{';
    case TokenKind::right_brace:
      return '}';
    case TokenKind::left_bracket:
      return '[';
    case TokenKind::right_bracket:
      return ']';
    case TokenKind::left_paren:
      return '(';
    default:
      return ')';
  }
}

bool begins_line(std::string_view text, const Token& token) {
  const size_t before = token.begin == 0 ? std::string_view::npos : text.find_last_not_of(" \t", token.begin - 1);
  return before == std::string_view::npos || text[before] == '\n';
}

class Balancer {
 public:
  Balancer(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics)
      : text_(text), tokens_(tokens), diagnostics_(diagnostics) {}

  Tokens balance() {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const Token& token = tokens_[i];
      if (token.kind == TokenKind::end || opens_policy(i)) close_all(token.begin);
      if (token.kind == TokenKind::assign) close_lists_before_key();
      if (is_closer(token.kind)) {
        close(token);
      } else {
        if (is_opener(token.kind)) open_.push_back(out_.size());
        out_.push_back(token);
      }
    }
    return std::move(out_);
  }

 private:
  // `policy NAME {` never stands inside anything: what is still open there was meant to end before.
  bool opens_policy(size_t i) const {
    if (i + 2 >= tokens_.size() || tokens_[i].kind != TokenKind::policy || !is_word(tokens_[i + 1].kind)) return false;
    return tokens_[i + 2].kind == TokenKind::left_brace || tokens_[i + 2].kind == TokenKind::extends;
  }

  // A list holds no `=`: `pin = [0, 1  eviction = lru` ends before `eviction`. A `=` in parentheses is more often
  // meant as `==`, unless its key begins a line.
  void close_lists_before_key() {
    if (open_.empty() || out_.empty() || !is_word(out_.back().kind)) return;
    const TokenKind top = out_[open_.back()].kind;
    const Token key = out_.back();
    const bool ends_here = top == TokenKind::left_bracket || (top == TokenKind::left_paren && begins_line(text_, key));
    if (!ends_here || open_.back() + 1 == out_.size()) return;
    out_.pop_back();
    if (out_.back().kind == TokenKind::comma) out_.pop_back();
    while (!open_.empty() && out_[open_.back()].kind != TokenKind::left_brace) close_unclosed(key.begin);
    out_.push_back(key);
  }

  void close(const Token& closer) {
    // A brace ends whatever brackets are open in it; a bracket does not reach out of its braces.
    size_t depth = open_.size();
    while (depth > 0) {
      const TokenKind opener = out_[open_[depth - 1]].kind;
      if (closer_of(opener) == closer.kind) break;
      if (opener == TokenKind::left_brace) depth = 1;
      --depth;
    }
    if (depth == 0) {
      report("MOE1024", closer.span(), fmt::format("`{}` closes nothing", character_of(closer.kind)), "remove it");
      return;
    }
    while (open_.size() > depth) close_unclosed(closer.begin);
    pair(closer);
  }

  void close_all(uint32_t at) {
    while (!open_.empty()) close_unclosed(at);
  }

  void close_unclosed(uint32_t at) {
    const Token opener = out_[open_.back()];
    report("MOE1023", opener.span(), fmt::format("`{}` is never closed", character_of(opener.kind)),
           fmt::format("add `{}`", character_of(closer_of(opener.kind))));
    pair({closer_of(opener.kind), at, at, 0});
  }

  void pair(Token closer) {
    const size_t opener = open_.back();
    open_.pop_back();
    out_[opener].partner = static_cast<uint32_t>(out_.size());
    closer.partner = static_cast<uint32_t>(opener);
    out_.push_back(closer);
  }

  void report(std::string_view code, ir::SourceSpan span, std::string message, std::string hint) {
    if (num_errors_++ < kMaxErrors) diagnostics_.error(code, span, std::move(message), std::move(hint));
  }

  std::string_view text_;
  const Tokens& tokens_;
  ir::Diagnostics& diagnostics_;
  Tokens out_;
  std::vector<size_t> open_;  // openers without a partner, as indices of out_
  size_t num_errors_ = 0;
};

class MissingValues {
 public:
  MissingValues(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics)
      : text_(text), tokens_(tokens), diagnostics_(diagnostics) {}

  Tokens fill() {
    Tokens out;
    out.reserve(tokens_.size());
    for (size_t i = 0; i < tokens_.size(); ++i) {
      out.push_back(tokens_[i]);
      const uint32_t end = tokens_[i].end;
      if (is_empty_assignment(i)) {
        report(tokens_[i - 1], end);
        out.push_back({TokenKind::missing, end, end, 0});
      } else if (is_lone_key(i)) {
        report(tokens_[i], end);
        out.push_back({TokenKind::assign, end, end, 0});
        out.push_back({TokenKind::missing, end, end, 0});
      }
    }
    return out;
  }

 private:
  TokenKind kind_at(size_t i) const { return i < tokens_.size() ? tokens_[i].kind : TokenKind::end; }

  // `key =`, `let x =`
  bool is_key(size_t i) const {
    if (!is_word(kind_at(i))) return false;
    const bool declares = kind_at(i) == TokenKind::let || kind_at(i) == TokenKind::param;
    return kind_at(i + 1) == TokenKind::assign ||
           (declares && is_word(kind_at(i + 1)) && kind_at(i + 2) == TokenKind::assign);
  }

  // `capacity =` before a closing bracket or before the next `key =`
  bool is_empty_assignment(size_t i) const {
    if (kind_at(i) != TokenKind::assign || i == 0 || !is_word(kind_at(i - 1))) return false;
    const TokenKind next = kind_at(i + 1);
    return is_closer(next) || next == TokenKind::end || is_key(i + 1);
  }

  // `capacity` where an item begins, before the next `key =`
  bool is_lone_key(size_t i) const {
    if (i == 0 || kind_at(i) != TokenKind::name || !is_word(kind_at(i + 1)) || kind_at(i + 2) != TokenKind::assign) {
      return false;
    }
    const TokenKind before = kind_at(i - 1);
    if (before == TokenKind::left_brace || before == TokenKind::number || before == TokenKind::string) return true;
    // After a word it may be the word's value that follows (`eviction lru`), unless a line ends between them.
    const bool ends_value =
        before == TokenKind::name || is_closer(before) || before == TokenKind::true_ || before == TokenKind::false_;
    return ends_value && begins_line(text_, tokens_[i]);
  }

  void report(const Token& key, uint32_t end) {
    if (num_errors_++ >= kMaxErrors) return;
    diagnostics_.error("MOE1025", {key.begin, end}, fmt::format("{} has no value", quote(text_of(text_, key))),
                       fmt::format("write `{} = ...`", text_of(text_, key)));
  }

  std::string_view text_;
  const Tokens& tokens_;
  ir::Diagnostics& diagnostics_;
  size_t num_errors_ = 0;
};

}  // namespace

Tokens balance_brackets(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics) {
  return Balancer(text, tokens, diagnostics).balance();
}

Tokens fill_missing_values(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics) {
  return MissingValues(text, tokens, diagnostics).fill();
}

}  // namespace moe::frontend
