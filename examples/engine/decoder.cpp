// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/decoder.h"

#include <charconv>
#include <optional>

#include "examples/engine/byte_level.h"
#include "examples/engine/unicode.h"

namespace engine {
namespace {

using Strings = std::vector<std::string>;

std::string joined(const Strings& strings, std::string_view separator) {
  std::string result;
  for (const std::string& text : strings) {
    if (&text != strings.data()) result += separator;
    result += text;
  }
  return result;
}

// The byte of a token like <0x0A>.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  const size_t sign = token[3] == '+' ? 1 : 0;  // the reference library reads <0x+5> too
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3 + sign, token.data() + 5, byte, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

Strings applied(const Decoder::Replace& step, Strings strings) {
  for (std::string& text : strings) text = replace_all(text, step.pattern, step.content);
  return strings;
}

Strings applied(const Decoder::ByteFallback&, const Strings& strings) {
  Strings result;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (valid_utf8_prefix(bytes) == bytes.size()) {
      result.push_back(bytes);
    } else {  // one for each byte of the run, valid parts of it too
      result.insert(result.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (const std::string& text : strings) {
    if (const auto byte = byte_of(text)) {
      bytes += *byte;
      continue;
    }
    flush();
    result.push_back(text);
  }
  flush();
  return result;
}

Strings applied(const Decoder::Fuse&, const Strings& strings) { return {joined(strings, "")}; }

Strings applied(const Decoder::Strip& step, Strings strings) {
  for (std::string& text : strings) {
    std::string_view rest = text;
    for (uint64_t i = 0; i < step.start && rest.starts_with(step.content); ++i) rest.remove_prefix(step.content.size());
    for (uint64_t i = 0; i < step.stop && rest.ends_with(step.content); ++i) rest.remove_suffix(step.content.size());
    text = std::string(rest);
  }
  return strings;
}

Strings applied(const Decoder::ByteLevel&, const Strings& strings) {
  std::string bytes;
  // Only added tokens can have characters outside of the byte alphabet: they stand for themselves.
  for (const std::string& text : strings) bytes += bytes_from_characters(text).value_or(text);
  return {replace_invalid_utf8(bytes)};
}

Strings applied(const Metaspace& step, Strings strings) {
  for (std::string& text : strings) {
    const bool first = &text == strings.data() && step.prepend != PrependScheme::never;
    text = replace_all(text, step.replacement, first ? "" : " ");
  }
  return strings;
}

}  // namespace

std::string Decoder::apply(Strings tokens) const {
  if (steps_.empty()) return joined(tokens, " ");
  for (const Step& step : steps_) {
    tokens = std::visit([&](const auto& what) { return applied(what, std::move(tokens)); }, step);
  }
  return joined(tokens, "");
}

}  // namespace engine
