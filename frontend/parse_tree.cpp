// SPDX-License-Identifier: Apache-2.0
#include "frontend/parse_tree.h"

#include <algorithm>
#include <utility>

#include "frontend/grammar_tables.h"

namespace moe::frontend {
namespace {

bool recovers(Rule rule) {
  return rule == Rule::item || rule == Rule::member || rule == Rule::file_item || rule == Rule::file;
}

bool is_repetition(Rule rule) { return rule == Rule::body || rule == Rule::policy_body || rule == Rule::file; }

/// Follows the steps of the grammar and writes the tree, with a stack of its own. After an error it is in panic: it
/// leaves rules up to the item (or member, or policy) that the error is in, skips to the next one and goes on.
class Parser {
 public:
  Parser(std::string_view text, const Tokens& tokens) : text_(text), tokens_(tokens), table_(parser_table()) {
    frames_.reserve(64);
    pending_.reserve(256);
    outcome_.tree.nodes.reserve(tokens.size() * 4);
    outcome_.tree.children.reserve(tokens.size() * 5);
  }

  ParseOutcome run() {
    step_ = table_.first_step;
    frames_.push_back({});
    while (!frames_.empty() && !outcome_.gave_up) take(table_.steps[step_]);
    if (outcome_.gave_up) outcome_.tree = {};
    return std::move(outcome_);
  }

 private:
  /// A rule at work.
  struct Frame {
    Rule rule = Rule::file;
    bool broken = false;
    uint8_t precedence = 0;
    uint16_t next_step = 0;  // once it is finished
    uint32_t first_token = 0;
    uint32_t first_pending = 0;  // its children are pending_[first_pending...] as long as it is the innermost
  };

  void take(const ParserStep& step) {
    switch (step.kind) {
      case ParserStep::Kind::match:
        if (!table_.sets[step.operand][static_cast<size_t>(kind_here())]) return recover(at_);
        consume();
        step_ = step.next;
        break;
      case ParserStep::Kind::call:
        frames_.push_back({step.rule, false, step.precedence, step.next, at_, static_cast<uint32_t>(pending_.size())});
        step_ = step.operand;
        break;
      case ParserStep::Kind::wrap:
        wrap();
        if (step.precedence < frames_.back().precedence) return recover(at_);
        step_ = step.next;
        break;
      case ParserStep::Kind::choose:
        choose(step.operand);
        break;
      case ParserStep::Kind::finish:
        finish();
        break;
    }
  }

  void choose(size_t number) {
    if (is_repetition(frames_.back().rule)) skip_what_begins_nothing();
    if (outcome_.gave_up) return;
    const Prediction prediction = predict(number);
    if (prediction.alternative == 0) return recover(prediction.token);
    step_ = table_.decisions[number].alternatives[prediction.alternative - 1];
  }

  Prediction predict(size_t number) const {
    const Decision& decision = table_.decisions[number];
    const uint8_t precedence = decision.by_precedence ? frames_.back().precedence : 0;
    const PredictionState* state = decision.starts[precedence].load(std::memory_order_acquire);
    for (size_t token = at_; state != nullptr;) {
      const TokenKind kind = tokens_[token].kind;
      state = state->next[static_cast<size_t>(kind)].load(std::memory_order_acquire);
      if (state != nullptr && state->is_decided) return {state->alternative, token};
      if (kind != TokenKind::end) ++token;
    }
    return ask_parser(number, precedence, tokens_, at_);
  }

  // ---- the tree

  TokenKind kind_here() const { return tokens_[at_].kind; }

  void consume() {
    pending_.push_back({at_, true});
    if (kind_here() != TokenKind::end) ++at_;
  }

  void write_node() {
    const Frame& frame = frames_.back();
    ParseTree& tree = outcome_.tree;
    TreeNode node;
    node.rule = frame.rule;
    node.broken = frame.broken;
    node.first_token = frame.first_token;
    node.end_token = frame.first_token;
    if (pending_.size() > frame.first_pending) {
      const TreeChild last = pending_.back();
      node.end_token = last.is_token ? last.index + 1 : tree.nodes[last.index].end_token;
    }
    node.first_child = static_cast<uint32_t>(tree.children.size());
    tree.children.insert(tree.children.end(), pending_.begin() + frame.first_pending, pending_.end());
    node.end_child = static_cast<uint32_t>(tree.children.size());
    pending_.resize(frame.first_pending);
    pending_.push_back({static_cast<uint32_t>(tree.nodes.size()), false});
    tree.nodes.push_back(node);
  }

  void finish() {
    write_node();
    step_ = frames_.back().next_step;
    frames_.pop_back();
  }

  void wrap() {
    write_node();
    frames_.back().broken = false;
  }

  // ---- errors

  void report(size_t token) {
    outcome_.errors.push_back({frames_.back().rule, static_cast<uint32_t>(token)});
    outcome_.gave_up = outcome_.errors.size() > kMaxSyntaxErrors;
  }

  void recover(size_t token) {
    report(token);
    if (outcome_.gave_up) return;
    frames_.back().broken = true;
    while (!recovers(frames_.back().rule)) {
      finish();
      frames_.back().broken = true;
    }
    const Rule rule = frames_.back().rule;
    const bool stuck = at_ == frames_.back().first_token;
    skip_to_next(rule == Rule::file_item || rule == Rule::file, stuck);
    finish();
  }

  /// At every turn of a loop over items: what can begin none is reported and skipped here, without leaving the loop.
  void skip_what_begins_nothing() {
    const bool in_file = frames_.back().rule == Rule::file;
    while (!fits(kind_here(), in_file)) {
      report(at_);
      if (outcome_.gave_up) return;
      frames_.back().broken = true;
      skip_to_next(in_file, true);
    }
  }

  static bool fits(TokenKind kind, bool in_file) {
    if (kind == TokenKind::end) return true;
    if (!in_file) return is_word(kind) || kind == TokenKind::right_brace;
    return kind == TokenKind::version || kind == TokenKind::import || kind == TokenKind::policy;
  }

  bool begins_line(size_t index) const {
    if (index == 0) return true;
    const uint32_t from = tokens_[index - 1].end;
    return text_.substr(from, tokens_[index].begin - from).find('\n') != std::string_view::npos;
  }

  bool begins_item(size_t index, bool in_file) const {
    if (in_file) return fits(tokens_[index].kind, true);
    if (!is_word(tokens_[index].kind)) return false;
    const TokenKind next = tokens_[index + 1].kind;
    return next == TokenKind::assign || next == TokenKind::left_brace || begins_line(index);
  }

  void skip_bracketed() {
    const size_t last = is_opener(kind_here()) ? tokens_[at_].partner : at_;
    while (at_ <= last && kind_here() != TokenKind::end) consume();
  }

  void skip_to_next(bool in_file, bool at_least_one) {
    if (at_least_one && kind_here() != TokenKind::end) skip_bracketed();
    while (kind_here() != TokenKind::end && !begins_item(at_, in_file)) {
      if (!in_file && kind_here() == TokenKind::right_brace) return;
      skip_bracketed();
    }
  }

  std::string_view text_;
  const Tokens& tokens_;
  const ParserTable& table_;
  uint32_t at_ = 0;    // the token to read next
  uint16_t step_ = 0;  // the step to take next
  std::vector<Frame> frames_;
  std::vector<TreeChild> pending_;
  ParseOutcome outcome_;
};

}  // namespace

ParseOutcome parse_tokens(std::string_view text, const Tokens& tokens) { return Parser(text, tokens).run(); }

}  // namespace moe::frontend
