// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/context.h"

#include <algorithm>

#include "tools/lsp/brackets.h"

namespace moe::lsp {
namespace {

using frontend::is_closer;
using frontend::is_word;
using frontend::Token;
using frontend::TokenKind;
using frontend::Tokens;
using enum frontend::TokenKind;

class ContextReader {
 public:
  ContextReader(const Snapshot& snapshot, uint32_t offset)
      : snapshot_(snapshot), tokens_(snapshot.tokens()), offset_(offset) {}

  Context read() {
    find_word();
    if (in_comment() || in_literal()) return context_;
    if (before_ > 0 && kind(before_ - 1) == extends) return at(Spot::base);
    const PolicyOutline* policy = before_ == 0 ? nullptr : snapshot_.outline().policy_at(before_);
    if (policy == nullptr || before_ > policy->end_token) return outside();
    context_.policy = policy;
    brackets_ = read_brackets(snapshot_, policy->first_token, before_);
    if (brackets_.too_deep) return at(Spot::nothing);
    return brackets_.open.empty() ? outside() : inside();
  }

 private:
  TokenKind kind(size_t i) const { return i < tokens_.size() ? tokens_[i].kind : TokenKind::end; }
  std::string_view word(size_t i) const { return snapshot_.text(tokens_[i]); }

  bool is_cursor(uint32_t i) const { return i == before_ && context_.word.begin < context_.word.end; }

  Context at(Spot spot) {
    context_.spot = spot;
    return std::move(context_);
  }

  Context outside() {
    const TokenKind previous = before_ == 0 ? TokenKind::end : kind(before_ - 1);
    context_.policy = nullptr;
    const bool names = previous == TokenKind::policy || previous == import || previous == version;
    return at(names ? Spot::nothing : Spot::file);
  }

  // before_: the tokens that end before the word, or before the place where there is none.
  void find_word() {
    const auto after = std::partition_point(tokens_.begin(), tokens_.end() - 1,
                                            [&](const Token& token) { return token.end < offset_; });
    auto found = after;
    if (!is_word(found->kind) && found->end == offset_ && found->kind != TokenKind::end && is_word((found + 1)->kind) &&
        (found + 1)->begin == offset_) {
      ++found;
    }
    const bool touches = is_word(found->kind) && found->begin <= offset_;
    if (!touches && found->kind != TokenKind::end && found->end <= offset_) ++found;
    before_ = static_cast<uint32_t>(found - tokens_.begin());
    context_.token = before_;
    context_.word = touches ? found->span() : SourceSpan{offset_, offset_};
  }

  // Comments are no tokens: one that holds the place begins between the last token and it, on the same line.
  bool in_comment() const {
    const uint32_t from = before_ == 0 ? 0 : tokens_[before_ - 1].end;
    if (from >= context_.word.begin) return false;
    std::string_view gap = snapshot_.text({from, context_.word.begin});
    gap.remove_prefix(std::min(gap.size(), gap.find_last_of("\r\n") + 1));
    return gap.find('#') != std::string_view::npos || gap.find("//") != std::string_view::npos;
  }

  bool in_literal() {
    const Token& token = tokens_[before_];
    const bool number_before = before_ > 0 && kind(before_ - 1) == number && tokens_[before_ - 1].end == offset_;
    if (number_before && context_.word.begin == context_.word.end) return true;
    const bool inside = token.begin < offset_ && offset_ < token.end;
    if (!inside || is_word(token.kind)) {
      const bool open = before_ > 0 && kind(before_ - 1) == unterminated && tokens_[before_ - 1].end >= offset_;
      return open;
    }
    const bool imports = token.kind == string && before_ > 0 && kind(before_ - 1) == import;
    if (imports) context_.spot = Spot::import_path;
    return true;
  }

  Context inside() {
    const std::vector<OpenBracket>& open = brackets_.open;
    size_t braces = open.size() - 1;
    while (kind(open[braces].token) != left_brace) --braces;
    context_.block = open[braces].name;
    body_ = open[braces].token + 1;
    if (braces + 1 < open.size()) return in_group(open[braces + 1].token);
    if (before_ == body_) return at_item();
    return after(before_ - 1);
  }

