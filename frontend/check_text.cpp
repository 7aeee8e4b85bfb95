// SPDX-License-Identifier: Apache-2.0
#include "frontend/check_text.h"

#include <fmt/format.h>

namespace moe::frontend {
namespace {

// Length of the well-formed UTF-8 character at `i`, or 0. Surrogates, overlong forms and > U+10FFFF are malformed.
size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0U; };
  const auto follows = [&](size_t k, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(k) >= low && byte(k) <= high;
  };
  const unsigned lead = byte(i);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(i + 1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = follows(i + 1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && follows(i + 2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = follows(i + 1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && follows(i + 2) && follows(i + 3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

void report_if_too_many(ir::Diagnostics& diagnostics) {
  if (!too_many(diagnostics)) return;
  diagnostics.error("MOE1008", {},
                    fmt::format("more than {} findings; the rest of the file was not checked", kMaxFindings));
}

size_t byte_order_mark_length(std::string_view text) { return text.starts_with("\xEF\xBB\xBF") ? 3 : 0; }

bool check_text(std::string_view text, ir::Diagnostics& diagnostics) {
  if (text.size() > kMaxFileBytes) {
    diagnostics.error("MOE1001", {}, fmt::format("the file has {} bytes, more than 1 MiB", text.size()),
                      "split it: one file per group of policies");
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const auto begin = static_cast<uint32_t>(i);
    if (length == 0) {
      diagnostics.error("MOE1002", {begin, begin + 1}, "the file is not valid UTF-8", "save it as UTF-8");
      return false;
    }
    if (text[i] == '\0') {
      diagnostics.error("MOE1003", {begin, begin + 1}, "the file contains a NUL byte", "save it as UTF-8 text");
      return false;
    }
    i += length;
  }
  return true;
}

}  // namespace moe::frontend
