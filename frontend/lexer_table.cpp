// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bitset>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "MoePolicyLexer.h"
#include "antlr4-runtime.h"
#include "frontend/antlr_lock.h"
#include "frontend/grammar_tables.h"

namespace moe::frontend {

constinit std::mutex antlr_lock;

namespace {

using antlr4::atn::Transition;
using generated::MoePolicyLexer;

template <class E>
constexpr size_t number_of(E e) {
  return static_cast<size_t>(e);
}

static_assert(number_of(TokenKind::version) == MoePolicyLexer::VERSION);
static_assert(number_of(TokenKind::for_) == MoePolicyLexer::FOR);
static_assert(number_of(TokenKind::signal) == MoePolicyLexer::SIGNAL);
static_assert(number_of(TokenKind::name) == MoePolicyLexer::NAME);
static_assert(number_of(TokenKind::unterminated) == MoePolicyLexer::UNTERMINATED);
static_assert(number_of(TokenKind::right_paren) == MoePolicyLexer::RPAREN);
static_assert(number_of(TokenKind::percent) == MoePolicyLexer::PERCENT);
static_assert(number_of(TokenKind::other) == MoePolicyLexer::OTHER);

using AntlrState = antlr4::dfa::DFAState;

/// Opens what ANTLR's simulator does step by step.
class Simulator : public antlr4::atn::LexerATNSimulator {
 public:
  using LexerATNSimulator::LexerATNSimulator;

  AntlrState* start() { return addDFAState(computeStartState(&no_text_, atn.modeToStartState.front()).release()); }
  AntlrState* target(AntlrState* from, size_t character) { return computeTargetState(&no_text_, from, character); }

 private:
  antlr4::ANTLRInputStream no_text_;  // predicates would look into it; the grammar has none
};

/// The transitions out of `antlr` that read something.
std::vector<const Transition*> ways_out(const AntlrState& antlr) {
  std::vector<const Transition*> ways;
  for (const auto& config : antlr.configs->configs) {
    for (const Transition* way : config->state->transitions) {
      if (!way->isEpsilon()) ways.push_back(way);
    }
  }
  return ways;
}

class Lexer {
 public:
  Lexer() {
    const std::lock_guard lock(antlr_lock);
    dead_.is_dead = true;
    find_symbols();
    table_.start = state_of(simulator_.start());
  }

  const LexerTable& table() const { return table_; }

  LexerState* ask(LexerState& from, uint16_t symbol) {
    const std::lock_guard lock(antlr_lock);
    AntlrState* antlr = static_cast<State&>(from).antlr;
    const AntlrState* error = antlr4::atn::ATNSimulator::ERROR.get();
    AntlrState* target = simulator_.target(antlr, character_of_[symbol]);
    LexerState* next = target == error ? &dead_ : state_of(target);
    from.next[symbol].store(next, std::memory_order_release);
    fill_alike(from, ways_out(*antlr), symbol, next);
    return next;
  }

 private:
  struct State : LexerState {
    AntlrState* antlr = nullptr;
  };

  // No transition tells two neighbours apart unless it begins or ends between them.
  void find_symbols() {
    std::bitset<257> begins;
    begins.set(0);
    for (const auto* state : lexer_.getATN().states) {
      for (const Transition* way : state->transitions) {
        if (way->isEpsilon()) continue;
        const antlr4::misc::IntervalSet label = way->label();
        for (const antlr4::misc::Interval& interval : label.getIntervals()) {
          begins.set(static_cast<size_t>(std::clamp<ssize_t>(interval.a, 0, 256)));
          begins.set(static_cast<size_t>(std::clamp<ssize_t>(interval.b + 1, 0, 256)));
        }
      }
    }
    for (size_t byte = 0; byte < 256; ++byte) {
      if (begins[byte]) character_of_.push_back(byte);
      table_.symbol_of[byte] = static_cast<uint16_t>(character_of_.size() - 1);
    }
  }

  // What is asked of one symbol holds for all that no transition tells from it. The first state has too many to look
  // at.
  void fill_alike(LexerState& from, const std::vector<const Transition*>& ways, uint16_t symbol,
                  LexerState* next) const {
    constexpr size_t kMaxWays = 8;
    if (ways.size() > kMaxWays) return;
    const auto are_alike = [&](size_t one, size_t two) {
      return std::all_of(ways.begin(), ways.end(),
                         [&](const Transition* way) { return reads(*way, one) == reads(*way, two); });
    };
    for (size_t other = 1; other < character_of_.size(); ++other) {
      if (are_alike(character_of_[symbol], character_of_[other])) {
        from.next[other].store(next, std::memory_order_release);
      }
    }
  }

  static bool reads(const Transition& way, size_t character) {
    return way.matches(character, antlr4::Lexer::MIN_CHAR_VALUE, antlr4::Lexer::MAX_CHAR_VALUE);
  }

  State* state_of(AntlrState* antlr) {
    State*& known = known_[antlr];
    if (known != nullptr) return known;
    known = &states_.emplace_back();
    known->antlr = antlr;
    known->next = std::vector<std::atomic<LexerState*>>(character_of_.size());
    if (antlr->isAcceptState) {
      known->accepts = static_cast<TokenKind>(antlr->prediction);
      known->is_skipped = antlr->lexerActionExecutor != nullptr;  // `skip` is the only action of the grammar
    }
    return known;
  }

  static std::vector<antlr4::dfa::DFA> dfas_of(const antlr4::atn::ATN& atn) {
    std::vector<antlr4::dfa::DFA> dfas;
    dfas.emplace_back(atn.getDecisionState(0), 0);
    return dfas;
  }

  antlr4::ANTLRInputStream no_text_;
  MoePolicyLexer lexer_{&no_text_};
  std::vector<antlr4::dfa::DFA> dfas_ = dfas_of(lexer_.getATN());
  antlr4::atn::PredictionContextCache contexts_;
  Simulator simulator_{lexer_.getATN(), dfas_, contexts_};
  LexerTable table_;
  std::vector<size_t> character_of_ = {antlr4::Token::EOF};  // by symbol: one of its characters
  std::deque<State> states_;
  std::unordered_map<const AntlrState*, State*> known_;
  LexerState dead_;
};

Lexer& lexer() {
  static Lexer instance;
  return instance;
}

}  // namespace

const LexerTable& lexer_table() { return lexer().table(); }

LexerState* ask_lexer(LexerState& from, uint16_t symbol) { return lexer().ask(from, symbol); }

}  // namespace moe::frontend