  Context at_item() {
    size_t depth = 0;
    for (uint32_t i = body_; i + 1 < tokens_.size(); ++i) {
      if (kind(i) == left_brace) ++depth;
      if (kind(i) == right_brace && depth-- == 0) break;
      const bool is_key = depth == 0 && is_word(kind(i)) && kind(i + 1) == assign && !is_cursor(i);
      if (is_key) context_.used.push_back(word(i));
    }
    return at(context_.block.empty() ? Spot::member : Spot::item);
  }

  // Directly behind token `last` of the innermost braces.
  Context after(uint32_t last) {
    const TokenKind previous = kind(last);
    if (previous == assign) return in_value(last);
    if (previous == pipe || previous == colon) return governed(last, Spot::value);
    if (previous == dot && last > body_) return after_dot(last);
    if (previous == arrow) return at(context_.block == "miss" ? Spot::action : Spot::tier);
    if (previous == comma) return governed(last, Spot::expression);
    if (last > body_ && is_count_of_stretch(last)) return one_word("for");
    if (wants_operand(previous)) {
      if (previous == else_ && context_.block == "miss") return at(Spot::nothing);
      return governed(last, Spot::expression);
    }
    if (is_word(previous) && after_keyword(last)) return std::move(context_);
    context_.after_operand = true;
    context_.in_condition = governor(last) == TokenKind::when;
    return at_item();
  }

  bool is_count_of_stretch(uint32_t last) const {
    const TokenKind opener = kind(last - 1);
    return kind(last) == number && (opener == for_ || opener == every);
  }

  Context after_dot(uint32_t dot_token) {
    context_.key_block = word(dot_token - 1);
    return at(Spot::block_key);
  }

  Context one_word(std::string_view keyword) {
    context_.key = keyword;
    return at(Spot::word);
  }

  // After a word that opens something; false when it is an operand.
  bool after_keyword(uint32_t last) {
    const bool is_operand = last > body_ && (wants_operand(kind(last - 1)) || kind(last - 1) == assign);
    if (is_operand) return false;
    switch (kind(last)) {
      case when:
        condition(last);
        return true;
      case by:
        condition(last);
        return true;
      case use:
      case choose:
        at_spot(Spot::policy);
        return true;
      case rebalance:
      case trigger:
      case on:
      case TokenKind::phase:
        context_.key = word(last);
        at_spot(Spot::word);
        return true;
      case promote:
      case demote:
        at_spot(Spot::tier);
        return true;
      case signal:
      case for_:
      case every:
      case cooldown:
      case explore:
      case layers:
      case tier:
      case param:
      case let:
      case in:
      case step:
        at_spot(Spot::nothing);
        return true;
      default:
        return false;
    }
  }

  void at_spot(Spot spot) { context_.spot = spot; }

  void condition(uint32_t when_token) {
    at_spot(Spot::expression);
    context_.place = place_of_condition(when_token);
  }

  frontend::Place place_of_condition(uint32_t when_token) const {
    if (context_.block == "miss") return frontend::kMissPlace;
    const bool moves = context_.block == "tiers" && key_before(when_token).empty();
    return moves ? frontend::kEvictPlace : frontend::kAdaptPlace;
  }

  // The key of a short form `key = a : b when E`, as the word before the nearest `=`.
  std::string_view key_before(uint32_t from) const {
    const uint32_t equals = find_back(from, {assign});
    return equals == 0 ? std::string_view() : word(equals - 1);
  }

  // The nearest token of these kinds before `from` in the innermost braces, groups skipped; 0 if none.
  uint32_t find_back(uint32_t from, std::initializer_list<TokenKind> kinds) const {
    for (uint32_t i = from; i > body_;) {
      --i;
      if (std::find(kinds.begin(), kinds.end(), kind(i)) != kinds.end()) return i;
      if (kind(i) == right_brace) return 0;
      if (is_closer(kind(i)) && brackets_.opener_of[i] >= body_) i = brackets_.opener_of[i];
    }
    return 0;
  }

