// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "MoePolicyParser.h"
#include "antlr4-runtime.h"
#include "frontend/antlr_lock.h"
#include "frontend/grammar_tables.h"
#include "frontend/one_token.h"

namespace moe::frontend {
namespace {

using antlr4::atn::ATNState;
using antlr4::atn::Transition;
using generated::MoePolicyParser;

template <class E>
constexpr size_t number_of(E e) {
  return static_cast<size_t>(e);
}

static_assert(number_of(TokenKind::missing) == MoePolicyParser::MISSING);
static_assert(number_of(Rule::file) == MoePolicyParser::RuleFile);
static_assert(number_of(Rule::let) == MoePolicyParser::RuleLet);
static_assert(number_of(Rule::item) == MoePolicyParser::RuleItem);
static_assert(number_of(Rule::key) == MoePolicyParser::RuleKey);
static_assert(number_of(Rule::command) == MoePolicyParser::RuleCommand);
static_assert(number_of(Rule::list) == MoePolicyParser::RuleList);
static_assert(number_of(Rule::expr) == MoePolicyParser::RuleExpr);
static_assert(number_of(Rule::callee) == MoePolicyParser::RuleCallee);

size_t symbol_of(TokenKind kind) { return kind == TokenKind::end ? antlr4::Token::EOF : number_of(kind); }

/// Tokens as the simulator wants to see them.
class KindStream : public antlr4::TokenStream {
 public:
  void read(const Tokens& tokens, size_t at) {
    tokens_ = &tokens;
    at_ = at;
  }

  size_t LA(ssize_t ahead) override {
    const size_t index = at_ + static_cast<size_t>(ahead) - 1;
    return symbol_of((*tokens_)[std::min(index, tokens_->size() - 1)].kind);
  }
  void consume() override { ++at_; }
  size_t index() override { return at_; }
  void seek(size_t index) override { at_ = index; }
  size_t size() override { return tokens_->size(); }
  ssize_t mark() override { return 0; }
  void release(ssize_t) override {}

  // What exceptions are made of; nobody reads it.
  antlr4::Token* LT(ssize_t) override { return &token_; }
  antlr4::Token* get(size_t) const override { return &token_; }
  antlr4::TokenSource* getTokenSource() const override { return nullptr; }
  std::string getText(const antlr4::misc::Interval&) override { return {}; }
  std::string getText() override { return {}; }
  std::string getText(antlr4::RuleContext*) override { return {}; }
  std::string getText(antlr4::Token*, antlr4::Token*) override { return {}; }
  std::string getSourceName() const override { return {}; }

 private:
  const Tokens* tokens_ = nullptr;
  size_t at_ = 0;
  mutable antlr4::CommonToken token_{antlr4::Token::INVALID_TYPE};
};

/// ANTLR's network as steps, in the numbering of its states.
class StepReader {
 public:
  explicit StepReader(const antlr4::atn::ATN& atn) : atn_(atn) {}

  ParserTable read() {
    table_.steps.resize(atn_.states.size());
    for (ATNState* state : atn_.states) {
      const bool is_used = state != nullptr && !state->transitions.empty();  // the generator leaves some behind
      if (is_used) table_.steps[state->stateNumber] = step_of(*state);
    }
    table_.decisions = std::vector<Decision>(atn_.decisionToState.size());
    for (size_t i = 0; i < table_.decisions.size(); ++i) read_decision(*atn_.decisionToState[i], table_.decisions[i]);
    table_.first_step = number_of_step(atn_.ruleToStartState[number_of(Rule::file)]);
    return std::move(table_);
  }

 private:
  static bool does_nothing(const ATNState& state) {
    if (state.transitions.size() != 1) return false;
    const auto type = state.transitions.front()->getSerializationType();
    return type == Transition::EPSILON || type == Transition::ACTION;
  }

  static uint16_t number_of_step(ATNState* state) {
    while (state->getStateType() != ATNState::RULE_STOP && does_nothing(*state)) {
      state = state->transitions.front()->target;
    }
    return static_cast<uint16_t>(state->stateNumber);
  }

