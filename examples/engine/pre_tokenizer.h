// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "examples/engine/regex.h"

namespace engine {

/// When Metaspace puts its character before a text that does not begin with it.
enum class PrependScheme { always, first, never };

/// How SentencePiece writes spaces: as a visible character, and one before the text.
struct Metaspace {
  std::string replacement;  ///< one character, usually U+2581
  PrependScheme prepend = PrependScheme::always;
  bool split = true;  ///< cut before every `replacement`
};

/// Cuts a text into the words that are merged each by itself, and writes them as the vocabulary does: steps, in order.
class PreTokenizer {
 public:
  /// Writes each byte as one character (byte_level.h).
  struct ByteLevel {};
  /// A Regex cuts into its matches and what lies between them.
  using Step = std::variant<Regex, Metaspace, ByteLevel>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  /// `at_start`: nothing stands before `text`, neither other text nor an added token. No word is empty.
  /// Errors: data (a pattern backtracks without end).
  std::vector<std::string> apply(std::string_view text, bool at_start) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace engine
