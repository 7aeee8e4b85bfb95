// SPDX-License-Identifier: Apache-2.0
// The fence around ANTLR: grammar/MoePolicy.g4 as two tables of states, for a lexer and a parser that only follow them.
//
// From the grammar ANTLR generates two networks. What follows what in them, its simulators find out while they read: a
// state of the lexer and a byte give a state, a state of a decision and a token give a state or the alternative to
// take. The tables here keep each such answer and are empty at first; what they lack is asked of the simulators. So the
// language is defined by the grammar alone, and a text that is like others is read without ANTLR.
//
// Threads: a step that is known is one load and takes no lock. An unknown one is asked and kept under a lock, since
// ANTLR's simulators share state. States are never changed in any other way, and never freed.
#pragma once
#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <vector>

#include "frontend/parse_tree.h"

namespace moe::frontend {

// ---- the lexer

/// Where the lexer is inside a token. The longest token wins: read on until `is_dead`, then take the last one accepted.
struct LexerState {
  TokenKind accepts = TokenKind::end;          ///< the token that ends here; `end`: none does
  bool is_skipped = false;                     ///< the token is white space or a comment
  bool is_dead = false;                        ///< no token goes on like this
  std::vector<std::atomic<LexerState*>> next;  ///< by symbol; nullptr: not asked yet
};

struct LexerTable {
  static constexpr uint16_t kEndOfText = 0;  ///< the symbol after the last byte
  std::array<uint16_t, 256> symbol_of = {};  ///< by byte: bytes that the grammar never tells apart are one symbol
  LexerState* start = nullptr;               ///< before the first byte of a token
};

const LexerTable& lexer_table();

/// Asks ANTLR. Not for a dead state.
LexerState* ask_lexer(LexerState& from, uint16_t symbol);

inline LexerState* next_lexer_state(LexerState& from, uint16_t symbol) {
  LexerState* next = from.next[symbol].load(std::memory_order_acquire);
  return next != nullptr ? next : ask_lexer(from, symbol);
}

// ---- the parser

inline constexpr size_t kNumTokenKinds = static_cast<size_t>(TokenKind::missing) + 1;
using TokenKinds = std::bitset<kNumTokenKinds>;

/// What the tokens seen so far say about which alternative to take.
struct PredictionState {
  bool is_decided = false;
  uint8_t alternative = 0;  ///< if decided: from 1; 0: none goes on like this
  std::array<std::atomic<PredictionState*>, kNumTokenKinds> next = {};  ///< by token; nullptr: not asked yet
};

/// A place of the grammar where more than one way leads on.
struct Decision {
  enum class Form : uint8_t {
    choice,           ///< (a | b)
    optional,         ///< a?; the last alternative does without
    loop,             ///< a*; likewise
    loop_of_choices,  ///< (a | b)*; likewise
  };
  Form form = Form::choice;
  bool by_precedence = false;                         ///< of a left-recursive rule: the operators that bind enough
  std::vector<uint16_t> alternatives;                 ///< their first steps
  std::vector<std::atomic<PredictionState*>> starts;  ///< by precedence, or one; nullptr: not asked yet
};

struct ParserStep {
  enum class Kind : uint8_t {
    match,   ///< one token of a set, then `next`
    call,    ///< a rule, then `next`
    wrap,    ///< what the rule has read is the left operand of what follows, if its operator binds enough; then `next`
    choose,  ///< a decision
    finish,  ///< the rule ends
  };
  Kind kind = Kind::finish;
  uint8_t precedence = 0;  ///< call: what the rule's operators have to bind; wrap: what this one does
  Rule rule = Rule::file;  ///< call, finish: the rule
  uint16_t next = 0;
  uint16_t operand = 0;  ///< match: index of `sets`; call: the rule's first step; choose: the decision
};

struct ParserTable {
  std::vector<ParserStep> steps;
  std::vector<TokenKinds> sets;
  std::vector<Decision> decisions;
  uint16_t first_step = 0;  ///< of Rule::file
};

ParserTable& parser_table();

struct Prediction {
  uint8_t alternative = 0;  ///< from 1; 0: none goes on like this
  size_t token = 0;         ///< the last one looked at
};

/// Asks ANTLR what to do at tokens[at]. The tokens end with `end`.
Prediction ask_parser(size_t decision, uint8_t precedence, const Tokens& tokens, size_t at);

}  // namespace moe::frontend
