// SPDX-License-Identifier: Apache-2.0
// The functions of expressions against long double, whose eleven further bits make it the judge; special values
// against C99's Annex F by way of the C library, and fmod, which is exact everywhere, bit for bit.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "runtime/base/math.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace moe::math::test {
namespace {

using Limits = std::numeric_limits<double>;
constexpr double kInf = Limits::infinity();
constexpr double kLeast = Limits::denorm_min();

constexpr std::array kSpecial = {0.0,
                                 1.0,
                                 0.5,
                                 2.0,
                                 3.0,
                                 2.5,
                                 10.0,
                                 1e-5,
                                 745.0,
                                 709.0,
                                 709.782712893384,
                                 745.1332191019411,
                                 746.0,
                                 1e300,
                                 0x1p52,
                                 0x1p53,
                                 0x1p53 - 1,
                                 0x1p53 + 2,
                                 0x1p64,
                                 Limits::max(),
                                 Limits::min(),
                                 kLeast,
                                 0x1.fffffffffffffp-1,
                                 0x1.0000000000001p0,
                                 0x1.6a09e667f3bcdp-1,
                                 0x1.6a09e667f3bcep-1,
                                 0x1.6a09e667f3bcdp0,
                                 kInf,
                                 Limits::quiet_NaN()};

// Errors in units of the last place of the true value.
class Errors {
 public:
  void add(double got, long double expected, double x, double y = 0) {
    const auto nearest = static_cast<double>(expected);
    if (std::isnan(nearest) || std::isinf(nearest) || nearest == 0 || std::isnan(got) || std::isinf(got)) {
      const bool same =
          (std::isnan(nearest) && std::isnan(got)) || (nearest == got && std::signbit(nearest) == std::signbit(got));
      if (same) return;
      // The judge rounds to the other side of the largest or the least double.
      const bool edge = std::fabs(static_cast<double>(expected * (1 - 0x1p-52L))) == std::fabs(got) ||
                        std::fabs(static_cast<double>(expected * (1 + 0x1p-52L))) == std::fabs(got) ||
                        std::fabs(got) == kLeast;
      CAPTURE(x);
      CAPTURE(y);
      CAPTURE(got);
      CHECK(edge);
      return;
    }
    int exponent = 0;
    std::frexp(nearest, &exponent);
    const long double ulp = std::ldexp(1.0L, std::max(exponent - 53, -1074));
    const auto error = static_cast<double>(std::fabs((got - expected) / ulp));
    if (error <= largest_) return;
    largest_ = error;
    at_ = {x, y};
  }
  ~Errors() {
    CAPTURE(at_[0]);
    CAPTURE(at_[1]);
    MESSAGE(name_, ": at most ", largest_, " ulp");
    CHECK(largest_ < 2);
  }
  explicit Errors(std::string name) : name_(std::move(name)) {}

 private:
  std::string name_;
  double largest_ = 0;
  std::array<double, 2> at_{};
};

/// Any double but infinities and NaN.
double any(std::mt19937_64& random) {
  for (;;) {
    const double x = std::bit_cast<double>(random());
    if (std::isfinite(x)) return x;
  }
}
double uniform(std::mt19937_64& random, double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random);
}

/// Special values of both signs, a dense grid and random numbers.
template <class Function, class Judge>
void compare(const char* name, Function function, Judge judge, double low, double high) {
  Errors errors(name);
  const auto check = [&](double x) { errors.add(function(x), judge(static_cast<long double>(x)), x); };
  for (const double x : kSpecial) check(x), check(-x);
  std::mt19937_64 random(4);
  constexpr int kSteps = 100000;
  for (int i = 0; i <= kSteps; ++i) check(low + (high - low) * i / kSteps);
  for (int i = 0; i < kSteps; ++i)
    check(uniform(random, low, high)), check(any(random)), check(1 + uniform(random, -1, 1) * 0x1p-20);
}

TEST_CASE("exp, log, log2 and sigmoid") {
  compare("exp", math::exp, [](long double x) { return std::exp(x); }, -750, 715);
  compare("log", math::log, [](long double x) { return std::log(x); }, 0, 4);
  compare("log2", math::log2, [](long double x) { return std::log2(x); }, 0, 4);
  // Where 1 + exp(-x) would round a small exp(x) away, the other form of the same quotient keeps it.
  compare(
      "sigmoid", math::sigmoid,
      [](long double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }, -750, 50);
  compare("sqrt", math::sqrt, [](long double x) { return std::sqrt(x); }, 0, 4);
}

TEST_CASE("log2 of a power of two is its exponent") {
  for (int n = -1074; n <= 1023; ++n) CHECK(math::log2(std::ldexp(1.0, n)) == n);
}

TEST_CASE("pow") {
  Errors errors("pow");
  const auto check = [&](double x, double y) {
    errors.add(math::pow(x, y), std::pow(static_cast<long double>(x), static_cast<long double>(y)), x, y);
  };
  std::mt19937_64 random(5);
  for (int i = 0; i < 100000; ++i) {
    check(uniform(random, 0, 4), uniform(random, -50, 50));
    check(std::fabs(any(random)), uniform(random, -3, 3));
    check(1 + uniform(random, -1, 1) * 0x1p-20, uniform(random, -7e8, 7e8));
    check(any(random), any(random));
    check(uniform(random, -10, 10), std::floor(uniform(random, -300, 300)));
  }
}

TEST_CASE("special values of pow and fmod are the C library's") {
  const auto same = [](double a, double b) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
  };
  for (const double a : kSpecial) {
    for (const double b : kSpecial) {
      for (const auto& [x, y] : {std::pair{a, b}, std::pair{a, -b}, std::pair{-a, b}, std::pair{-a, -b}}) {
        CAPTURE(x);
        CAPTURE(y);
        const double expected = std::pow(x, y);
        const bool special = !std::isfinite(expected) || expected == 0 || expected == 1 || expected == -1;
        if (special) CHECK(same(math::pow(x, y), expected));
        CHECK(same(math::fmod(x, y), std::fmod(x, y)));
      }
    }
  }
}

TEST_CASE("fmod is exact") {
  std::mt19937_64 random(6);
  for (int i = 0; i < 100000; ++i) {
    const double x = any(random), y = any(random), near = x * uniform(random, 0.001, 2);
    REQUIRE(math::fmod(x, y) == std::fmod(x, y));
    REQUIRE(math::fmod(x, near) == std::fmod(x, near));
    REQUIRE(math::fmod(uniform(random, -100, 100), 7) >= -7);
  }
  CHECK(math::fmod(Limits::max(), kLeast) == 0);
}

TEST_CASE("over samples") {
  const auto at = [](const std::vector<double>& samples) { return [&samples](uint32_t i) { return samples[i]; }; };
  const std::vector<double> none, one = {5}, line = {1, 3, 5, 7}, bent = {2, 2, 8};
  CHECK(std::isnan(average(0, at(none))));
  CHECK(std::isnan(largest(0, at(none))));
  CHECK(std::isnan(slope(0, at(none))));
  CHECK(average(1, at(one)) == 5);
  CHECK(std::isnan(slope(1, at(one))));
  CHECK(average(4, at(line)) == 4);
  CHECK(largest(4, at(line)) == 7);
  CHECK(slope(4, at(line)) == 2);
  CHECK(slope(3, at(bent)) == 3);
}

}  // namespace
}  // namespace moe::math::test
