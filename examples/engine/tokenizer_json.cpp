// SPDX-License-Identifier: Apache-2.0
// Reads a tokenizer.json. Whatever changes the result is either computed or refused by name, never ignored.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "examples/engine/byte_level.h"
#include "examples/engine/error.h"
#include "examples/engine/json_file.h"
#include "examples/engine/tokenizer.h"
#include "examples/engine/tokenizer_parts.h"

namespace engine {
namespace {

constexpr size_t kMaxFileBytes = 64 << 20;
constexpr uint64_t kMaxTokenId = (1 << 21) - 1;
constexpr size_t kMaxAddedTokens = 1 << 16;

constexpr size_t kMaxAddedTokenBytes = 1024;  // every place of a text may have to be compared with one

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

// Requires a `type` that is BPE.
Bpe::Options read_options(const JsonObject& model) {
  model.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                    "byte_fallback", "ignore_merges", "vocab", "merges"});
  // A dropout makes training texts vary; 0 is none.
  if (model.has("dropout") && model.at("dropout") != 0.0) {
    throw data_error(model.where() + ": `dropout` is not supported");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.string_or(key, "").empty())
      throw data_error(fmt::format("{}: `{}` is not supported", model.where(), key));
  }
  Bpe::Options options;
  if (model.has("unk_token")) options.unk_token = model.string("unk_token");
  options.fuse_unk = model.boolean_or("fuse_unk", false);
  options.byte_fallback = model.boolean_or("byte_fallback", false);
  options.ignore_merges = model.boolean_or("ignore_merges", false);
  return options;
}

void read_merges(const JsonObject& model, Bpe& bpe) {
  size_t index = 0;
  for (const nlohmann::json& merge : model.at("merges")) {
    const std::string where = fmt::format("{}: merge {}", model.where(), index++);
    const auto [left, right] = read_merge(merge, where);
    const auto id = [&](const std::string& token) {
      const auto found = bpe.find(token);
      if (!found) throw data_error(fmt::format("{}: `{}` is not in `vocab`", where, token));
      return *found;
    };
    bpe.add_merge(id(left), id(right), id(left + right));
  }
}

// With all bytes in the vocabulary nothing is unknown, and unk_token and fuse_unk can say anything.
void check_byte_level(const JsonObject& model, const Bpe& bpe) {
  for (size_t byte = 0; byte < 256; ++byte) {
    if (bpe.find(byte_characters()[byte])) continue;
    throw data_error(
        fmt::format("{}: `vocab` has no token for byte 0x{:02x}, which ByteLevel needs", model.where(), byte));
  }
  if (model.boolean_or("byte_fallback", false)) {
    throw data_error(model.where() + ": `byte_fallback` has no meaning after ByteLevel");
  }
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
    if (model.string_or("type", "BPE") != "BPE") throw unsupported(model, model.string("type"));
    Vocabulary vocabulary = read_vocabulary(model);
    TokenizerReader reader(Bpe(vocabulary, read_options(model)));
    read_merges(model, reader.result_.bpe_);
    reader.name_tokens(vocabulary, model.where());
    reader.read_steps(json);
    if (json.has("post_processor")) {
      each_part(json.object("post_processor"), "processors",
                [&](const auto& part) { reader.read_post_processor(part); });
    }
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

  void read_steps(const JsonObject& json) {
    if (json.has("normalizer")) result_.normalizer_ = read_normalizer(json.object("normalizer"));
    bool byte_level = false, decodes_byte_level = false;
    if (json.has("pre_tokenizer")) {
      PreTokenizerPart part = read_pre_tokenizer(json.object("pre_tokenizer"));
      result_.pre_tokenizer_ = std::move(part.steps);
      byte_level = part.byte_level;
    }
    if (json.has("decoder")) {
      DecoderPart part = read_decoder(json.object("decoder"));
      result_.decoder_ = std::move(part.steps);
      decodes_byte_level = part.byte_level;
    }
    if (byte_level != decodes_byte_level) {
      throw data_error(json.where() + ": `pre_tokenizer` and `decoder` must both have ByteLevel, or neither");
    }
    if (byte_level) check_byte_level(json.object("model"), result_.bpe_);
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
    std::vector<AddedToken> raw, normalized;
    for (const nlohmann::json& item : items) {
      const JsonObject part(item, json.where() + ": an added token");
      part.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      AddedToken token;
      token.content = part.string("content");
      token.id = static_cast<int32_t>(part.integer("id", 0, kMaxTokenId));
      token.special = part.boolean_or("special", false);
      token.normalized = part.boolean_or("normalized", !token.special);
      if (token.content.empty()) throw data_error(part.where() + ": `content` is empty");
      if (token.content.size() > kMaxAddedTokenBytes) {
        throw data_error(fmt::format("{}: `content` is longer than {} bytes", part.where(), kMaxAddedTokenBytes));
      }
      for (const char* key : {"single_word", "lstrip", "rstrip"}) {
        if (part.boolean_or(key, false)) throw data_error(fmt::format("{}: `{}` is not supported", part.where(), key));
      }
      // As the text has it: the decoder undoes what the normalizer did.
      if (token.normalized) token.content = result_.normalizer_.apply(token.content);
      name_token(token.id, token.content);
      result_.special_[static_cast<size_t>(token.id)] = token.special;
      if (token.content.empty()) continue;  // nothing of it is left to be found
      (token.normalized ? normalized : raw).push_back(std::move(token));
    }
    result_.raw_tokens_ = AddedTokenMatcher(std::move(raw));
    result_.normalized_tokens_ = AddedTokenMatcher(std::move(normalized));
  }

  Tokenizer result_;
};

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& where) {
  const nlohmann::json object = parse_json_object(text, where);
  return TokenizerReader::read(JsonObject(object, where));
}

Tokenizer Tokenizer::from_file(const std::filesystem::path& path) {
  return from_json(read_file(path, kMaxFileBytes), path.string());
}

}  // namespace engine
