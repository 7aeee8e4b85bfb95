// SPDX-License-Identifier: Apache-2.0
#include "frontend/text.h"

#include <fmt/format.h>

#include "ir/diagnostics.h"

namespace moe::frontend {

std::string quote(std::string_view text) {
  constexpr size_t kMaxQuoted = 40;
  if (text.size() <= kMaxQuoted) return fmt::format("`{}`", text);
  size_t cut = kMaxQuoted;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;  // not inside a character
  return fmt::format("`{}...`", text.substr(0, cut));
}

std::string list_words(const std::vector<std::string_view>& words, std::string_view last) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? fmt::format(" {} ", last) : std::string(", ");
    out += quote(words[i]);
  }
  return out;
}

std::string suggest(std::string_view word, const std::vector<std::string_view>& candidates, std::string otherwise) {
  const std::string_view nearest = ir::nearest_word(word, candidates);
  return nearest.empty() ? std::move(otherwise) : fmt::format("did you mean `{}`?", nearest);
}

std::string number_text(double value) { return fmt::format("{}", value); }

}  // namespace moe::frontend
