// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace engine {

/// Offset of the first byte that is not part of valid UTF-8; text.size() when all is valid.
size_t valid_utf8_prefix(std::string_view text);

/// `bytes` with every maximal invalid part replaced by U+FFFD, as Rust's from_utf8_lossy and the Unicode Standard do.
std::string replace_invalid_utf8(std::string_view bytes);

/// Normal form C. `text` must be valid UTF-8; NUL is a character like others. Errors: machine (no memory).
std::string normalize_nfc(std::string_view text);

/// The bytes of the character that begins at `text[0]`. `text` must be valid UTF-8 and not empty.
size_t utf8_length(std::string_view text);

void append_utf8(std::string& text, uint32_t code_point);

}  // namespace engine