  TokenKind governor(uint32_t last) const {
    const uint32_t found = find_back(last + 1, {assign, when, choose, by, in});
    return found == 0 ? TokenKind::end : kind(found);
  }

  // Inside an item that goes on behind token `last`: by what opened it.
  Context governed(uint32_t last, Spot spot) {
    const uint32_t found = find_back(last + 1, {assign, when, choose, by});
    if (found == 0) return at(Spot::nothing);
    const bool call = found > body_ && kind(found - 1) == assign;  // `admit = when`
    if (kind(found) == assign || call) {
      const uint32_t equals = kind(found) == assign ? found : found - 1;
      if (spot == Spot::value) return in_value(equals);
      name_key(equals);
      return expression_of_key();
    }
    if (kind(found) == choose) return at(Spot::policy);
    condition(found);
    return std::move(context_);
  }

  // The key, or declaration, before `=`.
  void name_key(uint32_t equals) {
    if (equals <= body_) return;
    const uint32_t name = equals - 1;
    const TokenKind opener = name > body_ ? kind(name - 1) : TokenKind::end;
    if (opener == let) {
      context_.place = frontend::kAllPlaces;
      return;
    }
    if (opener == param) return;
    context_.key = word(name);
    context_.key_block = context_.block;
    if (opener == dot && name > body_ + 1) context_.key_block = word(name - 2);
    if (context_.key_block == kRuleBraces || context_.key_block == "warn" || context_.key_block == "shed") {
      const frontend::ActionKey action = frontend::find_action_key(context_.key);
      if (action.block != nullptr) context_.key_block = action.block->name;
    }
  }

  Context in_value(uint32_t equals) {
    name_key(equals);
    if (context_.place == frontend::kAllPlaces) return at(Spot::expression);
    if (!context_.key.empty() && is_expression_key()) return expression_of_key();
    return at(Spot::value);
  }

  bool is_expression_key() const {
    return context_.key == "when" || frontend::contains_word("gpu_time cpu_time cpu_setup load_time", context_.key);
  }

  Context expression_of_key() {
    if (context_.place != frontend::kAllPlaces) context_.place = place_of_key();
    return at(Spot::expression);
  }

  frontend::Place place_of_key() const {
    const std::string_view key = context_.key;
    if (key == "admit") return frontend::kAdmitPlace;
    if (key == "when") return frontend::kPrefetchPlace;
    if (key == "drop" || key == "order" || is_expression_key()) return frontend::kMissPlace;
    if (frontend::contains_word("eviction evict precision strategy", key)) return frontend::kEvictPlace;
    return frontend::kConstantPlace;
  }

  // Inside parentheses or brackets, the outermost of which is token `outer`.
  Context in_group(uint32_t outer) {
    const uint32_t inner = brackets_.open.back().token;
    context_.in_list = kind(inner) == left_bracket;
    if (before_ > inner + 1 && context_.in_list && kind(before_ - 1) != comma && kind(before_ - 1) != colon)
      return at(Spot::nothing);
    const bool operand = before_ == inner + 1 || wants_operand(kind(before_ - 1)) || kind(before_ - 1) == comma ||
                         kind(before_ - 1) == colon;
    if (outer == body_) return at(Spot::nothing);
    if (context_.in_list) return governed(outer - 1, Spot::value);
    if (kind(inner - 1) == name && word(inner - 1) == "hottest") return governed(outer - 1, Spot::value);
    context_.after_operand = !operand;
    return governed(outer - 1, Spot::expression);
  }

  const Snapshot& snapshot_;
  const Tokens& tokens_;
  uint32_t offset_;
  uint32_t before_ = 0;
  uint32_t body_ = 0;  // first token of the innermost braces
  Brackets brackets_;
  Context context_;
};

}  // namespace

Context context_at(const Snapshot& snapshot, uint32_t offset) { return ContextReader(snapshot, offset).read(); }

const frontend::KeySpec* key_of(const Context& context) {
  const frontend::BlockSpec* block = frontend::find_block(context.key_block);
  return block == nullptr ? nullptr : frontend::find_key(*block, context.key);
}

}  // namespace moe::lsp
