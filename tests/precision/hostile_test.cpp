// SPDX-License-Identifier: Apache-2.0
// Maps and files that are damaged, or made to do harm: a clear error, and nothing left behind.
#include <doctest/doctest.h>

#include <limits>

#include "runtime/checkpoint/packed.h"
#include "runtime/checkpoint/qmap.h"
#include "runtime/checkpoint/quantize_model.h"
#include "runtime/store/model_files.h"
#include "runtime/store/safetensors_write.h"
#include "tests/precision/folder.h"
#include "tests/runtime/safetensors_files.h"

namespace moe::checkpoint {
namespace {

namespace fs = std::filesystem;
using moe::test::FileTensor;
using precision::Format;
using precision::test::contents;
using precision::test::Folder;

template <class T>
void expect_error(const Result<T>& result, Error::Kind kind, const std::string& why) {
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().kind == kind);
  CAPTURE(result.error().message);
  CHECK(result.error().message.find(why) != std::string::npos);
}

TEST_CASE("maps that are none") {
  const auto refuse = [](const char* text, const char* why) {
    expect_error(parse_map(text, "quanto_qmap.json"), Error::Kind::format, why);
  };
  refuse("", "not JSON at byte");
  refuse("[]", "not a JSON object");
  refuse(R"({"a":{"weights":"qint4"})", "not JSON at byte");
  refuse(R"({"a":{"weights":"qint4"},"a":{"weights":"qint8"}})", "`a` is there twice");
  refuse(R"({"a":"qint4"})", "module `a`: no `weights`");
  refuse(R"({"a":{"weights":4}})", "module `a`: no `weights`");
  refuse(R"({"a":{"weights":"qint3"}})", "`qint3` is no format");
  refuse(R"({"a":{"weights":"qint4","activations":"qint8"}})", "activations in `qint8` are not supported");
  const auto good = parse_map(R"({"b":{"weights":"qint4","activations":"none"},"a":{"weights":"none"}})", "m");
  REQUIRE(good.ok());
  CHECK(*good == QuantizationMap{{"b", Format::qint4}});
}

TEST_CASE("a folder with two maps") {
  const Folder work("moe_two_maps");
  work.write("quanto_qmap.json", "{}");
  CHECK(read_map(work.path("")).ok());
  work.write("moe_qmap.json", "{}");
  expect_error(read_map(work.path("")), Error::Kind::format, "one of them is stale");
}

/// Tensors of one module, as a file's reader gives them.
struct Module {
  explicit Module(const std::vector<FileTensor>& tensors) : bytes(moe::test::safetensors(tensors)) {
    auto read = store::read_safetensors(bytes, "test");
    REQUIRE(read.ok());
    parsed = *read;
  }
  std::string bytes;
  std::vector<store::Tensor> parsed;
};

std::string zeros(size_t count) { return std::string(count, '\0'); }

TEST_CASE("modules whose tensors do not fit the model") {
  const auto refuse = [](const std::vector<FileTensor>& tensors, Format format, uint64_t rows, uint64_t cols,
                         const char* why) {
    expect_error(read_packed(Module(tensors).parsed, "m", format, rows, cols), Error::Kind::format, why);
  };
  const FileTensor data4{"m.weight._data._data", "U8", {2, 32}, zeros(64)};
  const FileTensor scale4{"m.weight._scale", "F16", {4, 1}, zeros(8)};
  const FileTensor shift4{"m.weight._shift", "F16", {4, 1}, zeros(8)};
  CHECK(read_packed(Module({data4, scale4, shift4}).parsed, "m", Format::qint4, 4, 32).ok());
  CHECK(read_packed(Module({data4, scale4, shift4}).parsed, "m", Format::qint4, 2, 64).ok());
  refuse({data4, scale4}, Format::qint4, 4, 32, "`m.weight._shift`: is missing");
  refuse({scale4, shift4}, Format::qint4, 4, 32, "`m.weight._data._data`: is missing");
  refuse({data4, scale4, shift4}, Format::qint4, 6, 32, "has 2 rows; 6 groups are packed into 3");
  refuse({data4, scale4, shift4}, Format::qint4, 3, 32, "has 4 numbers, not 3");
  refuse({data4, scale4, shift4}, Format::qint4, 4, 48, "groups of 32 do not divide rows of 48");
  refuse({data4, scale4, shift4}, Format::qint4, 0, 32, "no elements");
  refuse({data4, scale4, shift4}, Format::qint4, uint64_t{1} << 40, uint64_t{1} << 40, "no elements, or more");
  refuse({data4, scale4, {"m.weight._shift", "F32", {4, 1}, zeros(16)}}, Format::qint4, 4, 32, "is F32, unlike");
  refuse({data4, {"m.weight._scale", "U8", {8}, zeros(8)}, shift4}, Format::qint4, 4, 32, "is U8, not F32, F16");
  refuse({{"m.weight._data._data", "U8", {2, 0}, ""}, scale4, shift4}, Format::qint4, 4, 32, "groups of 0");
  refuse({{"m.weight._data._data", "I8", {2, 32}, zeros(64)}, scale4, shift4}, Format::qint4, 4, 32, "matrix of U8");
  const FileTensor data8{"m.weight._data", "I8", {2, 32}, zeros(64)};
  const FileTensor scale8{"m.weight._scale", "F32", {2, 1}, zeros(8)};
  CHECK(read_packed(Module({data8, scale8}).parsed, "m", Format::qint8, 2, 32).ok());
  refuse({data8, scale8}, Format::qint8, 32, 2, "another shape than the model's");
  refuse({data8, scale8}, Format::f8_e5m2, 2, 32, "is I8, not F8_E5M2");
  refuse({data8}, Format::qint8, 2, 32, "`m.weight._scale`: is missing");
  refuse({data8, {"m.weight._scale", "F32", {}, zeros(4)}}, Format::qint8, 2, 32, "has 1 numbers, not 2");
  refuse({data8, scale8}, Format::hadamard4, 2, 30, "cannot be in hadamard4");
  refuse({data8, scale8}, Format::hadamard4, 2, 64, "is I8, not U8");
}

std::string f32_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// Quantizing fails like this, and leaves no trace beside the model.
void expect_refused(const Folder& work, const QuantizeOptions& options, Error::Kind kind, const std::string& why) {
  expect_error(quantize_model(work.path("model"), work.path("out"), options), kind, why);
  for (const auto& entry : fs::directory_iterator(work.path(""))) CHECK(entry.path().filename() == "model");
}

TEST_CASE("models that cannot be quantized leave nothing behind") {
  const std::vector<float> weights(2 * 64, 0.5F);
  const FileTensor good{"a.weight", "F32", {2, 64}, f32_bytes(weights)};
  QuantizeOptions options;
  options.format = Format::qint8;
  {
    const Folder work("moe_refused");
    work.write("model/config.json", "{}");
    expect_refused(work, options, Error::Kind::io, "neither model.safetensors nor");
  }
  {
    const Folder work("moe_refused");
    const std::string whole = moe::test::safetensors({good});
    for (const size_t length : {size_t{0}, size_t{7}, size_t{40}, whole.size() - 1}) {
      work.write("model/model.safetensors", whole.substr(0, length));
      expect_refused(work, options, Error::Kind::format, "model.safetensors: ");
    }
  }
  {
    const Folder work("moe_refused");
    for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> values = weights;
      values[77] = bad;
      work.write("model/model.safetensors", moe::test::safetensors({{"a.weight", "F32", {2, 64}, f32_bytes(values)}}));
      expect_refused(work, options, Error::Kind::format, "tensor `a.weight`: weight 77 is not finite");
    }
  }
  {
    const Folder work("moe_refused");
    work.write("model/model.safetensors", moe::test::safetensors({good}));
    work.write("model/quanto_qmap.json", R"({"a":{"weights":"qint8","activations":"none"}})");
    expect_refused(work, options, Error::Kind::format, "is quantized already");
    fs::remove(work.path("model/quanto_qmap.json"));
    options.excluded = {"a*"};
    expect_refused(work, options, Error::Kind::format, "no weight to quantize is left");
    options.excluded = {};
    options.experts_only = true;
    expect_refused(work, options, Error::Kind::format, "no weight to quantize is left");
    options.experts_only = false;
  }
  {  // a tensor that stays has the name of one that is made
    const Folder work("moe_refused");
    const FileTensor same{"a.weight._scale", "F32", {1}, f32_bytes({1})};
    work.write("model/model.safetensors", moe::test::safetensors({good, same}));
    expect_refused(work, options, Error::Kind::format, "`a.weight._scale` would be there twice");
  }
}

