// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace engine {

/// The merge table of a byte-level BPE: which neighbours join, in what order, into which token.
///
/// Cost  encode: O(n log n) for a word of n bytes, whatever the word.
class Bpe {
 public:
  /// `byte_ids`: the token of each single byte.
  explicit Bpe(const std::array<int32_t, 256>& byte_ids) : byte_ids_(byte_ids) {}

  /// `left` followed by `right` becomes `merged`. Earlier calls merge first; the last word on a pair wins.
  void add_merge(int32_t left, int32_t right, int32_t merged);

  /// Appends the tokens of one pre-tokenised word, given as bytes.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct Merge {
    uint32_t rank;
    int32_t merged;
  };
  const Merge* find(int32_t left, int32_t right) const;

  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<uint64_t, Merge> merges_;  // looked up only, never walked
  uint32_t num_added_ = 0;
};

}  // namespace engine
