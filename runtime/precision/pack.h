// SPDX-License-Identifier: Apache-2.0
// The packed order of optimum-quanto: codes of rows that lie far apart share a byte.
#pragma once
#include <cstdint>
#include <vector>

namespace moe::precision {

/// Rows of bytes that `rows` rows of codes take.
constexpr uint64_t packed_rows(uint64_t rows, uint32_t bits) { return (rows * bits + 7) / 8; }

/// byte[r][c] = sum over i of codes[i * R + r][c] << (bits * i), R = packed_rows(rows, bits); rows that are not there
/// count as 0. Codes have one byte each and are below 2^bits.
std::vector<uint8_t> pack(const uint8_t* codes, uint64_t rows, uint64_t cols, uint32_t bits);

/// The reverse. `packed` has packed_rows(rows, bits) * cols bytes.
std::vector<uint8_t> unpack(const uint8_t* packed, uint64_t rows, uint64_t cols, uint32_t bits);

}  // namespace moe::precision
