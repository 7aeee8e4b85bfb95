// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/tokenizer.h"

#include <fmt/core.h>

#include <algorithm>

#include "examples/engine/byte_level.h"
#include "examples/engine/error.h"
#include "examples/engine/unicode.h"

namespace engine {
namespace {

// Calls `between` on what lies between added tokens, and appends the tokens' own ids.
template <class Between>
void cut_out(const AddedTokenMatcher& matcher, std::string_view text, std::vector<int32_t>& ids, Between between) {
  size_t begin = 0;
  while (const auto match = matcher.find(text, begin)) {
    between(text.substr(begin, match->begin - begin));
    ids.push_back(match->id);
    begin = match->end;
  }
  between(text.substr(begin));
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token) {
  auto& candidates = by_first_byte_[token.content.front()];
  const auto shorter = std::find_if(candidates.begin(), candidates.end(),
                                    [&](const auto& other) { return other.first.size() < token.content.size(); });
  candidates.emplace(shorter, token.content, token.id);
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, size_t from) const {
  if (by_first_byte_.empty()) return std::nullopt;
  for (size_t begin = from; begin < text.size(); ++begin) {
    const auto candidates = by_first_byte_.find(text[begin]);
    if (candidates == by_first_byte_.end()) continue;
    for (const auto& [content, id] : candidates->second) {
      if (text.substr(begin).starts_with(content)) return Match{begin, begin + content.size(), id};
    }
  }
  return std::nullopt;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  const size_t valid = valid_utf8_prefix(text);
  if (valid < text.size()) throw data_error(fmt::format("the text is not valid UTF-8 at byte {}", valid));
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = prefix_ids_;
  cut_out(raw_tokens_, text, ids, [&](std::string_view section) { encode_section(section, ids); });
  if (add_special_tokens) ids.insert(ids.end(), suffix_ids_.begin(), suffix_ids_.end());
  return ids;
}

void Tokenizer::encode_section(std::string_view raw, std::vector<int32_t>& ids) const {
  if (raw.empty()) return;
  const std::string normal = nfc_ ? normalize_nfc(raw) : std::string(raw);
  cut_out(normalized_tokens_, normal, ids, [&](std::string_view text) { encode_words(text, ids); });
}

void Tokenizer::encode_words(std::string_view text, std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  std::vector<std::string_view> words = {text};
  for (const Regex& regex : splits_) {
    std::vector<std::string_view> pieces;
    for (const std::string_view word : words) regex.split(word, pieces);
    words = std::move(pieces);
  }
  for (const std::string_view word : words) bpe_.encode(word, ids);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokens_.size()) continue;
    if (skip_special_tokens && special_[static_cast<size_t>(id)]) continue;
    const std::string& written = token(id);
    // Only added tokens can have characters outside of the byte alphabet: they stand for themselves.
    bytes += bytes_from_characters(written).value_or(written);
  }
  return replace_invalid_utf8(bytes);
}

const std::string& Tokenizer::token(int32_t id) const {
  static const std::string nothing;
  return id >= 0 && static_cast<size_t>(id) < tokens_.size() ? tokens_[static_cast<size_t>(id)] : nothing;
}

}  // namespace engine
