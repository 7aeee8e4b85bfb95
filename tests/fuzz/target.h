// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target is one LLVMFuzzerTestOneInput; libFuzzer drives it in the preset `fuzz`, and
// standalone.cpp in every other build.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace moe::test {

/// Ends the program with a message when an invariant does not hold, so that an engine keeps the input.
void require(bool holds, std::string_view what);

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace moe::test
