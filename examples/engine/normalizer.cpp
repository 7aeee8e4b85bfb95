// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/normalizer.h"

#include <fmt/core.h>

#include "examples/engine/error.h"
#include "examples/engine/unicode.h"

namespace engine {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 26;

std::string applied(const Normalizer::Nfc&, std::string_view text) { return normalize_nfc(text); }

std::string applied(const Normalizer::Prepend& step, std::string_view text) {
  return text.empty() ? std::string() : step.text + std::string(text);
}

std::string applied(const Normalizer::Replace& step, std::string_view text) {
  return replace_all(text, step.pattern, step.content);
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string result;
  size_t begin = 0;
  for (size_t found; (found = text.find(pattern, begin)) != std::string_view::npos; begin = found + pattern.size()) {
    result.append(text.substr(begin, found - begin)).append(content);
    if (result.size() > kMaxTextBytes) {
      throw data_error(fmt::format("the tokenizer makes more than {} bytes of {}", kMaxTextBytes, text.size()));
    }
  }
  return result.append(text.substr(begin));
}

std::string Normalizer::apply(std::string_view text) const {
  std::string result(text);
  for (const Step& step : steps_) {
    result = std::visit([&](const auto& what) { return applied(what, result); }, step);
  }
  return result;
}

}  // namespace engine
