// SPDX-License-Identifier: Apache-2.0
// The codecs against what optimum-quanto 0.2.7 and dhurandhar 0.1.4 made, and against their own definition.
#include "runtime/precision/codec.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "runtime/precision/hadamard.h"
#include "runtime/precision/pack.h"
#include "tests/precision/fixtures.h"

namespace moe::precision {
namespace {

using test::Case;

/// Numbers as they lie in memory.
std::vector<uint8_t> bytes_of(moe_dtype dtype, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) store(dtype, bytes.data(), i, values[i]);
  return bytes;
}

void check_bytes(const std::vector<uint8_t>& ours, const test::Array& theirs) {
  REQUIRE(ours.size() == theirs.npy.data.size());
  CHECK(std::equal(ours.begin(), ours.end(), theirs.bytes()));
}

double mean_error(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::fabs(double{a[i]} - b[i]);
  return sum / static_cast<double>(a.size());
}

/// The case's arrays as our structure.
Quantized recorded(const Case& c) {
  Quantized result;
  result.options = c.options;
  result.dtype = c.dtype;
  result.rows = c.matrix().rows;
  result.cols = c.matrix().cols;
  result.codes.assign(c.codes.bytes(), c.codes.bytes() + c.codes.size());
  result.scale = c.scale.numbers(c.dtype);
  if (c.shift) {
    result.shift = c.options.zeropoint ? std::vector<float>(c.shift->bytes(), c.shift->bytes() + c.shift->size())
                                       : c.shift->numbers(c.dtype);
  }
  return result;
}

TEST_CASE("every recorded case of quanto, bit for bit") {
  int searched = 0;
  int zeros_of_zero = 0;
  const int count = test::for_each_case([&](const Case& c) {
    CAPTURE(c.name);
    check_bytes(bytes_of(c.dtype, dequantize(recorded(c))), c.dequant);
    Result<Quantized> ours = quantize(c.matrix(), c.options);
    REQUIRE(ours.ok());
    check_bytes(bytes_of(c.dtype, ours->scale), c.scale);
    if (c.options.hqq) {  // the order of sums decides the last bits: the error must be theirs
      const std::vector<float> weights = c.input.numbers(c.dtype);
      const double theirs = mean_error(weights, c.dequant.numbers(c.dtype));
      Options plain = c.options;
      plain.hqq = false;
      CHECK(mean_error(weights, dequantize(*ours)) <= theirs * 1.005);
      CHECK(mean_error(weights, dequantize(*ours)) < mean_error(weights, dequantize(*quantize(c.matrix(), plain))));
      ++searched;
      return;
    }
    const Quantized theirs = recorded(c);
    const std::vector<float> back = dequantize(*ours);
    const std::vector<float> their_back = c.dequant.numbers(c.dtype);
    for (size_t i = 0; i < back.size(); ++i) {
      if (info(c.options.format).float8 && std::isnan(their_back[i])) {  // 0 / 0 in a row whose scale is 0
        CHECK(load(c.dtype, c.input.bytes(), i) == 0);
        CHECK(ours->codes[i] == 0);
        CHECK(back[i] == 0);
        CHECK(ours->num_zero_scales > 0);
        ++zeros_of_zero;
        continue;
      }
      REQUIRE(ours->codes[i] == theirs.codes[i]);
      REQUIRE(std::bit_cast<uint32_t>(back[i]) == std::bit_cast<uint32_t>(their_back[i]));
    }
    if (!c.shift) return;
    const auto shift = c.options.zeropoint ? std::vector<uint8_t>(ours->shift.begin(), ours->shift.end())
                                           : bytes_of(c.dtype, ours->shift);
    check_bytes(shift, *c.shift);
    const uint32_t bits = info(c.options.format).bits;
    CHECK(ours->code_rows() == c.codes.npy.shape[0]);
    CHECK(ours->code_cols() == c.codes.npy.shape[1]);
    check_bytes(pack(ours->codes.data(), ours->code_rows(), ours->code_cols(), bits), *c.packed);
    check_bytes(unpack(c.packed->bytes(), ours->code_rows(), ours->code_cols(), bits), c.codes);
  });
  CHECK(count >= 6);
  MESSAGE(count << " cases, of them searched by HQQ: " << searched
                << "; zeros that quanto makes NaN: " << zeros_of_zero);
}

TEST_CASE("axis columns is axis rows of the transposed matrix") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  constexpr uint64_t kRows = 24;
  constexpr uint64_t kCols = 10;
  std::vector<float> matrix(kRows * kCols);
  std::vector<float> transposed(matrix.size());
  for (uint64_t r = 0; r < kRows; ++r) {
    for (uint64_t c = 0; c < kCols; ++c) transposed[c * kRows + r] = matrix[r * kCols + c] = normal(random);
  }
  for (const Format format : {Format::qint8, Format::qint4, Format::qint2, Format::f8_e4m3fn}) {
    for (const uint32_t group : {0U, 8U}) {
      if (group != 0 && !info(format).affine) continue;
      CAPTURE(info(format).name);
      CAPTURE(group);
      Options options{format, group, Axis::columns, false, false};
      const auto columns = quantize({MOE_F32, kRows, kCols, matrix.data()}, options);
      options.axis = Axis::rows;
      const auto rows = quantize({MOE_F32, kCols, kRows, transposed.data()}, options);
      REQUIRE((columns.ok() && rows.ok()));
      CHECK(columns->scale == rows->scale);  // group (column, k) is number column * groups + k in both
      CHECK(columns->shift == rows->shift);
      CHECK(columns->code_rows() == rows->code_cols());
      CHECK(columns->code_cols() == rows->code_rows());
      const uint64_t length = rows->group_length();
      for (uint64_t k = 0; k < rows->num_groups(); ++k) {
        for (uint64_t j = 0; j < length; ++j) {
          REQUIRE(columns->codes[j * rows->num_groups() + k] == rows->codes[k * length + j]);
        }
      }
      const std::vector<float> back = dequantize(*columns);
      const std::vector<float> other = dequantize(*rows);
      for (uint64_t r = 0; r < kRows; ++r) {
        for (uint64_t c = 0; c < kCols; ++c) REQUIRE(back[r * kCols + c] == other[c * kRows + r]);
      }
    }
  }
}

