// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "examples/engine/error.h"

namespace engine {
namespace {

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

// Length of the character at the front, or 0 when there is none.
size_t character(std::string_view text) {
  utf8proc_int32_t code_point = 0;
  const utf8proc_ssize_t length =
      utf8proc_iterate(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return length > 0 ? static_cast<size_t>(length) : 0;
}

// The longest prefix of an invalid sequence that could still have become a character (Unicode 15, table 3-7); at least
// one byte.
size_t invalid_part(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  size_t wanted = 0;
  if (lead >= 0xC2 && lead <= 0xDF) wanted = 2;
  if (lead >= 0xE0 && lead <= 0xEF) wanted = 3;
  if (lead >= 0xF0 && lead <= 0xF4) wanted = 4;
  // The second byte of some leads is restricted: no overlong forms, no surrogates, nothing above U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  size_t length = 1;
  while (length < wanted && length < text.size()) {
    const bool second = length == 1;
    if (byte(length) < (second ? low : 0x80) || byte(length) > (second ? high : 0xBF)) break;
    ++length;
  }
  return length;
}

}  // namespace

size_t valid_utf8_prefix(std::string_view text) {
  size_t offset = 0;
  while (offset < text.size()) {
    const size_t length = character(text.substr(offset));
    if (length == 0) break;
    offset += length;
  }
  return offset;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t valid = valid_utf8_prefix(bytes);
    text.append(bytes.substr(0, valid));
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    text += "\xEF\xBF\xBD";  // U+FFFD
    bytes.remove_prefix(invalid_part(bytes));
  }
  return text;
}

std::string normalize_nfc(std::string_view text) {
  utf8proc_uint8_t* buffer = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t size =
      utf8proc_map(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &buffer, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(buffer, std::free);
  if (size < 0) throw machine_error(std::string("text cannot be normalised: ") + utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(buffer), static_cast<size_t>(size)};
}

size_t utf8_length(std::string_view text) { return character(text); }

void append_utf8(std::string& text, uint32_t code_point) {
  utf8proc_uint8_t buffer[4];
  const utf8proc_ssize_t size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), buffer);
  text.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(size));
}

}  // namespace engine
