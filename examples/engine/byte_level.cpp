// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/byte_level.h"

#include <cstdint>

#include "examples/engine/unicode.h"

namespace engine {
namespace {

constexpr uint32_t kFirstStandIn = 0x100;

bool stands_for_itself(uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

std::array<std::string, 256> make_characters() {
  std::array<std::string, 256> characters;
  uint32_t stand_in = kFirstStandIn;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    append_utf8(characters[byte], stands_for_itself(byte) ? byte : stand_in++);
  }
  return characters;
}

}  // namespace

const std::array<std::string, 256>& byte_characters() {
  static const std::array<std::string, 256> characters = make_characters();
  return characters;
}

std::optional<std::string> bytes_from_characters(std::string_view text) {
  // All characters of the alphabet are one or two bytes of UTF-8: index them by those.
  static const auto bytes = [] {
    std::array<int16_t, 0x10000> table;
    table.fill(-1);
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const std::string& c = byte_characters()[byte];
      const auto first = static_cast<unsigned char>(c[0]);
      table[c.size() == 1 ? first : size_t{first} << 8 | static_cast<unsigned char>(c[1])] = static_cast<int16_t>(byte);
    }
    return table;
  }();
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t length = first < 0x80 ? 1 : 2;
    if (i + length > text.size()) return std::nullopt;
    const int16_t byte = bytes[length == 1 ? first : size_t{first} << 8 | static_cast<unsigned char>(text[i + 1])];
    if (byte < 0) return std::nullopt;
    result += static_cast<char>(byte);
    i += length;
  }
  return result;
}

}  // namespace engine
