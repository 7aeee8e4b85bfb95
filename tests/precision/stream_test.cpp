// SPDX-License-Identifier: Apache-2.0
// The streaming layout: its bytes, and that every instruction set gives the codecs' numbers.
#include "runtime/precision/stream.h"

#include <doctest/doctest.h>

#include <hwy/targets.h>
#include <cstdlib>
#include <functional>
#include <limits>
#include <new>
#include <random>
#include <thread>

#include "runtime/precision/decode.h"
#include "runtime/precision/hadamard.h"
#include "runtime/precision/pack.h"

namespace {
thread_local uint64_t num_allocations = 0;
}

void* operator new(size_t size) {
  ++num_allocations;
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace moe::precision {
namespace {

constexpr moe_dtype kDtypes[] = {MOE_F32, MOE_F16, MOE_BF16};
constexpr Format kFormats[] = {Format::native,    Format::qint8,   Format::qint4,       Format::qint2,
                               Format::f8_e4m3fn, Format::f8_e5m2, Format::f8_e4m3fnuz, Format::hadamard4};

/// Runs for each instruction set that this processor has, and that was compiled.
void for_each_target(const std::function<void(const std::string&)>& check) {
  const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  CHECK(!targets.empty());
  for (const int64_t target : targets) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    check(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

/// Weights with what is awkward: rows of zeros, of one number, of tiny and of huge ones, outliers.
std::vector<uint8_t> weights(std::mt19937& random, const PartShape& shape) {
  std::normal_distribution<float> normal;
  std::vector<uint8_t> bytes(shape.rows * shape.cols * size_of(shape.dtype));
  for (uint64_t r = 0; r < shape.rows; ++r) {
    const auto kind = random() % 8;
    for (uint64_t c = 0; c < shape.cols; ++c) {
      float value = normal(random);
      if (kind == 0) value = 0;
      if (kind == 1) value = -0.75F;
      if (kind == 2) value *= 1e-7F;
      if (kind == 3) value = std::fmin(std::fmax(value * 30000, -65504.0F), 65504.0F);
      if (kind == 4 && random() % 50 == 0) value *= 40;
      if (kind == 5 && shape.dtype != MOE_F16) value *= 1e-39F;
      store(shape.dtype, bytes.data(), r * shape.cols + c, value);
    }
  }
  return bytes;
}

/// What the codec gives, as numbers of `out`.
std::vector<uint8_t> expected(const PartExtent& part, const void* data, moe_dtype out) {
  const PartShape& shape = part.shape;
  const uint64_t count = shape.rows * shape.cols;
  std::vector<float> values(count);
  if (part.format == Format::native) {
    for (uint64_t i = 0; i < count; ++i) values[i] = load(shape.dtype, data, i);
  } else {
    Options options;
    options.format = part.format;
    if (info(part.format).affine && part.group != shape.cols) options.group = static_cast<uint32_t>(part.group);
    const auto quantized = quantize({shape.dtype, shape.rows, shape.cols, data}, options);
    REQUIRE(quantized.ok());
    values = dequantize(*quantized);
  }
  std::vector<uint8_t> bytes(count * size_of(out));
  for (uint64_t i = 0; i < count; ++i) store(out, bytes.data(), i, values[i]);
  return bytes;
}

struct Expert {
  std::vector<PartShape> shapes;
  std::vector<std::vector<uint8_t>> data;
  std::vector<const void*> pointers() const {
    std::vector<const void*> result;
    for (const auto& part : data) result.push_back(part.data());
    return result;
  }
};

Expert random_expert(std::mt19937& random, moe_dtype dtype, Format format) {
  Expert expert;
  const uint64_t step = format == Format::hadamard4 ? 32 : 1;
  for (int p = 0; p < 3; ++p) {
    uint64_t cols = step * (1 + random() % (step == 1 ? 700 : 20));
    if (p == 0) cols = 256;
    expert.shapes.push_back({dtype, 1 + random() % 20, cols, true});
  }
  expert.shapes.push_back({dtype, 1, 1 + random() % 50, false});
  for (const PartShape& shape : expert.shapes) expert.data.push_back(weights(random, shape));
  return expert;
}

TEST_CASE("every format, dtype and instruction set gives the codec's numbers") {
  uint32_t seed = 0;
  for (const Format format : kFormats) {
    for (const moe_dtype dtype : kDtypes) {
      for (const uint32_t group : {Precision::kQuantoGroup, 0U, 64U, 24U}) {
        if (group != Precision::kQuantoGroup && !info(format).affine) continue;
        std::mt19937 random(++seed);
        const Expert expert = random_expert(random, dtype, format);
        const auto stream = ExpertStream::plan(expert.shapes, {format, group});
        REQUIRE_MESSAGE(stream.ok(), (stream.ok() ? "" : stream.error().message));
        CAPTURE(info(format).name);
        CAPTURE(static_cast<int>(dtype));
        CAPTURE(group);
        std::vector<uint8_t> extent(stream->size_bytes(), 0xAA);
        REQUIRE(stream->encode(expert.pointers(), extent.data()).ok());
        for (const moe_dtype out : kDtypes) {
          std::vector<std::vector<uint8_t>> wanted;
          for (size_t p = 0; p < expert.data.size(); ++p) {
            wanted.push_back(expected(stream->parts()[p], expert.data[p].data(), out));
          }
          for_each_target([&](const std::string& target) {
            CAPTURE(target);
            std::vector<std::vector<uint8_t>> decoded;
            std::vector<void*> pointers;
            for (const auto& part : wanted) decoded.emplace_back(part.size());
            for (auto& part : decoded) pointers.push_back(part.data());
            const uint64_t before = num_allocations;
            stream->decode(extent.data(), out, pointers.data());
            CHECK(num_allocations == before);
            for (size_t p = 0; p < wanted.size(); ++p) CHECK(decoded[p] == wanted[p]);
          });
        }
      }
    }
  }
}

TEST_CASE("any bytes decode, and to the same bits as the plain way") {
  for (const Format format : kFormats) {
    for (const moe_dtype dtype : kDtypes) {
      std::mt19937 random(99 + static_cast<uint32_t>(format));
      const PartShape shape{dtype, 40, 352, true};
      const auto stream = ExpertStream::plan({shape}, {format, 32});
      REQUIRE(stream.ok());
      std::vector<uint8_t> extent(stream->size_bytes() + 1);
      for (uint8_t& byte : extent) byte = static_cast<uint8_t>(random());
      // Scales of a normal size in half of the rows, so that the vectors' way is taken, too.
      const PartExtent& part = stream->parts()[0];
      const uint64_t scales = shape.cols / part.group;
      for (uint64_t r = 0; r < shape.rows && format != Format::native; r += 2) {
        for (uint64_t k = r * scales; k < (r + 1) * scales; ++k) {
          const float small = static_cast<float>(random() % 1000) * (r % 4 == 0 ? 1e-3F : 60.0F);
          store(dtype, extent.data() + 1 + part.scales_offset, k, small);
          if (info(format).affine) store(dtype, extent.data() + 1 + part.shifts_offset, k, small * 3);
        }
      }
      CodedRows rows{format,
                     dtype,
                     shape.rows,
                     shape.cols,
                     part.group,
                     part.row_bytes,
                     extent.data() + 1 + part.scales_offset,
                     extent.data() + 1 + part.shifts_offset,
                     extent.data() + 1 + part.codes_offset};
      CAPTURE(info(format).name);
      CAPTURE(static_cast<int>(dtype));
      for (const moe_dtype out : kDtypes) {
        std::vector<uint8_t> wanted(shape.rows * shape.cols * size_of(out));
        decode_rows_plainly(rows, out, wanted.data());
        for_each_target([&](const std::string& target) {
          CAPTURE(target);
          std::vector<uint8_t> decoded(wanted.size());
          void* const pointer = decoded.data();
          stream->decode(extent.data() + 1, out, &pointer);
          CHECK(decoded == wanted);
        });
      }
    }
  }
}

// Worked out by hand from the layout that the header describes.
TEST_CASE("the bytes of an extent") {
  // Two rows of four, int4, whole rows: row 0 is 0 1 7 15 in steps of 1, row 1 is -2 in every place.
  const float matrix[] = {0, 1, 7, 15, -2, -2, -2, -2};
  const float bias[] = {0.5F};
  const auto stream = ExpertStream::plan({{MOE_F32, 2, 4, true}, {MOE_F32, 1, 1, false}}, {Format::qint4, 0});
  REQUIRE(stream.ok());
  CHECK(stream->size_bytes() == 256);
  std::vector<uint8_t> extent(256, 0xFF);
  const auto notes = stream->encode({matrix, bias}, extent.data());
  REQUIRE(notes.ok());
  CHECK(notes->num_zero_scales == 1);
  std::vector<uint8_t> wanted(256, 0);
  store(MOE_F32, wanted.data(), 0, 1);
  store(MOE_F32, wanted.data() + 64, 0, -0.0F);
  store(MOE_F32, wanted.data() + 64, 1, 2);
  wanted[128] = 0x10;  // codes 0, 1
  wanted[129] = 0xF7;  // codes 7, 15; row 1 is all zero codes
  store(MOE_F32, wanted.data() + 192, 0, 0.5F);
  CHECK(extent == wanted);

  // int2 and odd lengths: rows begin at whole bytes.
  const float three[] = {0, 1, 2, 3, 3, 3, 2, 1, 0, 0};
  const auto narrow = ExpertStream::plan({{MOE_F32, 2, 5, true}}, {Format::qint2, 0});
  REQUIRE(narrow.ok());
  REQUIRE(narrow->size_bytes() == 192);
  std::vector<uint8_t> bytes(192);
  REQUIRE(narrow->encode({three}, bytes.data()).ok());
  CHECK(narrow->parts()[0].row_bytes == 2);
  CHECK(bytes[128] == 0b11100100);
  CHECK(bytes[129] == 0b11);
  CHECK(bytes[130] == 0b00011011);
  CHECK(bytes[131] == 0);
}

TEST_CASE("sizes: offsets are multiples of 64, and a formula's") {
  const std::vector<PartShape> parts{{MOE_BF16, 1408, 2048, true}, {MOE_BF16, 2048, 1408, true}};
  const auto size = [&](Format format, uint32_t group) { return *stream_size(parts, {format, group}); };
  constexpr uint64_t kElements = 1408 * 2048;
  CHECK(size(Format::native, 0) == 2 * kElements * 2);
  CHECK(size(Format::qint8, Precision::kQuantoGroup) == 2 * kElements + 2 * 1408 + 2 * 2048);
  CHECK(size(Format::qint4, Precision::kQuantoGroup) == 2 * (kElements / 2 + 2 * 2 * kElements / 128));
  CHECK(size(Format::qint2, 32) == 2 * (kElements / 4 + 2 * 2 * kElements / 32));
  CHECK(size(Format::hadamard4, 0) == 2 * (kElements / 2 + 2 * kElements / 32));
  for (const Format format : kFormats) {
    const auto stream = ExpertStream::plan({{MOE_F16, 3, 96, true}, {MOE_F32, 5, 32, true}}, {format});
    REQUIRE(stream.ok());
    for (const PartExtent& part : stream->parts()) {
      for (const uint64_t offset : {part.scales_offset, part.shifts_offset, part.codes_offset, part.end_offset}) {
        CHECK(offset % kStreamAlignment == 0);
      }
    }
  }
}

TEST_CASE("runs of rows decode on their own") {
  std::mt19937 random(3);
  for (const Format format : kFormats) {
    const PartShape shape{MOE_BF16, 9, 320, true};
    const auto stream = ExpertStream::plan({{MOE_BF16, 4, 64, true}, shape}, {format});
    REQUIRE(stream.ok());
    const auto first = weights(random, {MOE_BF16, 4, 64, true});
    const auto second = weights(random, shape);
    std::vector<uint8_t> extent(stream->size_bytes());
    REQUIRE(stream->encode({first.data(), second.data()}, extent.data()).ok());
    std::vector<uint8_t> whole(9 * 320 * 2);
    std::vector<uint8_t> pieces(whole.size());
    stream->decode_rows(extent.data(), 1, 0, 9, MOE_BF16, whole.data());
    for (uint64_t r = 0; r < 9; r += 2) {
      stream->decode_rows(extent.data(), 1, r, r + 2 <= 9 ? 2 : 1, MOE_BF16, pieces.data() + r * 320 * 2);
    }
    CHECK(pieces == whole);
  }
}

TEST_CASE("codes of a checkpoint take their place as they are") {
  std::mt19937 random(4);
  const PartShape shape{MOE_F16, 6, 256, true};
  const auto data = weights(random, shape);
  for (const Format format : {Format::qint8, Format::qint4, Format::qint2, Format::f8_e5m2, Format::hadamard4}) {
    const auto stream = ExpertStream::plan({shape}, {format});
    Options options;
    options.format = format;
    options.group = info(format).affine ? 128 : 0;
    const auto quantized = quantize({MOE_F16, 6, 256, data.data()}, options);
    REQUIRE((stream.ok() && quantized.ok()));
    std::vector<uint8_t> encoded(stream->size_bytes());
    std::vector<uint8_t> placed(stream->size_bytes());
    REQUIRE(stream->encode({data.data()}, encoded.data()).ok());
    REQUIRE(stream->place(0, *quantized, placed.data()).ok());
    CHECK(placed == encoded);
    const auto other = ExpertStream::plan({{MOE_F16, 12, 128, true}}, {format});
    CHECK_FALSE(other->place(0, *quantized, placed.data()).ok());
    CHECK_FALSE(stream->place(1, *quantized, placed.data()).ok());
  }
}

TEST_CASE("many threads use one layout at a time") {
  std::mt19937 random(8);
  const Expert expert = random_expert(random, MOE_BF16, Format::hadamard4);
  for (const Format format : {Format::qint8, Format::qint4, Format::hadamard4}) {
    const auto stream = ExpertStream::plan(expert.shapes, {format});
    REQUIRE(stream.ok());
    std::vector<std::vector<uint8_t>> extents(4);
    std::vector<std::thread> threads;
    std::vector<std::vector<uint8_t>> decoded(4);
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        extents[t].resize(stream->size_bytes());
        if (!stream->encode(expert.pointers(), extents[t].data()).ok()) return;
        decoded[t].resize(expert.shapes[0].rows * expert.shapes[0].cols * 2);
        for (int i = 0; i < 20; ++i) {
          stream->decode_rows(extents[t].data(), 0, 0, expert.shapes[0].rows, MOE_BF16, decoded[t].data());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t t = 0; t < 4; ++t) {
      CHECK(extents[t] == extents[0]);
      CHECK(decoded[t] == expected(stream->parts()[0], expert.data[0].data(), MOE_BF16));
    }
  }
}

TEST_CASE("what cannot be laid out, or encoded, is refused") {
  const auto refuse = [](std::vector<PartShape> parts, Precision precision, const char* why) {
    const auto stream = ExpertStream::plan(parts, precision);
    REQUIRE_FALSE(stream.ok());
    CHECK(stream.error().message.find(why) != std::string::npos);
    CHECK_FALSE(stream_size(parts, precision).ok());
  };
  refuse({}, {}, "without parts");
  refuse({{MOE_F32, 0, 4, true}}, {}, "without elements");
  refuse({{MOE_OTHER, 4, 4, true}}, {}, "f32, f16 or bf16");
  refuse({{MOE_F32, uint64_t{1} << 40, uint64_t{1} << 40, true}}, {}, "cannot exist");
  refuse({{MOE_F32, 2, 48, true}}, {Format::hadamard4}, "multiple of 32");
  refuse({{MOE_F32, 2, 30, true}}, {Format::qint4, 15}, "whole bytes");
  refuse({{MOE_F32, 2, 30, true}}, {Format::qint2, 6}, "whole bytes");
  const auto stream = ExpertStream::plan({{MOE_F32, 1, 2, true}}, {Format::qint8});
  std::vector<uint8_t> extent(stream->size_bytes());
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const float data[] = {1, bad};
    const auto notes = stream->encode({data}, extent.data());
    REQUIRE_FALSE(notes.ok());
    CHECK(notes.error().message.find("weight 1 of an expert's part 0 is not finite") != std::string::npos);
  }
  CHECK_FALSE(stream->encode({}, extent.data()).ok());
}

}  // namespace
}  // namespace moe::precision
