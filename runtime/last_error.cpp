// SPDX-License-Identifier: Apache-2.0
#include "runtime/last_error.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "runtime/base/status_of.h"

namespace moe {
namespace {

thread_local char t_text[1024];

/// File names and JSON keys may contain anything; the text stays one line.
void flatten(char* text, size_t length) {
  for (size_t i = 0; i < length; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) text[i] = '?';
  }
  text[length] = '\0';
}

}  // namespace

moe_status fail(moe_status status, const char* format, ...) noexcept {
  va_list args;
  va_start(args, format);
  const int length = std::vsnprintf(t_text, sizeof t_text, format, args);
  va_end(args);
  flatten(t_text, std::min<size_t>(static_cast<size_t>(std::max(length, 0)), sizeof t_text - 1));
  return status;
}

moe_status fail(const Error& error) noexcept {
  const size_t length = error.message.copy(t_text, sizeof t_text - 1);
  flatten(t_text, length);
  return status_of(error.kind);
}

const char* last_error() noexcept { return t_text; }

}  // namespace moe
