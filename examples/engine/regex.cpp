// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "examples/engine/regex.h"

#include <fmt/core.h>
#include <pcre2.h>

#include <new>

#include "examples/engine/error.h"
#include "examples/engine/unicode.h"

namespace engine {
namespace {

struct Freer {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

// PCRE2's `\s` also takes U+180E, which left White_Space in Unicode 6.3; so the set is written out. `\S` inside a class
// stays PCRE2's: no set inside a class can say it.
std::string with_unicode_space(std::string_view pattern) {
  constexpr std::string_view kSpace =
      "\\t-\\r\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = c == '\\' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 's') {
      result += in_class ? std::string(kSpace) : fmt::format("[{}]", kSpace);
    } else if (next == 'S' && !in_class) {
      result += fmt::format("[^{}]", kSpace);
    } else {
      result += c;
      if (next != '\0') result += next;
      if (next == '\0' && c == '[') in_class = true;
      if (next == '\0' && c == ']') in_class = false;
    }
    if (next != '\0') ++i;
  }
  return result;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Freer> pattern;
  std::string where;
};

Regex::Regex(std::string_view pattern, const std::string& where) {
  const std::string text = with_unicode_space(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP,
                                   &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR reason[128];
    pcre2_get_error_message(error, reason, sizeof reason);
    throw data_error(fmt::format("{}: the pattern does not compile: {}", where, reinterpret_cast<const char*>(reason)));
  }
  code_ = std::make_shared<const Code>(Code{std::unique_ptr<pcre2_code, Freer>(code), where});
}

void Regex::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const std::unique_ptr<pcre2_match_data, Freer> match(
      pcre2_match_data_create_from_pattern(code_->pattern.get(), nullptr));
  if (!match) throw std::bad_alloc();
  const auto add = [&](size_t begin, size_t end) {
    if (begin < end) pieces.push_back(text.substr(begin, end - begin));
  };
  size_t piece = 0;   // end of the last match
  size_t search = 0;  // where to look for the next
  while (search < text.size()) {
    const int status = pcre2_match(code_->pattern.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), search,
                                   PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (status == PCRE2_ERROR_NOMATCH) break;
    if (status < 0) throw data_error(code_->where + ": the pattern takes too long on this text");
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    if (range[1] == range[0]) {  // an empty match separates nothing: step over one character
      search = range[1] < text.size() ? range[1] + utf8_length(text.substr(range[1])) : text.size();
      continue;
    }
    add(piece, range[0]);
    add(range[0], range[1]);
    piece = search = range[1];
  }
  add(piece, text.size());
}

}  // namespace engine
