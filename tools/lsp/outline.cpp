// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/outline.h"

#include <algorithm>

namespace moe::lsp {
namespace {

using frontend::is_word;
using frontend::text_of;
using frontend::Token;
using frontend::TokenKind;
using frontend::Tokens;

class OutlineReader {
 public:
  OutlineReader(std::string_view text, const Tokens& tokens) : text_(text), tokens_(tokens) {}

  Outline read() {
    for (uint32_t i = 0; i < tokens_.size(); ++i) {
      if (const uint32_t body = body_of_policy(i)) {
        begin_policy(i, body);
        i = body - 1;
      } else if (kind(i) == TokenKind::import && kind(i + 1) == TokenKind::string && outline_.policies.empty()) {
        const SourceSpan span = tokens_[i + 1].span();
        outline_.imports.push_back({std::string(text_.substr(span.begin + 1, span.end - span.begin - 2)), span});
      } else if (!outline_.policies.empty()) {
        read_declaration(i, outline_.policies.back());
      }
    }
    if (!outline_.policies.empty()) outline_.policies.back().end_token = static_cast<uint32_t>(tokens_.size());
    return std::move(outline_);
  }

 private:
  TokenKind kind(uint32_t i) const { return i < tokens_.size() ? tokens_[i].kind : TokenKind::end; }
  std::string word(uint32_t i) const { return std::string(text_of(text_, tokens_[i])); }

  // `policy NAME {` and `policy NAME extends NAME {` begin a policy wherever they stand: so a bracket that is not
  // closed yet does not swallow the rest of the file. The first token of the body, or 0.
  uint32_t body_of_policy(uint32_t i) const {
    if (kind(i) != TokenKind::policy || !is_word(kind(i + 1))) return 0;
    if (kind(i + 2) == TokenKind::left_brace) return i + 3;
    const bool extends = kind(i + 2) == TokenKind::extends && is_word(kind(i + 3));
    return extends && kind(i + 4) == TokenKind::left_brace ? i + 5 : 0;
  }

  void begin_policy(uint32_t i, uint32_t body) {
    if (!outline_.policies.empty()) outline_.policies.back().end_token = i;
    PolicyOutline policy;
    policy.policy = {word(i + 1), tokens_[i + 1].span(), {tokens_[i].begin, tokens_[body - 2].end}};
    if (kind(i + 2) == TokenKind::extends) policy.base = word(i + 3);
    policy.first_token = body;
    outline_.policies.push_back(std::move(policy));
  }

  void read_declaration(uint32_t i, PolicyOutline& policy) const {
    if (!is_word(kind(i + 1))) return;
    if (kind(i) == TokenKind::tier && kind(i + 2) == TokenKind::left_brace) {
      policy.tiers.push_back(declared(i, line_end(i)));
    } else if (kind(i + 2) == TokenKind::assign) {
      if (kind(i) == TokenKind::param) policy.params.push_back(declared(i, line_end(i)));
      if (kind(i) == TokenKind::let) policy.lets.push_back(declared(i, line_end(i)));
    }
  }

  Declared declared(uint32_t i, uint32_t end) const {
    return {word(i + 1), tokens_[i + 1].span(), {tokens_[i].begin, end}};
  }

  // Of a long line only its beginning: it is shown to people.
  uint32_t line_end(uint32_t i) const {
    constexpr size_t kMostShown = 200;
    const std::string_view rest = text_.substr(tokens_[i].begin, kMostShown);
    size_t length = std::min(rest.find_first_of("\r\n#"), rest.size());
    while (length > 0 && (rest[length - 1] == ' ' || rest[length - 1] == '\t')) --length;
    while (length > 0 && length < text_.size() - tokens_[i].begin &&
           (static_cast<unsigned char>(text_[tokens_[i].begin + length]) & 0xC0U) == 0x80) {
      --length;  // not inside a character
    }
    return tokens_[i].begin + static_cast<uint32_t>(length);
  }

  std::string_view text_;
  const Tokens& tokens_;
  Outline outline_;
};

}  // namespace

const PolicyOutline* Outline::policy_at(uint32_t token) const {
  const auto after = std::partition_point(policies.begin(), policies.end(),
                                          [&](const PolicyOutline& policy) { return policy.first_token <= token; });
  return after == policies.begin() ? nullptr : &*(after - 1);
}

const PolicyOutline* Outline::find(std::string_view name) const {
  const auto found = std::find_if(policies.begin(), policies.end(),
                                  [&](const PolicyOutline& policy) { return policy.policy.name == name; });
  return found == policies.end() ? nullptr : &*found;
}

Outline read_outline(std::string_view text, const Tokens& tokens) { return OutlineReader(text, tokens).read(); }

const Declared* find_declared(const std::vector<Declared>& list, std::string_view name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Declared& d) { return d.name == name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace moe::lsp
