// SPDX-License-Identifier: Apache-2.0
#include "frontend/grammar_tables.h"
#include "frontend/parse_tree.h"

namespace moe::frontend {
namespace {

// How much of a NUMBER token is the number: the lexer takes the `..` of `0..3` and the divisor of `16GB/size` along.
size_t number_length(std::string_view text) {
  if (text.ends_with("..")) return text.size() - 2;
  const size_t slash = text.find('/');
  return slash == std::string_view::npos || text.substr(slash) == "/s" ? text.size() : slash;
}

/// The longest token from `begin` on. There always is one: `other` is any byte.
struct Longest {
  const LexerState* state = nullptr;
  size_t end = 0;
};

Longest longest_token(const LexerTable& table, std::string_view text, size_t begin) {
  Longest longest;
  LexerState* state = table.start;
  for (size_t at = begin;;) {
    const bool at_end = at == text.size();
    const uint16_t symbol = at_end ? LexerTable::kEndOfText : table.symbol_of[static_cast<unsigned char>(text[at])];
    state = next_lexer_state(*state, symbol);
    if (state->is_dead) return longest;
    if (!at_end) ++at;
    if (state->accepts == TokenKind::end) continue;
    longest = {state, at};
    if (at_end) return longest;
  }
}

}  // namespace

Tokens tokenize(std::string_view text) {
  const LexerTable& table = lexer_table();
  Tokens tokens;
  tokens.reserve(text.size() / 4 + 1);
  for (size_t begin = 0; begin < text.size();) {
    const Longest longest = longest_token(table, text, begin);
    size_t end = longest.end;
    const TokenKind kind = longest.state->accepts;
    if (kind == TokenKind::number) end = begin + number_length(text.substr(begin, end - begin));
    if (!longest.state->is_skipped) {
      tokens.push_back({kind, static_cast<uint32_t>(begin), static_cast<uint32_t>(end), 0});
    }
    begin = end;
  }
  const auto length = static_cast<uint32_t>(text.size());
  tokens.push_back({TokenKind::end, length, length, 0});
  return tokens;
}

}  // namespace moe::frontend