TEST_CASE("a folder that is there is not touched") {
  const Folder work("moe_there");
  const std::vector<float> weights(2 * 64, 0.5F);
  work.write("model/model.safetensors", moe::test::safetensors({{"a.weight", "F32", {2, 64}, f32_bytes(weights)}}));
  work.write("out/mine.txt", "mine");
  QuantizeOptions options;
  options.format = Format::qint8;
  expect_error(quantize_model(work.path("model"), work.path("out"), options), Error::Kind::invalid, "is there already");
  expect_error(quantize_model(work.path("model"), work.path("out/mine.txt"), options), Error::Kind::invalid,
               "is there already");
  expect_error(quantize_model(work.path("model"), work.path("no/such/out"), options), Error::Kind::io,
               "cannot make a folder");
  CHECK(contents(work.path("out/mine.txt")) == "mine");
  fs::create_directory(work.path("empty"));
  CHECK(quantize_model(work.path("model"), work.path("empty"), options).ok());
  CHECK(fs::exists(work.path("empty/model.safetensors")));
}

TEST_CASE("the writer of safetensors keeps to what it was told") {
  const Folder work("moe_writer");
  auto writer = store::SafetensorsWriter::create(
      work.path("a.safetensors"), {{"narrow", "U8", {3}, 3}, {"wide \"x\"", "F32", {}, 4}, {"future", "F3_X", {2}, 1}},
      {{"format", "pt"}});
  REQUIRE(writer.ok());
  expect_error(writer->write("other", "abc", 3), Error::Kind::invalid, "is not one of the file's");
  expect_error(writer->write("narrow", "ab", 2), Error::Kind::invalid, "2 bytes, not 3");
  CHECK(writer->write("narrow", "abc", 3).ok());
  expect_error(writer->write("narrow", "abc", 3), Error::Kind::invalid, "was written before");
  CHECK(writer->write("future", "z", 1).ok());
  expect_error(writer->finish(), Error::Kind::invalid, "`wide \"x\"` was not written");
  CHECK(writer->append("wide \"x\"", "wx", 2).ok());
  expect_error(writer->append("wide \"x\"", "yza", 3), Error::Kind::invalid, "3 bytes at byte 2 of 4");
  expect_error(writer->finish(), Error::Kind::invalid, "`wide \"x\"` was not written");
  CHECK(writer->append("wide \"x\"", "yz", 2).ok());
  CHECK(writer->finish().ok());
  const std::string bytes = contents(work.path("a.safetensors"));
  CHECK(bytes.size() == writer->size_bytes());
  CHECK(bytes.ends_with("wxyzabcz"));
  const auto tensors = store::read_safetensors(bytes, "a");
  REQUIRE(tensors.ok());
  CHECK(tensors->size() == 3);
  CHECK((tensors->back().name == "wide \"x\"" && tensors->back().shape.empty()));
  const auto metadata = store::read_safetensors_metadata(bytes, "a");
  REQUIRE(metadata.ok());
  CHECK(*metadata == std::map<std::string, std::string>{{"format", "pt"}});
  expect_error(store::SafetensorsWriter::create(work.path("a.safetensors"), {}, {}), Error::Kind::io, "cannot write");
}

}  // namespace
}  // namespace moe::checkpoint
