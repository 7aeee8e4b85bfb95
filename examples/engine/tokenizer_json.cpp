// SPDX-License-Identifier: Apache-2.0
// Reads a tokenizer.json. Whatever changes the result is either computed or refused by name, never ignored.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "examples/engine/byte_level.h"
#include "examples/engine/error.h"
#include "examples/engine/json_file.h"
#include "examples/engine/tokenizer.h"
#include "examples/engine/unicode.h"

namespace engine {
namespace {

constexpr size_t kMaxFileBytes = 64 << 20;
constexpr uint64_t kMaxTokenId = (1 << 21) - 1;
constexpr size_t kMaxAddedTokens = 1 << 16;

// What ByteLevel splits by when it is asked to use its own expression: GPT-2's.
constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using Vocabulary = std::unordered_map<std::string, int32_t>;

Error unsupported(const JsonObject& part, const std::string& type) {
  return data_error(fmt::format("{}: type `{}` is not supported", part.where(), type));
}

Vocabulary read_vocabulary(const JsonObject& model) {
  const JsonObject object = model.object("vocab");
  Vocabulary vocabulary;
  for (const auto& [token, id] : model.at("vocab").items()) {
    vocabulary.emplace(token, static_cast<int32_t>(to_integer(id, 0, kMaxTokenId, object.where() + ": an id")));
  }
  return vocabulary;
}

// A merge is written "a b", or ["a", "b"] by newer versions, where the parts may hold spaces.
std::pair<std::string, std::string> read_merge(const nlohmann::json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw data_error(where + " must be \"left right\" or [\"left\", \"right\"]");
}

Bpe read_bpe(const JsonObject& model, const Vocabulary& vocabulary) {
  if (model.string_or("type", "BPE") != "BPE") throw unsupported(model, model.string("type"));
  model.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                    "byte_fallback", "ignore_merges", "vocab", "merges"});
  // unk_token and fuse_unk can say anything: with all 256 bytes in the vocabulary nothing is unknown.
  if (model.has("dropout")) throw data_error(model.where() + ": `dropout` is not supported");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.string_or(key, "").empty())
      throw data_error(fmt::format("{}: `{}` is not supported", model.where(), key));
  }
  for (const char* key : {"byte_fallback", "ignore_merges"}) {
    if (model.boolean_or(key, false)) throw data_error(fmt::format("{}: `{}` is not supported", model.where(), key));
  }

  std::array<int32_t, 256> byte_ids;
  for (size_t byte = 0; byte < byte_ids.size(); ++byte) {
    const auto found = vocabulary.find(byte_characters()[byte]);
    if (found == vocabulary.end()) {
      throw data_error(fmt::format("{}: `vocab` has no token for byte 0x{:02x}; only byte-level BPE is supported",
                                   model.where(), byte));
    }
    byte_ids[byte] = found->second;
  }
  Bpe bpe(byte_ids);
  size_t index = 0;
  for (const nlohmann::json& merge : model.at("merges")) {
    const std::string where = fmt::format("{}: merge {}", model.where(), index++);
    const auto [left, right] = read_merge(merge, where);
    const auto id = [&](const std::string& token) {
      const auto found = vocabulary.find(token);
      if (found == vocabulary.end()) throw data_error(fmt::format("{}: `{}` is not in `vocab`", where, token));
      return found->second;
    };
    bpe.add_merge(id(left), id(right), id(left + right));
  }
  return bpe;
}

}  // namespace

