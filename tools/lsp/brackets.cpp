// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/brackets.h"

#include "frontend/limits.h"

namespace moe::lsp {
namespace {

using frontend::TokenKind;
using enum frontend::TokenKind;

bool is_count_unit(std::string_view word) { return word == "accesses" || word == "dispatches" || word == "tokens"; }

class BracketReader {
 public:
  BracketReader(const Snapshot& snapshot, uint32_t first, uint32_t end)
      : snapshot_(snapshot), tokens_(snapshot.tokens()), first_(first), end_(end) {}

  Brackets read() {
    brackets_.opener_of.assign(tokens_.size(), 0);
    brackets_.open.push_back({first_ - 1, {}});
    for (uint32_t i = first_; i < end_; ++i) {
      if (is_opener(kind(i))) brackets_.open.push_back({i, kind(i) == left_brace ? name_of(i) : std::string_view()});
      if (is_closer(kind(i))) close(i);
      // The limit also bounds what one closer costs.
      brackets_.too_deep = brackets_.open.size() > 2 * frontend::kMaxNesting;
      if (brackets_.open.empty() || brackets_.too_deep) break;
    }
    return std::move(brackets_);
  }

 private:
  TokenKind kind(uint32_t i) const { return tokens_[i].kind; }
  std::string_view word(uint32_t i) const { return snapshot_.text(tokens_[i]); }

  void close(uint32_t closer) {
    for (size_t depth = brackets_.open.size(); depth-- > 0;) {
      const uint32_t opener = brackets_.open[depth].token;
      if (closer_of(kind(opener)) != kind(closer)) continue;
      brackets_.opener_of[closer] = opener;
      brackets_.open.resize(depth);
      return;
    }
  }

  std::string_view name_of(uint32_t brace) const {
    if (brackets_.open.back().name == "adapt") return kRuleBraces;
    const uint32_t last = brace - 1;
    if (!frontend::is_word(kind(last))) return name_from_head(brace);
    const TokenKind label = kind(last - 1);
    if (label == tier) return "tier";
    if (label == on) return word(last);
    if (label == phase) return "phase";
    if (is_count_unit(word(last)) || wants_operand(label)) return kRuleBraces;
    return word(last);
  }

  // Braces behind an expression: a band of layers, or a rule.
  std::string_view name_from_head(uint32_t brace) const {
    for (uint32_t i = brace; i-- > brackets_.open.back().token;) {
      if (kind(i) == layers) return "layers";
      if (kind(i) == left_brace || kind(i) == right_brace || kind(i) == assign) break;
    }
    return kRuleBraces;
  }

  const Snapshot& snapshot_;
  const frontend::Tokens& tokens_;
  uint32_t first_;
  uint32_t end_;
  Brackets brackets_;
};

}  // namespace

bool wants_operand(TokenKind kind) {
  switch (kind) {
    case plus:
    case minus:
    case star:
    case slash:
    case percent:
    case eq:
    case ne:
    case lt:
    case le:
    case gt:
    case ge:
    case and_:
    case or_:
    case not_:
    case if_:
    case then:
    case else_:
    case range:
      return true;
    default:
      return false;
  }
}

Brackets read_brackets(const Snapshot& snapshot, uint32_t first, uint32_t end) {
  return BracketReader(snapshot, first, end).read();
}

}  // namespace moe::lsp
