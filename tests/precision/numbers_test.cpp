// SPDX-License-Identifier: Apache-2.0
// Narrow floating-point numbers against their definition, by exact arithmetic in binary64.
#include "runtime/precision/numbers.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "replay/bytes.h"

namespace moe::precision {
namespace {

/// Bit patterns 0 .. 0x7F.. of finite numbers, by value, from sign, exponent and mantissa as the format's paper has
/// them.
std::map<double, uint32_t> finite(int mantissa_bits, int bias, uint32_t last) {
  std::map<double, uint32_t> values;
  for (uint32_t bits = 0; bits <= last; ++bits) {
    const int exponent = static_cast<int>(bits >> mantissa_bits);
    const double fraction = static_cast<double>(bits & ((1U << mantissa_bits) - 1)) / (1U << mantissa_bits);
    values[exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias)] = bits;
  }
  return values;
}

/// The pattern of the number nearest to `value` >= 0, the even one of two.
uint32_t nearest(const std::map<double, uint32_t>& values, double value) {
  const auto above = values.lower_bound(value);
  if (above == values.end()) return std::prev(above)->second;
  if (above->first == value || above == values.begin()) return above->second;
  const auto below = std::prev(above);
  const double up = above->first - value;
  const double down = value - below->first;
  if (up != down) return up < down ? above->second : below->second;
  return above->second % 2 == 0 ? above->second : below->second;
}

void check_float8(const Float8& format, uint32_t last) {
  const auto values = finite(format.mantissa_bits, format.bias, last);
  CHECK(values.rbegin()->first == format.largest);
  for (const auto& [value, bits] : values) {
    CHECK(from_float8(format, static_cast<uint8_t>(bits)) == value);
    if (bits != 0) CHECK(from_float8(format, static_cast<uint8_t>(bits | 0x80)) == -value);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const float exponent = static_cast<float>(random() % 40) - 24;
    const float value =
        std::fmin(std::ldexp(static_cast<float>(random() % 4096) / 1024, static_cast<int>(exponent)), format.largest);
    REQUIRE(to_float8(format, value) == nearest(values, value));
    const uint32_t negative = nearest(values, value) == 0 && format.unsigned_zero ? 0 : nearest(values, value) | 0x80;
    REQUIRE(to_float8(format, -value) == negative);
  }
  CHECK(std::isnan(from_float8(format, format.nan)));
  CHECK(to_float8(format, std::nanf("")) == format.nan);
}

TEST_CASE("float8: every code, and rounding") {
  check_float8(kE4m3fn, 0x7E);
  check_float8(kE5m2, 0x7B);
  check_float8(kE4m3fnuz, 0x7F);
  CHECK(std::isinf(from_float8(kE5m2, 0x7C)));
  CHECK(std::isnan(from_float8(kE5m2, 0xFD)));
  CHECK(std::isnan(from_float8(kE4m3fn, 0xFF)));
  CHECK(std::signbit(from_float8(kE4m3fn, 0x80)));
}

TEST_CASE("f16 and bf16: every pattern there and back") {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float half = from_f16(bits);
    const float brain = from_bf16(bits);
    if (std::isnan(half)) {
      CHECK(std::isnan(from_f16(to_f16(half))));
    } else {
      REQUIRE(half == replay::half_to_float(bits));
      REQUIRE(to_f16(half) == bits);
    }
    if (std::isnan(brain)) {
      CHECK(std::isnan(from_bf16(to_bf16(brain))));
    } else {
      REQUIRE(to_bf16(brain) == bits);
    }
  }
}

TEST_CASE("f16 and bf16: rounding of random numbers") {
  std::mt19937 random(2);
  const auto half = finite(10, 15, 0x7BFF);
  for (int i = 0; i < 300000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isnan(value)) continue;
    REQUIRE(to_f16(value) == replay::float_to_half(value));
    if (std::fabs(value) <= 65504) REQUIRE((to_f16(value) & 0x7FFF) == nearest(half, std::fabs(double{value})));
    const double below = from_bf16(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
    const double above = from_bf16(static_cast<uint16_t>((std::bit_cast<uint32_t>(value) >> 16) + 1));
    if (std::isinf(above) || std::isinf(value)) continue;
    const double there = from_bf16(to_bf16(value));
    CHECK((there == below || there == above));
    REQUIRE(std::fabs(there - value) == std::fmin(std::fabs(below - value), std::fabs(above - value)));
  }
  CHECK(to_bf16(std::bit_cast<float>(0x3F808000U)) == 0x3F80);  // halfway: to even
  CHECK(to_bf16(std::bit_cast<float>(0x3F818000U)) == 0x3F82);
  CHECK(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7FFFFFFFU)))));
}

}  // namespace
}  // namespace moe::precision
