// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/added_tokens.h"

#include <algorithm>

namespace engine {
namespace {

unsigned char byte_at(std::string_view text, size_t index) { return static_cast<unsigned char>(text[index]); }

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  const auto same = [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (const AddedToken& token : tokens_) is_first_[byte_at(token.content, 0)] = true;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!is_first_[byte_at(text, begin)]) continue;
    if (const AddedToken* token = longest_at_front(text.substr(begin))) {
      return Match{begin, begin + token->content.size(), token->id};
    }
  }
  return std::nullopt;
}

const AddedToken* AddedTokenMatcher::longest_at_front(std::string_view text) const {
  const AddedToken* longest = nullptr;
  auto first = tokens_.begin(), last = tokens_.end();
  // All of first..last begin with the text's first `depth` bytes; one that is no longer than that comes first.
  for (size_t depth = 0;; ++depth) {
    if (first != last && first->content.size() == depth) longest = &*first++;
    if (first == last || depth == text.size()) return longest;
    const unsigned char byte = byte_at(text, depth);
    const bool all_go_on = byte_at(first->content, depth) == byte && byte_at((last - 1)->content, depth) == byte;
    if (all_go_on) continue;  // a common prefix costs no search
    first = std::lower_bound(first, last, byte, [depth](const AddedToken& token, unsigned char wanted) {
      return byte_at(token.content, depth) < wanted;
    });
    last = std::upper_bound(first, last, byte, [depth](unsigned char wanted, const AddedToken& token) {
      return wanted < byte_at(token.content, depth);
    });
  }
}

}  // namespace engine
