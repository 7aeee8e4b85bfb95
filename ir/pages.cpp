// SPDX-License-Identifier: Apache-2.0
#include "ir/pages.h"

#include <algorithm>

namespace moe::ir {
namespace {

constexpr std::string_view kPrefix = "MOE";
constexpr size_t kDigits = 4;

bool is_prefix(std::string_view text) {
  return std::equal(text.begin(), text.end(), kPrefix.begin(), kPrefix.end(),
                    [](char a, char b) { return a == b || a == b - 'A' + 'a'; });
}

}  // namespace

bool looks_like_code(std::string_view text) {
  if (text.size() != kDigits && text.size() != kDigits + kPrefix.size()) return false;
  const std::string_view digits = text.substr(text.size() - kDigits);
  const bool prefixed = text.size() == kDigits || is_prefix(text.substr(0, kPrefix.size()));
  return prefixed && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

const DiagnosticPage* find_page(std::string_view code) {
  if (!looks_like_code(code)) return nullptr;
  const std::string_view digits = code.substr(code.size() - kDigits);
  for (const DiagnosticPage& page : diagnostic_pages()) {
    if (page.code.ends_with(digits)) return &page;
  }
  return nullptr;
}

}  // namespace moe::ir
