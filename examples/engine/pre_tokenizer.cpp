// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/pre_tokenizer.h"

#include "examples/engine/byte_level.h"
#include "examples/engine/normalizer.h"

namespace engine {
namespace {

using Words = std::vector<std::string>;

void cut(const Regex& regex, const std::string& word, bool, Words& words) {
  std::vector<std::string_view> pieces;
  regex.split(word, pieces);
  words.insert(words.end(), pieces.begin(), pieces.end());
}

void cut(const Metaspace& step, const std::string& word, bool at_start, Words& words) {
  std::string text = replace_all(word, " ", step.replacement);
  const bool wanted = step.prepend == PrependScheme::always || (step.prepend == PrependScheme::first && at_start);
  if (wanted && !text.starts_with(step.replacement)) text = step.replacement + text;
  size_t begin = 0;
  while (step.split) {
    const size_t next = text.find(step.replacement, begin + 1);
    if (next == std::string::npos) break;
    words.push_back(text.substr(begin, next - begin));
    begin = next;
  }
  words.push_back(text.substr(begin));
}

void cut(const PreTokenizer::ByteLevel&, const std::string& word, bool, Words& words) {
  std::string& characters = words.emplace_back();
  for (const char byte : word) characters += byte_characters()[static_cast<unsigned char>(byte)];
}

}  // namespace

std::vector<std::string> PreTokenizer::apply(std::string_view text, bool at_start) const {
  if (text.empty()) return {};
  Words words = {std::string(text)};
  for (const Step& step : steps_) {
    Words next;
    for (size_t i = 0; i < words.size(); ++i) {
      std::visit([&](const auto& what) { cut(what, words[i], at_start && i == 0, next); }, step);
    }
    words = std::move(next);
  }
  return words;
}

}  // namespace engine
