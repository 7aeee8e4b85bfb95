// SPDX-License-Identifier: Apache-2.0
// The parts that make the engine's numbers the same everywhere: conversions, routing, sampling.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <moe/moe.h>

#include <bit>
#include <cmath>
#include <limits>

#include "examples/engine/convert.h"
#include "examples/engine/ops.h"
#include "examples/engine/router.h"
#include "examples/engine/sampler.h"
#include "tests/engine/support.h"

using engine::Matrix;

namespace {

Matrix matrix(size_t rows, size_t cols, std::vector<float> values) {
  Matrix m(rows, cols);
  m.values = std::move(values);
  return m;
}

// What the 16 bits mean, by the definition of binary16.
double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  const double magnitude = exponent == 31  ? (mantissa ? std::nan("") : std::numeric_limits<double>::infinity())
                           : exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE("every half and bfloat becomes its exact fp32") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    // Odd addresses: tensors are aligned to a byte only.
    unsigned char bytes[3];
    std::memcpy(bytes + 1, &half, 2);
    float from_half = 0, from_bfloat = 0;
    engine::widen(MOE_F16, bytes + 1, 1, &from_half);
    engine::widen(MOE_BF16, bytes + 1, 1, &from_bfloat);
    const double expected = half_value(half);
    const bool same = std::isnan(expected) ? std::isnan(from_half) : from_half == expected;
    REQUIRE_MESSAGE(same, "half ", bits);
    REQUIRE(std::signbit(from_half) == (bits >> 15 != 0));
    REQUIRE(std::bit_cast<uint32_t>(from_bfloat) == bits << 16);
  }
  CHECK(engine::dtype_bytes(MOE_OTHER) == 0);
}

TEST_CASE("routing: falling probability, ties to the lower id") {
  const auto routing = engine::route(matrix(2, 4, {0, 1, 1, 0, 5, 5, 5, 5}), 3, false);
  CHECK(routing.ids == std::vector<int32_t>{1, 2, 0, 0, 1, 2});
  CHECK(routing.weights[3] == 0.25F);
  const auto scaled = engine::route(matrix(1, 4, {5, 5, 5, 5}), 2, true);
  CHECK(scaled.weights == std::vector<float>{0.5F, 0.5F});
  CHECK(scaled.probabilities.values == std::vector<float>(4, 0.25F));
}

TEST_CASE("a router that is not finite is an error, not undefined order") {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const std::string message = engine_test::error_of([&] { engine::route(matrix(1, 2, {0, bad}), 1, false); });
    CHECK(message.find("not finite") != std::string::npos);
  }
}

TEST_CASE("a forecast takes each expert's best token") {
  const auto forecast = engine::forecast(matrix(2, 3, {9, 0, 0, 0, 0, 9}), 2);
  CHECK(forecast.ids == std::vector<int32_t>{0, 2});
  CHECK(forecast.probabilities[0] == forecast.probabilities[1]);
  CHECK(engine::forecast(matrix(1, 3, {1, 2, 3}), 8).ids == std::vector<int32_t>{2, 1, 0});
}

TEST_CASE("products do not depend on where their operands lie") {
  constexpr size_t kIn = 96, kOut = 33;
  Matrix w(kOut, kIn);
  engine::Pcg32 random(1);
  for (float& value : w.values) value = static_cast<float>(random.uniform() - 0.5);
  for (const size_t n : {size_t{1}, size_t{2}, size_t{5}, size_t{24}}) {
    Matrix x(n, kIn);
    for (float& value : x.values) value = static_cast<float>(random.uniform() - 0.5);
    const Matrix expected = engine::linear(x, w);
    std::vector<std::vector<float>> elsewhere;  // moves what is allocated next
    for (size_t shift = 1; shift < 8; ++shift) {
      elsewhere.emplace_back(shift);
      const Matrix x_copy = x, w_copy = w;
      CHECK(engine::linear(x_copy, w_copy).values == expected.values);
    }
  }
}

TEST_CASE("attention sees the past only") {
  // One head of two: a second token must not change what the first one sees.
  const Matrix q = matrix(2, 2, {1, 0, 0, 1}), v = matrix(2, 2, {1, 2, 3, 4});
  const Matrix result = engine::attend(q, q, v, {1, 1});
  CHECK(result.values[0] == 1);
  CHECK(result.values[1] == 2);
  const double e = std::exp(1 / std::sqrt(2.0));
  CHECK(result.values[2] == doctest::Approx((1 + 3 * e) / (1 + e)));
  // With a window of one, each sees itself only.
  CHECK(engine::attend(q, q, v, {1, 1, 1}).values == v.values);
}

TEST_CASE("PCG32 gives the numbers of its reference implementation") {
  engine::Pcg32 random(42);
  for (const uint32_t expected : {0xc2f57bd6U, 0x6b07c4a9U, 0x72b7b29bU, 0x44215383U, 0xf5af5eadU}) {
    CHECK(random.next() == expected);
  }
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform();
    CHECK(u >= 0);
    CHECK(u < 1);
  }
}

TEST_CASE("sampling") {
  const std::vector<float> logits = {0, 2, 2, -1};
  CHECK(engine::Sampler({}).choose(logits) == 1);  // greedy: the lower of equals
  const auto draw = [&](engine::SamplerOptions options, int n) {
    engine::Sampler sampler(options);
    std::vector<int> counts(logits.size());
    for (int i = 0; i < n; ++i) ++counts[static_cast<size_t>(sampler.choose(logits))];
    return counts;
  };
  CHECK(draw({1, 1, 7}, 100) == draw({1, 1, 7}, 100));
  CHECK(draw({1, 1, 7}, 100) != draw({1, 1, 8}, 100));
  CHECK(draw({1, 0.1, 7}, 100) == std::vector<int>{0, 100, 0, 0});  // top-p: one token is enough
  const std::vector<int> two = draw({1, 0.6, 7}, 1000);             // two are
  CHECK(two[0] + two[3] == 0);
  CHECK(std::abs(two[1] - two[2]) < 150);
  const std::vector<int> all = draw({1, 1, 7}, 20000);
  const double sum = 1 + 2 * std::exp(2) + std::exp(-1);
  for (size_t i = 0; i < logits.size(); ++i) {
    CHECK(all[i] / 20000.0 == doctest::Approx(std::exp(logits[i]) / sum).epsilon(0.15));
  }
  CHECK(engine_test::error_of([] { engine::Sampler({}).choose(std::vector<float>{0, std::nanf("")}); }) != "");
}
