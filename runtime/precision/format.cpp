// SPDX-License-Identifier: Apache-2.0
#include "runtime/precision/format.h"

namespace moe::precision {
namespace {

constexpr FormatInfo kFormats[] = {
    {Format::native, "none", 0, false, nullptr},
    {Format::qint8, "qint8", 8, false, nullptr},
    {Format::qint4, "qint4", 4, true, nullptr},
    {Format::qint2, "qint2", 2, true, nullptr},
    {Format::f8_e4m3fn, "qfloat8_e4m3fn", 8, false, &kE4m3fn},
    {Format::f8_e5m2, "qfloat8_e5m2", 8, false, &kE5m2},
    {Format::f8_e4m3fnuz, "qfloat8_e4m3fnuz", 8, false, &kE4m3fnuz},
    {Format::hadamard4, "hadamard4", 4, false, nullptr},
};

}  // namespace

const FormatInfo& info(Format format) { return kFormats[static_cast<size_t>(format)]; }

std::optional<Format> find_format(std::string_view name) {
  if (name == "qfloat8") return Format::f8_e4m3fn;
  for (const FormatInfo& known : kFormats) {
    if (name == known.name || (known.name[0] == 'q' && name == known.name.substr(1))) return known.format;
  }
  return std::nullopt;
}

}  // namespace moe::precision