  ParserStep step_of(ATNState& state) {
    ParserStep step;
    step.rule = static_cast<Rule>(state.ruleIndex);
    if (state.getStateType() == ATNState::RULE_STOP) return step;
    if (state.transitions.size() > 1) {
      step.kind = ParserStep::Kind::choose;
      step.operand = static_cast<uint16_t>(static_cast<const antlr4::atn::DecisionState&>(state).decision);
      return step;
    }
    const Transition& transition = *state.transitions.front();
    step.next = number_of_step(transition.target);
    if (transition.getSerializationType() == Transition::RULE) {
      const auto& call = static_cast<const antlr4::atn::RuleTransition&>(transition);
      step.kind = ParserStep::Kind::call;
      step.precedence = precedence(call.precedence);
      step.rule = static_cast<Rule>(call.target->ruleIndex);
      step.next = number_of_step(call.followState);
      step.operand = number_of_step(call.target);
    } else if (transition.getSerializationType() == Transition::PRECEDENCE) {
      step.kind = ParserStep::Kind::wrap;
      step.precedence =
          precedence(static_cast<const antlr4::atn::PrecedencePredicateTransition&>(transition).precedence);
    } else {
      step.kind = ParserStep::Kind::match;
      step.operand = set_of(transition);
    }
    return step;
  }

  uint8_t precedence(int level) {
    max_precedence_ = std::max(max_precedence_, level);
    return static_cast<uint8_t>(level);
  }

  uint16_t set_of(const Transition& transition) {
    TokenKinds set = {};
    for (size_t kind = 0; kind < kNumTokenKinds; ++kind) {
      set[kind] = transition.matches(symbol_of(static_cast<TokenKind>(kind)), antlr4::Token::MIN_USER_TOKEN_TYPE,
                                     atn_.maxTokenType);
    }
    const auto known = std::find(table_.sets.begin(), table_.sets.end(), set);
    if (known != table_.sets.end()) return static_cast<uint16_t>(known - table_.sets.begin());
    table_.sets.push_back(set);
    return static_cast<uint16_t>(table_.sets.size() - 1);
  }

  static Decision::Form form_of(antlr4::atn::DecisionState& state) {
    if (state.getStateType() == ATNState::STAR_LOOP_ENTRY) {
      const bool has_choices = state.transitions.front()->target->transitions.size() > 1;
      return has_choices ? Decision::Form::loop_of_choices : Decision::Form::loop;
    }
    if (state.getStateType() != ATNState::BLOCK_START) return Decision::Form::choice;
    const auto& block = static_cast<const antlr4::atn::BlockStartState&>(state);
    return state.transitions.back()->target == block.endState ? Decision::Form::optional : Decision::Form::choice;
  }

  void read_decision(antlr4::atn::DecisionState& state, Decision& decision) const {
    decision.form = form_of(state);
    for (const Transition* way : state.transitions) decision.alternatives.push_back(number_of_step(way->target));
    decision.by_precedence = atn_.ruleToStartState[state.ruleIndex]->isLeftRecursiveRule;
    const size_t num_starts = decision.by_precedence ? static_cast<size_t>(max_precedence_) + 1 : 1;
    decision.starts = std::vector<std::atomic<PredictionState*>>(num_starts);
  }

  const antlr4::atn::ATN& atn_;
  ParserTable table_;
  int max_precedence_ = 0;
};

class Predictor {
 public:
  Predictor() { simulator_.setPredictionMode(antlr4::atn::PredictionMode::SLL); }

  ParserTable& table() { return table_; }

  Prediction ask(size_t decision, uint8_t precedence, const Tokens& tokens, size_t at) {
    const std::lock_guard lock(antlr_lock);
    std::atomic<PredictionState*>& start = table_.decisions[decision].starts[precedence];
    if (start.load(std::memory_order_relaxed) == nullptr && decide_by_one_token(decision, start)) {
      const PredictionState* row = start.load(std::memory_order_relaxed);
      return {row->next[number_of(tokens[at].kind)].load(std::memory_order_relaxed)->alternative, at};
    }
    const uint8_t alternative = predict(decision, precedence, tokens, at);
    return keep(decision, precedence, tokens, at, alternative);
  }

