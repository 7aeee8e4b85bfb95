// SPDX-License-Identifier: Apache-2.0
// Tokens as plain values, so that checks and repairs need no ANTLR.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "ir/source.h"

namespace moe::frontend {

/// The kinds of grammar/MoePolicy.g4, in its order: lexer_table.cpp asserts that the numbers agree.
enum class TokenKind : uint8_t {
  end,
  // Words. All but `name` open some construct; `is_word` covers them all.
  version,
  import,
  policy,
  extends,
  param,
  let,
  in,
  step,
  layers,
  phase,
  tier,
  on,
  when,
  for_,
  cooldown,
  revert,
  choose,
  by,
  every,
  explore,
  promote,
  demote,
  use,
  rebalance,
  trigger,
  signal,
  and_,
  or_,
  not_,
  if_,
  then,
  else_,
  true_,
  false_,
  name,
  number,
  string,
  unterminated,
  left_brace,
  right_brace,
  left_bracket,
  right_bracket,
  left_paren,
  right_paren,
  arrow,
  range,
  assign,
  colon,
  pipe,
  comma,
  dot,
  eq,
  ne,
  le,
  ge,
  lt,
  gt,
  plus,
  minus,
  star,
  slash,
  percent,
  comment,
  block_comment,
  space,
  foreign,
  other,
  missing,  ///< stands where the author left a value out; empty span
};

/// A piece of the source, [begin, end) in bytes. Of a token put in by a repair the span is empty.
struct Token {
  TokenKind kind = TokenKind::end;
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t partner = 0;  ///< of a bracket: the index of the other one; set by balance_brackets
  ir::SourceSpan span() const { return {begin, end}; }
};

/// In order of text, closed by one `end`.
using Tokens = std::vector<Token>;

constexpr bool is_word(TokenKind kind) { return kind >= TokenKind::version && kind <= TokenKind::name; }

constexpr bool is_opener(TokenKind kind) {
  return kind == TokenKind::left_brace || kind == TokenKind::left_bracket || kind == TokenKind::left_paren;
}

constexpr bool is_closer(TokenKind kind) {
  return kind == TokenKind::right_brace || kind == TokenKind::right_bracket || kind == TokenKind::right_paren;
}

constexpr TokenKind closer_of(TokenKind opener) { return static_cast<TokenKind>(static_cast<uint8_t>(opener) + 1); }

inline std::string_view text_of(std::string_view source, const Token& token) {
  return source.substr(token.begin, token.end - token.begin);
}

}  // namespace moe::frontend
