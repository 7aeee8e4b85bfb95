// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

/// A token that is cut out of the text before anything else happens to it.
struct AddedToken {
  std::string content;  ///< not empty
  int32_t id = 0;
  bool special = false;     ///< decode can leave it out
  bool normalized = false;  ///< looked for after normalisation, not before
};

/// Finds added tokens in a text: leftmost first, the longest of those that begin there.
///
/// Cost  find: for each byte it passes, at most the longest token's length times the logarithm of their number.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  /// Of tokens with the same content the first counts.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  struct Match {
    size_t begin, end;
    int32_t id;
  };
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  const AddedToken* longest_at_front(std::string_view text) const;

  std::vector<AddedToken> tokens_;    // ascending by content, no two the same
  std::array<bool, 256> is_first_{};  // whether a token begins with the byte
};

}  // namespace engine
