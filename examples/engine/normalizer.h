// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace engine {

/// What is done to a text before it is cut into words: steps, in order. Invalid UTF-8 never comes in.
class Normalizer {
 public:
  /// Unicode's normal form C.
  struct Nfc {};
  /// Puts `text` before a text that is not empty.
  struct Prepend {
    std::string text;
  };
  /// Puts `content` in the place of every `pattern` (not empty).
  struct Replace {
    std::string pattern, content;
  };
  using Step = std::variant<Nfc, Prepend, Replace>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  /// Errors: data (the result would be absurdly long).
  std::string apply(std::string_view text) const;

 private:
  std::vector<Step> steps_;
};

/// `text` with `content` in the place of every `pattern`, from the left. `pattern` is not empty.
/// Errors: data (the result would be absurdly long: a tokenizer.json may ask for anything).
std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content);

}  // namespace engine
