// SPDX-License-Identifier: Apache-2.0
#include "tests/frontend/antlr_oracle.h"

#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "MoePolicyLexer.h"
#include "MoePolicyParser.h"
#include "antlr4-runtime.h"

namespace moe::test {
namespace {

using frontend::is_opener;
using frontend::is_word;
using frontend::kMaxSyntaxErrors;
using frontend::ParseOutcome;
using frontend::ParseTree;
using frontend::Rule;
using frontend::SyntaxError;
using frontend::Token;
using frontend::TokenKind;
using frontend::Tokens;
using frontend::TreeChild;
using frontend::TreeNode;
using frontend::generated::MoePolicyLexer;
using frontend::generated::MoePolicyParser;

// One character per byte, so that ANTLR's positions are byte offsets.
std::string bytes_as_latin1(std::string_view text) {
  std::string utf8;
  utf8.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xC0U | (byte >> 6U));
      utf8 += static_cast<char>(0x80U | (byte & 0x3FU));
    }
  }
  return utf8;
}

// How much of a NUMBER token is the number: the lexer takes the `..` of `0..3` and the divisor of `16GB/size` along.
size_t number_length(std::string_view text) {
  if (text.ends_with("..")) return text.size() - 2;
  const size_t slash = text.find('/');
  return slash == std::string_view::npos || text.substr(slash) == "/s" ? text.size() : slash;
}

/// Panic mode: an error unwinds to the item (or member, or policy) that it is in, skips to the next one and goes on.
class ItemErrorStrategy : public antlr4::ANTLRErrorStrategy {
 public:
  ItemErrorStrategy(std::string_view text, const Tokens& tokens) : text_(text), tokens_(tokens) {}

  std::vector<SyntaxError> take_errors() { return std::move(errors_); }

  void reset(antlr4::Parser*) override { recovering_ = false; }
  bool inErrorRecoveryMode(antlr4::Parser*) override { return recovering_; }
  void reportMatch(antlr4::Parser*) override { recovering_ = false; }

  antlr4::Token* recoverInline(antlr4::Parser* parser) override { throw antlr4::InputMismatchException(parser); }

  void reportError(antlr4::Parser* parser, const antlr4::RecognitionException& e) override {
    if (recovering_) return;  // on the way up from an error that has been reported
    const antlr4::Token* offending = e.getOffendingToken();
    report(parser, offending != nullptr ? offending->getTokenIndex() : parser->getCurrentToken()->getTokenIndex());
  }

  void recover(antlr4::Parser* parser, std::exception_ptr e) override {
    const auto rule = static_cast<Rule>(parser->getContext()->getRuleIndex());
    if (rule != Rule::item && rule != Rule::member && rule != Rule::file_item && rule != Rule::file) {
      std::rethrow_exception(std::move(e));
    }
    const bool stuck = parser->getCurrentToken() == parser->getContext()->getStart();
    skip_to_next(parser, rule == Rule::file_item || rule == Rule::file, stuck);
    recovering_ = false;
  }

  /// Called at every turn of a loop: what can begin no item is reported and skipped here, without leaving the loop.
  void sync(antlr4::Parser* parser) override {
    const auto rule = static_cast<Rule>(parser->getContext()->getRuleIndex());
    if (rule != Rule::body && rule != Rule::policy_body && rule != Rule::file) return;
    const bool in_file = rule == Rule::file;
    while (!fits(static_cast<TokenKind>(parser->getInputStream()->LA(1) & 0xFFU), in_file)) {
      recovering_ = true;  // what is skipped goes into the tree as error nodes
      report(parser, parser->getCurrentToken()->getTokenIndex());
      skip_to_next(parser, in_file, true);
      recovering_ = false;
    }
  }

 private:
  static bool fits(TokenKind kind, bool in_file) {
    if (kind == TokenKind::end || static_cast<uint8_t>(kind) == 0xFF) return true;
    if (!in_file) return is_word(kind) || kind == TokenKind::right_brace;
    return kind == TokenKind::version || kind == TokenKind::import || kind == TokenKind::policy;
  }

