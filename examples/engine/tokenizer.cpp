// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/tokenizer.h"

#include <fmt/core.h>

#include "examples/engine/error.h"
#include "examples/engine/unicode.h"

namespace engine {
namespace {

// Calls `between` on what lies between added tokens, with where it begins, and appends the tokens' own ids.
template <class Between>
void cut_out(const AddedTokenMatcher& matcher, std::string_view text, std::vector<int32_t>& ids, Between between) {
  size_t begin = 0;
  while (const auto match = matcher.find(text, begin)) {
    between(text.substr(begin, match->begin - begin), begin);
    ids.push_back(match->id);
    begin = match->end;
  }
  between(text.substr(begin), begin);
}

}  // namespace

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  const size_t valid = valid_utf8_prefix(text);
  if (valid < text.size()) throw data_error(fmt::format("the text is not valid UTF-8 at byte {}", valid));
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = prefix_ids_;
  cut_out(raw_tokens_, text, ids,
          [&](std::string_view section, size_t begin) { encode_section(section, begin == 0, ids); });
  if (add_special_tokens) ids.insert(ids.end(), suffix_ids_.begin(), suffix_ids_.end());
  return ids;
}

void Tokenizer::encode_section(std::string_view raw, bool at_start, std::vector<int32_t>& ids) const {
  const std::string normal = normalizer_.apply(raw);
  cut_out(normalized_tokens_, normal, ids, [&](std::string_view text, size_t begin) {
    for (const std::string& word : pre_tokenizer_.apply(text, at_start && begin == 0)) bpe_.encode(word, ids);
  });
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokens_.size() || token(id).empty()) continue;
    if (skip_special_tokens && special_[static_cast<size_t>(id)]) continue;
    tokens.push_back(token(id));
  }
  return decoder_.apply(std::move(tokens));
}

const std::string& Tokenizer::token(int32_t id) const {
  static const std::string nothing;
  return id >= 0 && static_cast<size_t>(id) < tokens_.size() ? tokens_[static_cast<size_t>(id)] : nothing;
}

}  // namespace engine