 private:
  using AntlrState = antlr4::dfa::DFAState;

  bool decide_by_one_token(size_t decision, std::atomic<PredictionState*>& start) {
    const std::optional<AlternativeOfToken> alternative_of = alternatives_by_one_token(table_, decision);
    if (!alternative_of) return false;
    PredictionState& row = states_.emplace_back();
    for (size_t kind = 0; kind < kNumTokenKinds; ++kind) {
      row.next[kind].store(decided((*alternative_of)[kind]), std::memory_order_relaxed);
    }
    start.store(&row, std::memory_order_release);
    return true;
  }

  uint8_t predict(size_t decision, uint8_t precedence, const Tokens& tokens, size_t at) {
    parser_.reset();
    stream_.read(tokens, at);
    if (table_.decisions[decision].by_precedence) {
      parser_.enterRecursionRule(&context_, 0, atn_.getDecisionState(decision)->ruleIndex, precedence);
    }
    try {
      return static_cast<uint8_t>(simulator_.adaptivePredict(&stream_, decision, &context_));
    } catch (const antlr4::NoViableAltException&) {
      return 0;
    }
  }

  // Follows the way that the simulator went, over its own states, and keeps what is new of it.
  Prediction keep(size_t decision, uint8_t precedence, const Tokens& tokens, size_t at, uint8_t alternative) {
    const antlr4::dfa::DFA& dfa = simulator_.decisionToDFA[decision];
    const AntlrState* from = dfa.isPrecedenceDfa() ? dfa.getPrecedenceStartState(precedence) : dfa.s0;
    PredictionState* row = state_of(from, precedence);
    table_.decisions[decision].starts[precedence].store(row, std::memory_order_release);
    size_t token = at;
    while (true) {
      const TokenKind kind = tokens[token].kind;
      const auto edge = from->edges.find(symbol_of(kind));
      if (edge == from->edges.end()) return {alternative, token};  // the simulator keeps all of them
      const AntlrState* to = edge->second;
      const bool is_error = to == antlr4::atn::ATNSimulator::ERROR.get();
      // Predicates that all fail are the first token's fault: a row that says so would blame this one.
      if (!is_error && to->isAcceptState && alternative == 0) return {0, at};
      const bool ends = is_error || to->isAcceptState;
      PredictionState* next = ends ? decided(alternative) : state_of(to, precedence);
      row->next[number_of(kind)].store(next, std::memory_order_release);
      if (ends) return {alternative, token};
      if (kind != TokenKind::end) ++token;
      from = to;
      row = next;
    }
  }

  // By precedence too: predicates may decide at the end, and they depend on it.
  PredictionState* state_of(const AntlrState* antlr, uint8_t precedence) {
    PredictionState*& known = known_[{antlr, precedence}];
    if (known == nullptr) known = &states_.emplace_back();
    return known;
  }

  PredictionState* decided(uint8_t alternative) {
    PredictionState*& known = decided_[alternative];
    if (known == nullptr) {
      known = &states_.emplace_back();
      known->is_decided = true;
      known->alternative = alternative;
    }
    return known;
  }

  KindStream stream_;
  MoePolicyParser parser_{&stream_};
  const antlr4::atn::ATN& atn_ = parser_.getATN();
  antlr4::atn::ParserATNSimulator& simulator_ = *parser_.getInterpreter<antlr4::atn::ParserATNSimulator>();
  antlr4::ParserRuleContext context_;
  ParserTable table_ = StepReader(atn_).read();
  std::deque<PredictionState> states_;
  std::map<std::pair<const AntlrState*, uint8_t>, PredictionState*> known_;
  std::map<uint8_t, PredictionState*> decided_;
};

Predictor& predictor() {
  static Predictor instance;
  return instance;
}

}  // namespace

ParserTable& parser_table() { return predictor().table(); }

Prediction ask_parser(size_t decision, uint8_t precedence, const Tokens& tokens, size_t at) {
  return predictor().ask(decision, precedence, tokens, at);
}

}  // namespace moe::frontend