  void report(antlr4::Parser* parser, size_t token) {
    recovering_ = true;
    errors_.push_back({static_cast<Rule>(parser->getContext()->getRuleIndex()), static_cast<uint32_t>(token)});
    if (errors_.size() > kMaxSyntaxErrors) throw antlr4::ParseCancellationException();
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

  void skip_to_next(antlr4::Parser* parser, bool in_file, bool at_least_one) const {
    const auto here = [parser] { return parser->getCurrentToken()->getTokenIndex(); };
    const auto consume_bracketed = [&] {
      const size_t index = here();
      const size_t last = is_opener(tokens_[index].kind) ? tokens_[index].partner : index;
      while (here() <= last && tokens_[here()].kind != TokenKind::end) parser->consume();
    };
    if (at_least_one && tokens_[here()].kind != TokenKind::end) consume_bracketed();
    while (tokens_[here()].kind != TokenKind::end && !begins_item(here(), in_file)) {
      if (!in_file && tokens_[here()].kind == TokenKind::right_brace) return;
      consume_bracketed();
    }
  }

  std::string_view text_;
  const Tokens& tokens_;
  std::vector<SyntaxError> errors_;
  bool recovering_ = false;
};

std::vector<std::unique_ptr<antlr4::Token>> antlr_tokens(const Tokens& tokens) {
  std::vector<std::unique_ptr<antlr4::Token>> out;
  out.reserve(tokens.size());
  for (const Token& token : tokens) {
    const bool is_end = token.kind == TokenKind::end;
    out.push_back(std::make_unique<antlr4::CommonToken>(is_end ? antlr4::Token::EOF : static_cast<size_t>(token.kind)));
  }
  return out;
}

/// Copies ANTLR's tree, children first, without recursion: left-leaning expressions are deep.
class TreeCopier {
 public:
  ParseTree copy(antlr4::ParserRuleContext* root) {
    stack_.push_back({root, 0, {}});
    while (!stack_.empty()) {
      Frame& top = stack_.back();
      if (top.next < top.context->children.size()) {
        visit(top, top.context->children[top.next++]);
      } else {
        finish();
      }
    }
    return std::move(tree_);
  }

 private:
  struct Frame {
    antlr4::ParserRuleContext* context;
    size_t next;
    std::vector<TreeChild> children;
  };

  void visit(Frame& top, antlr4::tree::ParseTree* child) {
    // There are two kinds of leaf. Asking by dynamic_cast costs as much as the rest of the copy.
    const std::type_info& type = typeid(*child);
    const bool is_error = type == typeid(antlr4::tree::ErrorNodeImpl);
    if (is_error || type == typeid(antlr4::tree::TerminalNodeImpl)) {
      if (is_error) top.context->exception = cancelled_;
      top.children.push_back({static_cast<uint32_t>(child->getSourceInterval().a), true});
    } else {
      stack_.push_back({static_cast<antlr4::ParserRuleContext*>(child), 0, {}});
    }
  }

  void finish() {
    Frame done = std::move(stack_.back());
    stack_.pop_back();
    TreeNode node;
    node.rule = static_cast<Rule>(done.context->getRuleIndex());
    node.broken = done.context->exception != nullptr;
    node.first_token = static_cast<uint32_t>(done.context->getStart()->getTokenIndex());
    node.end_token = node.first_token;
    for (const TreeChild& child : done.children) {
      node.end_token = std::max(node.end_token, child.is_token ? child.index + 1 : tree_.nodes[child.index].end_token);
    }
    node.first_child = static_cast<uint32_t>(tree_.children.size());
    tree_.children.insert(tree_.children.end(), done.children.begin(), done.children.end());
    node.end_child = static_cast<uint32_t>(tree_.children.size());
    if (!stack_.empty()) stack_.back().children.push_back({static_cast<uint32_t>(tree_.nodes.size()), false});
    tree_.nodes.push_back(node);
  }

  ParseTree tree_;
  std::vector<Frame> stack_;
  const std::exception_ptr cancelled_ = std::make_exception_ptr(antlr4::ParseCancellationException());
};

}  // namespace

Tokens antlr_tokenize(std::string_view text) {
  antlr4::ANTLRInputStream input(bytes_as_latin1(text));
  MoePolicyLexer lexer(&input);
  lexer.removeErrorListeners();  // `other` matches any byte: there is nothing to report
  Tokens tokens;
  const auto length = static_cast<uint32_t>(text.size());
  while (true) {
    const std::unique_ptr<antlr4::Token> token = lexer.nextToken();
    if (token->getType() == antlr4::Token::EOF) break;
    const auto begin = static_cast<uint32_t>(token->getStartIndex());
    uint32_t end = std::min(length, static_cast<uint32_t>(token->getStopIndex()) + 1);
    if (token->getType() == MoePolicyLexer::NUMBER) {
      end = begin + static_cast<uint32_t>(number_length(text.substr(begin, end - begin)));
      input.seek(end);
      lexer.hitEOF = end == length;
    }
    tokens.push_back({static_cast<TokenKind>(token->getType()), begin, end, 0});
  }
  tokens.push_back({TokenKind::end, length, length, 0});
  return tokens;
}

ParseOutcome antlr_parse_tokens(std::string_view text, const Tokens& tokens) {
  antlr4::ListTokenSource source(antlr_tokens(tokens));
  antlr4::CommonTokenStream stream(&source);
  MoePolicyParser parser(&stream);
  parser.removeErrorListeners();
  parser.getInterpreter<antlr4::atn::ParserATNSimulator>()->setPredictionMode(antlr4::atn::PredictionMode::SLL);
  const auto strategy = std::make_shared<ItemErrorStrategy>(text, tokens);
  parser.setErrorHandler(strategy);
  ParseOutcome outcome;
  try {
    outcome.tree = TreeCopier().copy(parser.file());
  } catch (const antlr4::ParseCancellationException&) {
    outcome.gave_up = true;
  }
  outcome.errors = strategy->take_errors();
  return outcome;
}

}  // namespace moe::test
