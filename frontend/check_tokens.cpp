// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/check_text.h"
#include "frontend/number.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

// A file of garbage has a wrong character every few bytes; nobody reads more than this many findings.
constexpr size_t kMaxTokenErrors = 100;

class TokenChecker {
 public:
  TokenChecker(std::string_view text, ir::Diagnostics& diagnostics) : text_(text), diagnostics_(diagnostics) {}

  Tokens check(const Tokens& tokens) {
    for (const Token& token : tokens) {
      if (keep(token)) kept_.push_back(token);
    }
    return std::move(kept_);
  }

 private:
  void error(std::string_view code, ir::SourceSpan span, std::string message, std::string hint = "") {
    if (num_errors_++ < kMaxTokenErrors) diagnostics_.error(code, span, std::move(message), std::move(hint));
  }

  bool keep(const Token& token) {
    switch (token.kind) {
      case TokenKind::number:
        kept_.push_back(check_number(token));
        return false;
      case TokenKind::unterminated:
        error("MOE1011", token.span(), "the string has no closing `\"`", "end it on the same line");
        kept_.push_back({TokenKind::string, token.begin, token.end, 0});
        return false;
      case TokenKind::block_comment:
        error("MOE1012", token.span(), "`/* */` comments are not part of the language",
              "begin each line of the comment with `#`");
        return false;
      case TokenKind::foreign:
      case TokenKind::other:
        stray(token);
        return false;
      default:
        return true;
    }
  }

  void stray(const Token& token) {
    const std::string_view word = text_of(text_, token);
    std::string hint = "remove it";
    if (word.find("\xE2\x80\x9C") != std::string_view::npos || word.find("\xE2\x80\x9D") != std::string_view::npos) {
      hint = "write strings in plain double quotes";
    } else if (word == "&") {
      hint = "write `and`";
    } else if (word == "!") {
      hint = "write `not`";
    } else if (word == "'") {
      hint = "write strings in double quotes";
    }
    error("MOE1010", token.span(), fmt::format("unexpected character {}", quote(word)), hint);
  }

  // The token to go on with: where the number is wrong, one that stands for what was meant.
  Token check_number(const Token& token) {
    const std::string_view word = text_of(text_, token);
    if (!kept_.empty() && names_something(kept_.back().kind)) {
      error("MOE1015", token.span(), fmt::format("the name {} begins with a digit", quote(word)),
            "begin names with a letter or `_`");
      return {TokenKind::name, token.begin, token.end, 0};
    }
    const NumberText number = parse_number(word);
    if (number.problem == NumberProblem::none) return token;
    if (number.problem == NumberProblem::too_large) {
      error("MOE1014", token.span(), fmt::format("{} is too large for a number", quote(word)));
    } else {
      wrong_unit(token, number.unit_text);
    }
    return {TokenKind::missing, token.begin, token.end, 0};
  }

  static bool names_something(TokenKind kind) {
    return kind == TokenKind::policy || kind == TokenKind::extends || kind == TokenKind::param ||
           kind == TokenKind::let;
  }

  void wrong_unit(const Token& token, std::string_view unit) {
    const ir::SourceSpan span{token.end - static_cast<uint32_t>(unit.size()), token.end};
    error("MOE1013", span, fmt::format("{} is not a unit", quote(unit)),
          suggest(unit, unit_words(), "units are " + list_words(unit_words(), "and")));
  }

  std::string_view text_;
  ir::Diagnostics& diagnostics_;
  Tokens kept_;
  size_t num_errors_ = 0;
};

}  // namespace

Tokens check_tokens(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics) {
  return TokenChecker(text, diagnostics).check(tokens);
}

}  // namespace moe::frontend