TEST_CASE("a row of zeros is zero in every format, and counted") {
  for (const moe_dtype dtype : {MOE_F32, MOE_F16, MOE_BF16}) {
    std::vector<uint8_t> bytes(2 * 64 * size_of(dtype));
    for (size_t i = 64; i < 128; ++i) store(dtype, bytes.data(), i, static_cast<float>(i) - 90);
    for (const Format format : {Format::qint8, Format::qint4, Format::qint2, Format::f8_e4m3fn, Format::f8_e5m2,
                                Format::f8_e4m3fnuz, Format::hadamard4}) {
      CAPTURE(info(format).name);
      Options options;
      options.format = format;
      const auto quantized = quantize({dtype, 2, 64, bytes.data()}, options);
      REQUIRE(quantized.ok());
      CHECK(quantized->num_zero_scales == (format == Format::hadamard4 ? 2 : 1));
      const std::vector<float> back = dequantize(*quantized);
      CHECK(std::all_of(back.begin(), back.begin() + 64, [](float w) { return w == 0; }));
      CHECK(std::any_of(back.begin() + 64, back.end(), [](float w) { return w != 0; }));
      CHECK(std::none_of(back.begin(), back.end(), [](float w) { return std::isnan(w); }));
    }
  }
}

TEST_CASE("what cannot be quantized is refused") {
  const std::vector<float> data(90, 1.0F);
  const auto refuse = [&](uint64_t rows, uint64_t cols, Options options, const char* why) {
    const auto quantized = quantize({MOE_F32, rows, cols, data.data()}, options);
    REQUIRE_FALSE(quantized.ok());
    CHECK(quantized.error().message.find(why) != std::string::npos);
  };
  refuse(3, 30, {Format::qint4, 32, Axis::rows, false, false}, "groups of 32 do not divide 30");
  refuse(3, 30, {Format::qint8, 10, Axis::rows, false, false}, "qint8 has no groups");
  refuse(3, 30, {Format::hadamard4, 0, Axis::rows, false, false}, "multiple of 32");
  refuse(0, 30, {Format::qint8, 0, Axis::rows, false, false}, "without elements");
  refuse(3, 30, {Format::native, 0, Axis::rows, false, false}, "`none` is no format");
}

