// SPDX-License-Identifier: Apache-2.0
// The formats that weights are kept in. Names and numbers are those of optimum-quanto 0.2.7 where it has the format.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/precision/numbers.h"

namespace moe::precision {

enum class Format : uint8_t {
  native,       ///< as the checkpoint has it: f32, f16, bf16
  qint8,        ///< symmetric, a scale per row
  qint4,        ///< affine, a scale and a shift per group
  qint2,        ///< the same
  f8_e4m3fn,    ///< symmetric, a scale per row
  f8_e5m2,      ///< the same
  f8_e4m3fnuz,  ///< the same
  hadamard4,    ///< rows rotated, then symmetric, a scale per 32 numbers
};

struct FormatInfo {
  Format format;
  std::string_view name;  ///< as commands and quanto_qmap.json have it
  uint32_t bits;          ///< of one code; 0: those of the dtype
  bool affine;            ///< has a shift, and groups
  const Float8* float8;   ///< nullptr: codes are whole numbers
};

const FormatInfo& info(Format format);

/// By its name, or by the short one, such as `int8` or `qfloat8` (which is qfloat8_e4m3fn).
std::optional<Format> find_format(std::string_view name);

}  // namespace moe::precision
