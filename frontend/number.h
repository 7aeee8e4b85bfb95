// SPDX-License-Identifier: Apache-2.0
// Numbers with units, as the source writes them.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace moe::frontend {

enum class Unit : uint8_t { none, percent, us, ms, s, B, KB, MB, GB, KiB, MiB, GiB, GB_per_s };

/// What a unit measures; a number without one is `plain`.
enum class Dimension : uint8_t { plain, ratio, time, size, rate };

Dimension dimension_of(Unit unit);

/// `value` of `unit` in the language's own measure: a fraction, milliseconds, bytes or GB/s. One multiplication or
/// division.
double in_base_units(double value, Unit unit);

/// "ms"; "%" for per cent, "" for none.
std::string_view to_word(Unit unit);

/// The units that are words, for suggestions.
std::vector<std::string_view> unit_words();

enum class NumberProblem : uint8_t { none, unit, too_large };

/// A number's text taken apart.
struct NumberText {
  double value = 0;          ///< as written, without the unit
  bool digits_only = false;  ///< written without point and exponent
  Unit unit = Unit::none;
  std::string_view unit_text;  ///< the run of letters after the digits
  NumberProblem problem = NumberProblem::none;
};

/// `text` is one NUMBER token of the grammar. Independent of the locale.
NumberText parse_number(std::string_view text);

}  // namespace moe::frontend