TEST_CASE("the group that quanto's modules take") {
  CHECK(default_group(64) == 0);
  CHECK(default_group(128) == 0);
  CHECK(default_group(256) == 128);
  CHECK(default_group(192) == 96);
  CHECK(default_group(160) == 32);
  CHECK(default_group(320) == 64);
  CHECK(default_group(130) == 0);
}

TEST_CASE("the signs of the rotation are those of std::mt19937(20260421)") {
  std::mt19937 random(20260421);
  for (uint32_t i = 0; i < kHadamardBlock; ++i) CHECK(hadamard_negative(i) == ((random() & 1) == 0));
}

TEST_CASE("the rotation is its own inverse, and keeps lengths") {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (const uint32_t block : {32U, 64U, 128U}) {
    std::vector<float> x(block);
    for (float& value : x) value = normal(random);
    std::vector<float> y = x;
    hadamard_rotate(y.data(), block);
    const auto length = [](const std::vector<float>& v) {
      double sum = 0;
      for (const float value : v) sum += double{value} * value;
      return sum;
    };
    CHECK(length(y) == doctest::Approx(length(x)).epsilon(1e-6));
    hadamard_rotate_back(y.data(), block);
    for (uint32_t i = 0; i < block; ++i) CHECK(y[i] == doctest::Approx(x[i]).epsilon(1e-5));
  }
  CHECK(hadamard_norm(32) == static_cast<float>(1 / std::sqrt(32.0)));
  CHECK(hadamard_norm(64) == static_cast<float>(1 / std::sqrt(64.0)));
  CHECK(hadamard_norm(128) == static_cast<float>(1 / std::sqrt(128.0)));
}

// OScaR's keys of dhurandhar: the same rotation, divided by the vector's length tau, then a scale per 32 channels. The
// length cancels out: our scale is theirs times tau, and codes are equal but where rounding puts a number on the other
// side of a half.
TEST_CASE("hadamard4 is dhurandhar's rotation and grouping") {
  const auto path = test::shared_data("dhurandhar/oscar_k_d128.npz");
  if (!path) return;
  const test::Archive archive(*path);
  const test::Array kv = archive.get("kv");
  const std::vector<float> tau = archive.get("tau").numbers(MOE_F32);
  const std::vector<float> scale = archive.get("scale").numbers(MOE_F32);
  const test::Array codes = archive.get("q");
  const std::vector<float> out = archive.get("out").numbers(MOE_F32);
  const uint64_t vectors = kv.size() / 128;
  Options options;
  options.format = Format::hadamard4;
  const auto ours = quantize({MOE_F32, vectors, 128, kv.bytes()}, options);
  REQUIRE(ours.ok());
  uint64_t different = 0;
  for (size_t i = 0; i < ours->codes.size(); ++i) {
    const int theirs = static_cast<int8_t>(codes.bytes()[i]);
    const int code = int{ours->codes[i]} - 8;
    CHECK(std::abs(code - theirs) <= 1);
    different += code != theirs;
  }
  CHECK(different * 1000 <= ours->codes.size());
  for (size_t k = 0; k < ours->scale.size(); ++k) {
    CHECK(ours->scale[k] == doctest::Approx(scale[k] * tau[k / 4]).epsilon(1e-5));
  }
  const std::vector<float> back = dequantize(*ours);
  for (size_t i = 0; different == 0 && i < back.size(); ++i) {
    CHECK(back[i] == doctest::Approx(out[i]).epsilon(1e-4).scale(1));
  }
}

TEST_CASE("a rotated row with an outlier is kept better than by plain int4") {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> row(1024);
  for (float& value : row) value = normal(random) * (random() % 100 == 0 ? 40.0F : 1.0F);
  const auto error = [&](Format format, uint32_t group) {
    Options options;
    options.format = format;
    options.group = group;
    const std::vector<float> back = dequantize(*quantize({MOE_F32, 1, 1024, row.data()}, options));
    double sum = 0;
    for (size_t i = 0; i < row.size(); ++i) sum += std::pow(double{back[i]} - row[i], 2);
    return sum;
  };
  CHECK(error(Format::hadamard4, 0) < error(Format::qint4, 128));
}

}  // namespace
}  // namespace moe::precision
