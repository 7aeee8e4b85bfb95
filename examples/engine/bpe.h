// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace engine {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
/// Token -> id.
using Vocabulary = std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>>;

/// Byte pair encoding: which neighbours join, in what order, into which token. A word begins as its characters.
///
/// Cost     encode: O(n log n) for a word of n characters, whatever the word.
/// Threads  any; nothing changes after the merges are added.
class Bpe {
 public:
  struct Options {
    std::optional<std::string> unk_token;  ///< for a character that the vocabulary lacks; nullopt: it is dropped
    bool fuse_unk = false;                 ///< one unk_token for several such characters in a row
    bool byte_fallback = false;            ///< such a character becomes its bytes <0x00>..<0xFF>, if all are tokens
    bool ignore_merges = false;            ///< a word that is a token is that token, whatever the merges
  };
  Bpe(Vocabulary vocabulary, Options options);

  /// `left` followed by `right` becomes `merged`. Earlier calls merge first; the last word on a pair wins.
  void add_merge(int32_t left, int32_t right, int32_t merged);

  std::optional<int32_t> find(std::string_view token) const;

  /// Appends the tokens of one pre-tokenised word, valid UTF-8.
  /// Errors: data (a character needs the unk_token, and that is not in the vocabulary).
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct Merge {
    uint32_t rank;
    int32_t merged;
  };
  const Merge* find_merge(int32_t left, int32_t right) const;
  std::vector<int32_t> characters(std::string_view word) const;
  bool append_bytes(std::string_view character, std::vector<int32_t>& ids) const;
  void merge(const std::vector<int32_t>& characters, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  Options options_;
  std::optional<int32_t> unk_id_;
  std::array<std::optional<int32_t>, 256> byte_ids_;  // empty without byte_fallback
  std::unordered_map<uint64_t, Merge> merges_;        // looked up only, never walked
  uint32_t num_added_ = 0;
};

}  // namespace engine
