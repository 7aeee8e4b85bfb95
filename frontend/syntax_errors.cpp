// SPDX-License-Identifier: Apache-2.0
#include "frontend/syntax_errors.h"

#include <fmt/format.h>

#include "frontend/text.h"

namespace moe::frontend {
namespace {

class Describer {
 public:
  Describer(std::string_view text, const Tokens& tokens, ir::Diagnostics& diagnostics)
      : text_(text), tokens_(tokens), diagnostics_(diagnostics) {}

  void describe(const SyntaxError& error) {
    const Token& token = tokens_[error.token];
    if (error.rule == Rule::file || error.rule == Rule::file_item) return outside_policy(error.token);
    if (token.kind == TokenKind::assign && is_condition(error.rule)) {
      diagnostics_.error("MOE1027", token.span(), "`=` gives a key its value and does not compare", "write `==`");
      return;
    }
    if (token.kind == TokenKind::assign && lost_value(error.token)) {
      const Token& key = tokens_[error.token - 2];
      diagnostics_.error("MOE1025", key.span(), fmt::format("{} has no value", word(key)),
                         fmt::format("write `{} = ...`", text_of(text_, key)));
      return;
    }
    std::string hint;
    if (token.kind == TokenKind::number && error.token > 0 && tokens_[error.token - 1].kind == TokenKind::number &&
        tokens_[error.token - 1].end == token.begin) {
      hint = "a number has one decimal point";
    }
    diagnostics_.error(
        "MOE1020", token.span(),
        fmt::format("expected {}, found {}", expected(error.rule, error.token), name_token(text_, token)),
        std::move(hint));
  }

 private:
  std::string word(const Token& token) const { return quote(text_of(text_, token)); }

  static bool is_condition(Rule rule) { return rule == Rule::when_item || rule == Rule::value || rule == Rule::expr; }

  // `capacity  eviction = lru`: the error is found at `=`, the value was left out before `eviction`.
  bool lost_value(uint32_t at) const {
    if (at < 2 || !is_word(tokens_[at - 1].kind)) return false;
    return is_word(tokens_[at - 2].kind) && (at < 3 || tokens_[at - 3].kind != TokenKind::assign);
  }

  void outside_policy(uint32_t at) {
    const Token& token = tokens_[at];
    if (at > 0 && tokens_[at].kind == TokenKind::number && tokens_[at - 1].kind == TokenKind::number) {
      diagnostics_.error("MOE1020", token.span(),
                         fmt::format("the version is one number, found another: {}", word(token)), "write `version 2`");
      return;
    }
    if (is_word(token.kind) && tokens_[at + 1].kind == TokenKind::left_brace) {
      diagnostics_.error("MOE1030", token.span(), fmt::format("{} stands outside of a policy", word(token)),
                         fmt::format("put it inside `policy NAME {{ ... }}`"));
      return;
    }
    const std::string hint =
        is_word(token.kind) ? suggest(text_of(text_, token), {"policy", "import", "version"}) : std::string();
    diagnostics_.error("MOE1020", token.span(),
                       fmt::format("expected `policy NAME {{ ... }}`, found {}", name_token(text_, token)), hint);
  }

  std::string expected(Rule rule, uint32_t at) const {
    switch (rule) {
      case Rule::version:
        return "a number after `version`";
      case Rule::import_file:
        return "a file name in double quotes after `import`";
      case Rule::policy:
        return tokens_[at - 1].kind == TokenKind::policy ? "a name after `policy`" : "`{` after the policy's name";
      case Rule::policy_body:
      case Rule::member:
        return "a block such as `cache { ... }`";
      case Rule::param:
      case Rule::domain:
        return "`param NAME = value` and, if any, `in [a, b]` or `in low .. high`";
      case Rule::let:
        return "`let NAME = expression`";
      case Rule::labelled:
      case Rule::block:
        return fmt::format("`{{` or `=` after {}", at > 0 ? name_token(text_, tokens_[at - 1]) : "it");
      case Rule::band:
        return "a range of layers such as `0..3`";
      case Rule::when_item:
        return "`{`, `->` or `for` after the condition";
      case Rule::for_clause:
        return "a number and `accesses`, `dispatches` or `tokens` after `for`";
      case Rule::cooldown:
        return "a number after `cooldown`";
      case Rule::else_arm:
        return "`-> action` after `else`";
      case Rule::choose:
        return "`choose A, B by expression every N dispatches`";
      case Rule::move:
        return "`promote A -> B` and `when condition` or `on evict`";
      case Rule::value:
        return "`when condition` after the second value";
      case Rule::list:
      case Rule::element:
        return "`,` or `]`";
      case Rule::ladder:
      case Rule::rung:
        return "`precision = by (expression) [ bf16 >= 0.5, int4 ]`";
      case Rule::entry:
      case Rule::chain:
      case Rule::operand:
      case Rule::bound:
      case Rule::expr:
      case Rule::bad_sign:
        return "a value";
      default:
        return "`key = value` or a block";
    }
  }

  std::string_view text_;
  const Tokens& tokens_;
  ir::Diagnostics& diagnostics_;
};

}  // namespace

std::string name_token(std::string_view text, const Token& token) {
  if (token.kind == TokenKind::end) return "the end of the file";
  if (token.kind == TokenKind::missing && token.begin == token.end) return "nothing";
  if (token.begin == token.end) return "the end of the block";  // a bracket that was added
  return quote(text_of(text, token));
}

void report_syntax_errors(std::string_view text, const Tokens& tokens, const ParseOutcome& outcome,
                          ir::Diagnostics& diagnostics) {
  Describer describer(text, tokens, diagnostics);
  for (const SyntaxError& error : outcome.errors) describer.describe(error);
  if (outcome.gave_up) {
    diagnostics.error("MOE1007", tokens.back().span(),
                      fmt::format("more than {} syntax errors; the rest of the file was not read", kMaxSyntaxErrors));
  }
}

}  // namespace moe::frontend
