// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/engine/added_tokens.h"
#include "examples/engine/bpe.h"
#include "examples/engine/decoder.h"
#include "examples/engine/normalizer.h"
#include "examples/engine/pre_tokenizer.h"

namespace engine {

/// BPE as a tokenizer.json describes it: byte-level like Qwen2's, GPT-NeoX's (OLMoE) and Llama 3's, or over characters
/// with bytes to fall back on, like Llama 2's and Mixtral's.
///
/// The steps of encode: cut out added tokens, normalise, cut out the added tokens that want normalised text, cut into
/// words, merge, add the post-processor's tokens.
/// Cost     encode: O(n log n) for a text of n bytes, unless a regular expression of the file is worse.
/// Threads  any; nothing changes after loading.
class Tokenizer {
 public:
  /// Errors: machine (no such file), data (not a tokenizer.json, or one with a part that this class does not compute).
  static Tokenizer from_file(const std::filesystem::path& path);
  /// `where` names the text in messages.
  static Tokenizer from_json(std::string_view text, const std::string& where);

  /// `text` must be valid UTF-8. Errors: data (the offset of the first invalid byte, or a text that this tokenizer
  /// cannot write).
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;

  /// Ids that name no token are left out. Bytes that are not valid UTF-8 (half a character) become U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = true) const;

  /// A token as the vocabulary writes it; "" when there is none of that id.
  const std::string& token(int32_t id) const;

 private:
  friend class TokenizerReader;
  explicit Tokenizer(Bpe bpe) : bpe_(std::move(bpe)) {}

  void encode_section(std::string_view raw, bool at_start, std::vector<int32_t>& ids) const;

  AddedTokenMatcher raw_tokens_;
  Normalizer normalizer_;
  AddedTokenMatcher normalized_tokens_;
  PreTokenizer pre_tokenizer_;
  Bpe bpe_;
  Decoder decoder_;
  std::vector<int32_t> prefix_ids_, suffix_ids_;  // what the post-processor puts around a text
  std::vector<std::string> tokens_;               // by id
  std::vector<bool> special_;                     // by id
};

}  // namespace engine
