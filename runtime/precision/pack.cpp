// SPDX-License-Identifier: Apache-2.0
#include "runtime/precision/pack.h"

namespace moe::precision {

std::vector<uint8_t> pack(const uint8_t* codes, uint64_t rows, uint64_t cols, uint32_t bits) {
  const uint64_t num_bytes = packed_rows(rows, bits) * cols;
  std::vector<uint8_t> packed(num_bytes);
  // Row i * R + r goes to row r: the codes in order are walked byte after byte, R * cols of them at each bit position.
  for (uint64_t i = 0, at = 0; i < rows * cols; ++i, ++at) {
    if (at == num_bytes) at = 0;
    packed[at] = static_cast<uint8_t>(packed[at] | codes[i] << (i / num_bytes * bits));
  }
  return packed;
}

std::vector<uint8_t> unpack(const uint8_t* packed, uint64_t rows, uint64_t cols, uint32_t bits) {
  const uint64_t num_bytes = packed_rows(rows, bits) * cols;
  const uint32_t mask = (1U << bits) - 1;
  std::vector<uint8_t> codes(rows * cols);
  for (uint64_t begin = 0, shift = 0; begin < codes.size(); begin += num_bytes, shift += bits) {
    const uint64_t count = begin + num_bytes < codes.size() ? num_bytes : codes.size() - begin;
    for (uint64_t i = 0; i < count; ++i) codes[begin + i] = static_cast<uint8_t>(packed[i] >> shift & mask);
  }
  return codes;
}

}  // namespace moe::precision
