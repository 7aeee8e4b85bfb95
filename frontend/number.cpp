// SPDX-License-Identifier: Apache-2.0
#include "frontend/number.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace moe::frontend {
namespace {

struct UnitRow {
  Unit unit;
  std::string_view word;
  Dimension dimension;
  double factor;
  bool divides = false;  // a factor below one is not exact: 7 / 100, not 7 * 0.01
};

constexpr std::array kUnits = {
    UnitRow{Unit::none, "", Dimension::plain, 1},
    UnitRow{Unit::percent, "%", Dimension::ratio, 100, true},
    UnitRow{Unit::us, "us", Dimension::time, 1e3, true},
    UnitRow{Unit::ms, "ms", Dimension::time, 1},
    UnitRow{Unit::s, "s", Dimension::time, 1e3},
    UnitRow{Unit::B, "B", Dimension::size, 1},
    UnitRow{Unit::KB, "KB", Dimension::size, 1e3},
    UnitRow{Unit::MB, "MB", Dimension::size, 1e6},
    UnitRow{Unit::GB, "GB", Dimension::size, 1e9},
    UnitRow{Unit::KiB, "KiB", Dimension::size, 1024},
    UnitRow{Unit::MiB, "MiB", Dimension::size, 1024.0 * 1024},
    UnitRow{Unit::GiB, "GiB", Dimension::size, 1024.0 * 1024 * 1024},
    UnitRow{Unit::GB_per_s, "GB/s", Dimension::rate, 1},
};

const UnitRow& row_of(Unit unit) { return kUnits[static_cast<size_t>(unit)]; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Length of the number without its unit. An `e` belongs to it only if digits follow.
size_t digits_length(std::string_view text) {
  size_t i = 0;
  const auto skip_digits = [&] {
    while (i < text.size() && (is_digit(text[i]) || (text[i] == '_' && i + 1 < text.size() && is_digit(text[i + 1])))) {
      ++i;
    }
  };
  skip_digits();
  if (i < text.size() && text[i] == '.') ++i;
  skip_digits();
  if (i >= text.size() || (text[i] != 'e' && text[i] != 'E')) return i;
  size_t exponent = i + 1;
  if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
  if (exponent >= text.size() || !is_digit(text[exponent])) return i;
  i = exponent;
  skip_digits();
  return i;
}

bool has_negative_exponent(std::string_view digits) {
  const size_t e = digits.find_first_of("eE");
  return e != std::string_view::npos && e + 1 < digits.size() && digits[e + 1] == '-';
}

}  // namespace

Dimension dimension_of(Unit unit) { return row_of(unit).dimension; }
double in_base_units(double value, Unit unit) {
  const UnitRow& row = row_of(unit);
  return row.divides ? value / row.factor : value * row.factor;
}
std::string_view to_word(Unit unit) { return row_of(unit).word; }

std::vector<std::string_view> unit_words() {
  std::vector<std::string_view> words;
  for (const UnitRow& row : kUnits) {
    if (row.unit != Unit::none && row.unit != Unit::percent) words.push_back(row.word);
  }
  return words;
}

NumberText parse_number(std::string_view text) {
  NumberText number;
  const size_t length = digits_length(text);
  number.unit_text = text.substr(length);
  std::string digits(text.substr(0, length));
  std::erase(digits, '_');
  number.digits_only = std::all_of(digits.begin(), digits.end(), is_digit);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number.value);
  if (error == std::errc::result_out_of_range) {
    // Either end of the range: a number too small to be told from 0 is 0.
    if (has_negative_exponent(digits)) {
      number.value = 0;
    } else {
      number.problem = NumberProblem::too_large;
    }
  }
  const auto* row = std::find_if(kUnits.begin(), kUnits.end(),
                                 [&](const UnitRow& candidate) { return candidate.word == number.unit_text; });
  if (row == kUnits.end()) {
    number.problem = NumberProblem::unit;
  } else {
    number.unit = row->unit;
  }
  return number;
}

}  // namespace moe::frontend
