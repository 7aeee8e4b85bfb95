// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "examples/engine/bpe.h"
#include "examples/engine/regex.h"

namespace engine {

/// A token that is cut out of the text before anything else happens to it.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;     ///< decode can leave it out
  bool normalized = false;  ///< looked for after normalisation, not before
};

/// Finds added tokens in a text: leftmost first, the longest of those that begin there.
class AddedTokenMatcher {
 public:
  void add(const AddedToken& token);
  struct Match {
    size_t begin, end;
    int32_t id;
  };
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  // Candidates by their first byte, longest first.
  std::unordered_map<char, std::vector<std::pair<std::string, int32_t>>> by_first_byte_;
};

/// Byte-level BPE as Qwen2 and GPT-NeoX (OLMoE) use it, read from a tokenizer.json.
///
/// The steps of encode: cut out added tokens, normalise (NFC or nothing), cut out the added tokens that want normalised
/// text, split by regular expressions, merge bytes, add the post-processor's tokens.
/// Threads  any; nothing changes after loading.
class Tokenizer {
 public:
  /// Errors: machine (no such file), data (not a tokenizer.json, or one with a part that this class does not compute).
  static Tokenizer from_file(const std::filesystem::path& path);
  /// `where` names the text in messages.
  static Tokenizer from_json(std::string_view text, const std::string& where);

  /// `text` must be valid UTF-8. Errors: data (the offset of the first invalid byte).
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;

  /// Ids that name no token are left out. Bytes that are not valid UTF-8 (half a character) become U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = true) const;

  /// A token as the vocabulary writes it; "" when there is none of that id.
  const std::string& token(int32_t id) const;

 private:
  friend class TokenizerReader;
  explicit Tokenizer(Bpe bpe) : bpe_(std::move(bpe)) {}

  void encode_section(std::string_view raw, std::vector<int32_t>& ids) const;
  void encode_words(std::string_view text, std::vector<int32_t>& ids) const;

  Bpe bpe_;
  bool nfc_ = false;
  std::vector<Regex> splits_;  // each cuts the pieces of the one before
  AddedTokenMatcher raw_tokens_;
  AddedTokenMatcher normalized_tokens_;
  std::vector<int32_t> prefix_ids_, suffix_ids_;  // what the post-processor puts around a text
  std::vector<std::string> tokens_;               // by id
  std::vector<bool> special_;                     // by id
};

}  // namespace engine
