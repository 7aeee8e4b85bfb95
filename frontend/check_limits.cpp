// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/check_text.h"

namespace moe::frontend {
namespace {

bool is_operator(TokenKind kind) {
  return (kind >= TokenKind::eq && kind <= TokenKind::percent) || kind == TokenKind::and_ || kind == TokenKind::or_ ||
         kind == TokenKind::not_ || kind == TokenKind::if_;
}

/// Counts how deep things stand inside one another, from the tokens alone: what deep nesting costs is not paid first.
/// Within a bracket, `-` nests until its operand, `not` until `and` or `or`, `if` until the expression ends.
class NestingCounter {
 public:
  /// Depth at `token`, itself included.
  size_t enter(TokenKind kind) {
    if (is_opener(kind)) {
      if (kind == TokenKind::left_brace) levels_.back() = {};
      levels_.push_back({});
      minuses_ = 0;
      return depth();
    }
    if (is_closer(kind)) {
      if (levels_.size() > 1) levels_.pop_back();
      if (kind == TokenKind::right_brace) levels_.back() = {};
    }
    count(kind);
    return depth();
  }

 private:
  struct Level {
    size_t nots = 0;
    size_t ifs = 0;
  };

  void count(TokenKind kind) {
    Level& level = levels_.back();
    if (kind == TokenKind::minus || kind == TokenKind::plus) {
      ++minuses_;
      return;
    }
    if (kind == TokenKind::not_) {
      ++level.nots;
      return;
    }
    if (kind == TokenKind::if_) {
      ++level.ifs;
      return;
    }
    minuses_ = 0;
    const bool ends_not = kind == TokenKind::and_ || kind == TokenKind::or_ || kind == TokenKind::then;
    const bool ends_all = kind == TokenKind::assign || kind == TokenKind::comma || kind == TokenKind::colon ||
                          kind == TokenKind::arrow || kind == TokenKind::range || kind == TokenKind::pipe;
    if (ends_not || ends_all) level.nots = 0;
    if (ends_all) level.ifs = 0;
  }

  size_t depth() const {
    size_t deep = levels_.size() - 1 + minuses_;
    for (const Level& level : levels_) deep += level.nots + level.ifs;
    return deep;
  }

  std::vector<Level> levels_{1};
  size_t minuses_ = 0;
};

}  // namespace

bool check_limits(const Tokens& tokens, ir::Diagnostics& diagnostics) {
  NestingCounter nesting;
  size_t num_policies = 0;
  size_t num_operators = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const Token& token = tokens[i];
    if (nesting.enter(token.kind) > kMaxNesting) {
      diagnostics.error("MOE1004", token.span(), fmt::format("nested more than {} deep", kMaxNesting),
                        "give parts of the expression names with `let`");
      return false;
    }
    const bool opens_policy = token.kind == TokenKind::policy && is_word(tokens[i + 1].kind);
    if (opens_policy && ++num_policies > kMaxPolicies) {
      diagnostics.error("MOE1005", token.span(), fmt::format("more than {} policies in one file", kMaxPolicies),
                        "split the file");
      return false;
    }
    if (is_operator(token.kind) && ++num_operators > kMaxExpressionNodes) {
      diagnostics.error("MOE1006", token.span(),
                        fmt::format("more than {} parts of expressions in one file", kMaxExpressionNodes),
                        "split the file");
      return false;
    }
  }
  return true;
}

}  // namespace moe::frontend
