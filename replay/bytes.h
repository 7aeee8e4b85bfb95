// SPDX-License-Identifier: Apache-2.0
// Little-endian numbers, binary16 and CRC-32C: what the binary formats of this folder are made of.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace moe::replay {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little endian and read by memcpy");

using Bytes = std::span<const uint8_t>;

/// The number at `offset`. Requires offset + sizeof(T) <= bytes.size().
template <class T>
T read_le(Bytes bytes, size_t offset) {
  static_assert(std::is_arithmetic_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

/// All of `bytes` as numbers; a remainder shorter than one is left out.
template <class T>
std::vector<T> read_all_le(Bytes bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

template <class T>
void append_le(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

/// Whether [offset, offset + size) lies within `total`; never overflows.
inline bool fits(uint64_t offset, uint64_t size, uint64_t total) { return offset <= total && size <= total - offset; }

/// IEEE binary16 to binary32, exactly.
float half_to_float(uint16_t half);
/// Rounds to nearest, ties to even; beyond the range becomes infinite.
uint16_t float_to_half(float value);

/// CRC-32C (Castagnoli), reflected, of `bytes`; `crc` continues an earlier result.
uint32_t crc32c(Bytes bytes, uint32_t crc = 0);

inline Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

}  // namespace moe::replay
