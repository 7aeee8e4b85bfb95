// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/tokenizer_parts.h"

#include <fmt/core.h>

#include "examples/engine/unicode.h"

namespace engine {
namespace {

// What ByteLevel splits by when it is asked to use its own expression: GPT-2's.
constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr uint64_t kMaxStrip = UINT32_MAX;

std::string one_character(const JsonObject& part, const char* key) {
  const std::string text = part.string(key);
  if (text.empty() || utf8_length(text) != text.size()) {
    throw data_error(fmt::format("{}: `{}` is not one character", part.where(), key));
  }
  return text;
}

// Normalizers and decoders have it in common.
Normalizer::Replace read_replace(const JsonObject& part) {
  part.allow_only({"type", "pattern", "content"});
  const JsonObject pattern = part.object("pattern");
  pattern.allow_only({"String"});
  Normalizer::Replace step{pattern.string("String"), part.string("content")};
  if (step.pattern.empty()) throw data_error(pattern.where() + ": `String` is empty");
  return step;
}

PrependScheme read_prepend_scheme(const JsonObject& part) {
  // Before there were schemes: a flag, which must agree where both are.
  const bool prefix = part.boolean_or("add_prefix_space", true);
  const std::string scheme = part.string_or("prepend_scheme", prefix ? "always" : "never");
  if (!prefix && scheme != "never") {
    throw data_error(
        fmt::format("{}: `prepend_scheme` is `{}`, but `add_prefix_space` is false", part.where(), scheme));
  }
  if (scheme == "always") return PrependScheme::always;
  if (scheme == "first") return PrependScheme::first;
  if (scheme == "never") return PrependScheme::never;
  throw data_error(fmt::format("{}: `prepend_scheme` is `{}`; expected always, first or never", part.where(), scheme));
}

Metaspace read_metaspace(const JsonObject& part) {
  part.allow_only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  if (!part.has("replacement")) throw data_error(part.where() + ": Metaspace: `replacement` is missing");
  return {one_character(part, "replacement"), read_prepend_scheme(part), part.boolean_or("split", true)};
}

Regex read_split(const JsonObject& part) {
  part.allow_only({"type", "pattern", "behavior", "invert"});
  const JsonObject pattern = part.object("pattern");
  pattern.allow_only({"Regex"});
  if (part.string("behavior") != "Isolated" || part.boolean_or("invert", false)) {
    throw data_error(part.where() + ": Split is supported with behavior Isolated and invert false only");
  }
  return {pattern.string("Regex"), pattern.where()};
}

void read_byte_level(const JsonObject& part, PreTokenizer& steps) {
  // trim_offsets is about offsets, which nobody here reports.
  part.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (part.boolean_or("add_prefix_space", true)) {
    throw data_error(part.where() + ": `add_prefix_space` is not supported");
  }
  if (part.boolean_or("use_regex", true)) steps.add(Regex(kGpt2Pattern, part.where()));
  steps.add(PreTokenizer::ByteLevel{});
}

Decoder::Strip read_strip(const JsonObject& part) {
  part.allow_only({"type", "content", "start", "stop"});
  return {one_character(part, "content"), part.integer("start", 0, kMaxStrip), part.integer("stop", 0, kMaxStrip)};
}

}  // namespace

Error unsupported(const JsonObject& part, const std::string& type) {
  return data_error(fmt::format("{}: type `{}` is not supported", part.where(), type));
}

Normalizer read_normalizer(const JsonObject& part) {
  Normalizer result;
  each_part(part, "normalizers", [&](const JsonObject& step) {
    const std::string type = step.string("type");
    if (type == "NFC") {
      step.allow_only({"type"});
      result.add(Normalizer::Nfc{});
    } else if (type == "Prepend") {
      step.allow_only({"type", "prepend"});
      result.add(Normalizer::Prepend{step.string("prepend")});
    } else if (type == "Replace") {
      result.add(read_replace(step));
    } else {
      throw unsupported(step, type);
    }
  });
  return result;
}

PreTokenizerPart read_pre_tokenizer(const JsonObject& part) {
  PreTokenizerPart result;
  each_part(part, "pretokenizers", [&](const JsonObject& step) {
    const std::string type = step.string("type");
    if (result.byte_level) throw data_error(step.where() + ": nothing may follow ByteLevel");
    if (type == "Split") {
      result.steps.add(read_split(step));
    } else if (type == "Metaspace") {
      result.steps.add(read_metaspace(step));
    } else if (type == "ByteLevel") {
      read_byte_level(step, result.steps);
      result.byte_level = true;
    } else {
      throw unsupported(step, type);
    }
  });
  return result;
}

DecoderPart read_decoder(const JsonObject& part) {
  DecoderPart result;
  each_part(part, "decoders", [&](const JsonObject& step) {
    const std::string type = step.string("type");
    if (type == "Replace") {
      result.steps.add(read_replace(step));
    } else if (type == "ByteFallback") {
      result.steps.add(Decoder::ByteFallback{});
    } else if (type == "Fuse") {
      result.steps.add(Decoder::Fuse{});
    } else if (type == "Strip") {
      result.steps.add(read_strip(step));
    } else if (type == "Metaspace") {
      result.steps.add(read_metaspace(step));
    } else if (type == "ByteLevel") {
      result.steps.add(Decoder::ByteLevel{});
      result.byte_level = true;
    } else {
      throw unsupported(step, type);
    }
  });
  return result;
}

}  // namespace engine