/// Fills a Tokenizer part by part.
class TokenizerReader {
 public:
  static Tokenizer read(const JsonObject& json) {
    json.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                     "post_processor", "decoder", "model"});
    for (const char* key : {"truncation", "padding"}) {
      if (json.has(key)) throw data_error(fmt::format("{}: `{}` is not supported", json.where(), key));
    }
    const JsonObject model = json.object("model");
    const Vocabulary vocabulary = read_vocabulary(model);
    TokenizerReader reader(read_bpe(model, vocabulary));
    reader.name_tokens(vocabulary, model.where());
    if (json.has("normalizer")) {
      each_part(json.object("normalizer"), "normalizers", [&](const auto& part) { reader.read_normalizer(part); });
    }
    each_part(json.object("pre_tokenizer"), "pretokenizers",
              [&](const auto& part) { reader.read_pre_tokenizer(part); });
    if (!reader.byte_level_) {
      throw data_error(json.where() + ": `pre_tokenizer` has no ByteLevel; only byte-level BPE is supported");
    }
    if (json.has("post_processor")) {
      each_part(json.object("post_processor"), "processors",
                [&](const auto& part) { reader.read_post_processor(part); });
    }
    const JsonObject decoder = json.object("decoder");
    if (decoder.string("type") != "ByteLevel") throw unsupported(decoder, decoder.string("type"));
    if (json.has("added_tokens")) reader.read_added_tokens(json);
    return std::move(reader.result_);
  }

 private:
  explicit TokenizerReader(Bpe bpe) : result_(std::move(bpe)) {}

  void name_token(int32_t id, const std::string& token) {
    const auto index = static_cast<size_t>(id);
    if (index >= result_.tokens_.size()) {
      result_.tokens_.resize(index + 1);
      result_.special_.resize(index + 1);
    }
    result_.tokens_[index] = token;
  }

  void name_tokens(const Vocabulary& vocabulary, const std::string& where) {
    for (const auto& [token, id] : vocabulary) {
      if (!result_.token(id).empty()) throw data_error(fmt::format("{}: `vocab` has two tokens with id {}", where, id));
      name_token(id, token);
    }
  }

  // Calls `read` on a part, or on each part of a Sequence. A Sequence inside a Sequence is refused: real files have
  // none, and hostile ones could nest them without end.
  template <class Read>
  static void each_part(const JsonObject& part, const char* items_key, Read read) {
    if (part.string("type") != "Sequence") return read(part);
    part.allow_only({"type", items_key});
    for (const nlohmann::json& item : part.at(items_key)) {
      const JsonObject inner(item, part.where());
      if (inner.string("type") == "Sequence") throw unsupported(inner, "Sequence in a Sequence");
      read(inner);
    }
  }

  void read_normalizer(const JsonObject& part) {
    part.allow_only({"type"});
    if (part.string("type") != "NFC") throw unsupported(part, part.string("type"));
    result_.nfc_ = true;
  }

  void read_pre_tokenizer(const JsonObject& part) {
    const std::string type = part.string("type");
    if (byte_level_) throw data_error(part.where() + ": nothing may follow ByteLevel");
    if (type == "Split") {
      part.allow_only({"type", "pattern", "behavior", "invert"});
      const JsonObject pattern = part.object("pattern");
      pattern.allow_only({"Regex"});
      if (part.string("behavior") != "Isolated" || part.boolean_or("invert", false)) {
        throw data_error(part.where() + ": Split is supported with behavior Isolated and invert false only");
      }
      result_.splits_.emplace_back(pattern.string("Regex"), pattern.where());
    } else if (type == "ByteLevel") {
      // trim_offsets is about offsets, which this class does not report.
      part.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      if (part.boolean_or("add_prefix_space", true)) {
        throw data_error(part.where() + ": `add_prefix_space` is not supported");
      }
      if (part.boolean_or("use_regex", true)) result_.splits_.emplace_back(kGpt2Pattern, part.where());
      byte_level_ = true;
    } else {
      throw unsupported(part, type);
    }
  }

  // ByteLevel only trims offsets. TemplateProcessing puts special tokens around the text.
  void read_post_processor(const JsonObject& part) {
    const std::string type = part.string("type");
    if (type == "TemplateProcessing") {
      read_template(part);
    } else if (type != "ByteLevel") {
      throw unsupported(part, type);
    }
  }

  void read_template(const JsonObject& part) {
    std::vector<int32_t> prefix, suffix;
    bool text_seen = false;
    for (const nlohmann::json& item : part.at("single")) {
      const JsonObject piece(item, part.where() + ": `single`");
      piece.allow_only({"Sequence", "SpecialToken"});
      if (piece.has("Sequence")) {
        if (text_seen) throw data_error(piece.where() + ": the text may stand in it once only");
        text_seen = true;
        continue;
      }
      const std::string name = piece.object("SpecialToken").string("id");
      const JsonObject token = part.object("special_tokens").object(name.c_str());
      for (const nlohmann::json& id : token.at("ids")) {
        const auto value = static_cast<int32_t>(to_integer(id, 0, kMaxTokenId, token.where() + ": an id"));
        (text_seen ? suffix : prefix).push_back(value);
      }
    }
    if (!text_seen) throw data_error(part.where() + ": `single` leaves out the text");
    result_.prefix_ids_.insert(result_.prefix_ids_.begin(), prefix.begin(), prefix.end());
    result_.suffix_ids_.insert(result_.suffix_ids_.end(), suffix.begin(), suffix.end());
  }

  void read_added_tokens(const JsonObject& json) {
    const nlohmann::json& items = json.at("added_tokens");
    if (items.size() > kMaxAddedTokens) throw data_error(json.where() + ": too many `added_tokens`");
    for (const nlohmann::json& item : items) {
      const JsonObject part(item, json.where() + ": an added token");
      part.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      AddedToken token;
      token.content = part.string("content");
      token.id = static_cast<int32_t>(part.integer("id", 0, kMaxTokenId));
      token.special = part.boolean_or("special", false);
      token.normalized = part.boolean_or("normalized", !token.special);
      if (token.content.empty()) throw data_error(part.where() + ": `content` is empty");
      for (const char* key : {"single_word", "lstrip", "rstrip"}) {
        if (part.boolean_or(key, false)) throw data_error(fmt::format("{}: `{}` is not supported", part.where(), key));
      }
      name_token(token.id, token.content);
      result_.special_[static_cast<size_t>(token.id)] = token.special;
      if (token.normalized && result_.nfc_) token.content = normalize_nfc(token.content);
      (token.normalized ? result_.normalized_tokens_ : result_.raw_tokens_).add(token);
    }
  }

  Tokenizer result_;
  bool byte_level_ = false;
};

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& where) {
  const nlohmann::json object = parse_json_object(text, where);
  return TokenizerReader::read(JsonObject(object, where));
}

Tokenizer Tokenizer::from_file(const std::filesystem::path& path) {
  return from_json(read_file(path, kMaxFileBytes), path.string());
}

}  // namespace engine
