// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace moe {

namespace detail {
constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    table[byte] = crc;
  }
  return table;
}
inline constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();
}  // namespace detail

/// CRC-32C (Castagnoli), reflected; `crc` continues an earlier result.
inline uint32_t crc32c(const void* data, size_t size, uint32_t crc = 0) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ detail::kCrcTable[(crc ^ bytes[i]) & 0xFF];
  return ~crc;
}

}  // namespace moe
