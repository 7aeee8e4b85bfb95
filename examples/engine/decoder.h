// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "examples/engine/normalizer.h"
#include "examples/engine/pre_tokenizer.h"

namespace engine {

/// Makes text of tokens: steps, in order, each from a list of strings to a list of strings.
class Decoder {
 public:
  using Replace = Normalizer::Replace;
  /// Tokens <0x00>..<0xFF> in a row become the characters they are the bytes of, or each of them U+FFFD.
  struct ByteFallback {};
  /// All become one.
  struct Fuse {};
  /// Takes up to `start` of the character `content` from the front of each, and up to `stop` from the end.
  struct Strip {
    std::string content;
    uint64_t start = 0, stop = 0;
  };
  /// All become one, each character the byte that it stands for (byte_level.h).
  struct ByteLevel {};
  /// A Metaspace turns its character into a space, or into nothing in the first string.
  using Step = std::variant<Replace, ByteFallback, Fuse, Strip, ByteLevel, Metaspace>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  /// Without a step, spaces stand between the tokens.
  /// Errors: data (the result would be absurdly long).
  std::string apply(std::vector<std::string> tokens) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace engine
