// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace engine {

/// GPT-2's alphabet: tokenizer.json writes each of the 256 bytes as a printable character, so that vocabulary and
/// merges are text. Printable Latin-1 stands for itself; the other 68 bytes are U+0100 and up (a space is U+0120).
const std::array<std::string, 256>& byte_characters();

/// The bytes that `text`, in that alphabet, stands for; nullopt if a character is outside of it.
std::optional<std::string> bytes_from_characters(std::string_view text);

}  // namespace engine
