// SPDX-License-Identifier: Apache-2.0
// Copies of experts at lower precision in a store: against what the codecs make of the model's own tensors.
#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/pack/stream_encoder.h"
#include "runtime/store/extent_store.h"
#include "tests/runtime/pack_support.h"

namespace moe::test {
namespace {

using precision::Format;
using store::ExtentStore;
using store::Tensor;

constexpr Format kFormats[] = {Format::qint8,   Format::qint4,       Format::qint2,    Format::f8_e4m3fn,
                               Format::f8_e5m2, Format::f8_e4m3fnuz, Format::hadamard4};

/// Opens the store `dir`, packed from the model with copies in `formats`.
Result<ExtentStore> pack_with(const std::string& model, const std::string& dir, const std::vector<Format>& formats) {
  const Result<pack::Source> source = pack::open_source(model);
  if (!source) return source.error();
  std::vector<pack::StreamEncoder> encoders;
  for (const Format format : formats) {
    Result<pack::StreamEncoder> encoder = pack::StreamEncoder::make(format, source->experts().layout);
    if (!encoder) return encoder.error();
    encoders.push_back(std::move(*encoder));
  }
  pack::PackOptions options;
  for (const pack::StreamEncoder& encoder : encoders) options.encoders.push_back(&encoder);
  if (Result<pack::PackReport> packed = pack::pack(*source, dir, options); !packed) return packed.error();
  return ExtentStore::open(dir);
}

/// The small model with numbers for weights; its bytes are no numbers otherwise.
std::vector<FileTensor> small_weights(uint32_t layers, uint32_t experts) {
  std::vector<FileTensor> tensors = small_model(layers, experts);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (FileTensor& tensor : tensors) {
    if (tensor.dtype != "F32") continue;
    for (size_t i = 0; i < tensor.bytes.size(); i += 4) {
      const float weight = normal(random);
      std::memcpy(tensor.bytes.data() + i, &weight, sizeof weight);
    }
  }
  return tensors;
}

void write_small_weights(const TempDir& dir) {
  write_file(dir / "model.safetensors", safetensors(small_weights(2, 3)));
}

/// The model's matrices of an expert, found by name in its file: [parts].
struct Matrices {
  std::vector<precision::PartShape> shapes;
  std::vector<const void*> data;
};

Matrices matrices_of(const store::ModelFiles& model, const std::vector<std::string>& names, uint32_t layer,
                     uint32_t expert) {
  Matrices found;
  for (const std::string& part : names) {
    const std::string experts = "model.layers." + std::to_string(layer) + ".mlp.experts.";
    for (const Tensor& tensor : model.tensors) {
      if (tensor.name == experts + std::to_string(expert) + "." + part) {
        found.shapes.push_back({tensor.dtype, tensor.shape[0], tensor.shape[1], true});
        found.data.push_back(tensor.data);
      } else if (tensor.name == experts + part) {  // fused
        found.shapes.push_back({tensor.dtype, tensor.shape[1], tensor.shape[2], true});
        found.data.push_back(tensor.data + tensor.size_bytes / tensor.shape[0] * expert);
      }
    }
  }
  REQUIRE(found.data.size() == names.size());
  return found;
}

/// Every element of `decoded` is, to the bit, what the codec gives back for the matrix.
void check_decoded(const precision::PartShape& shape, const void* data, Format format,
                   const std::vector<float>& decoded) {
  precision::Options options{format};
  if (precision::info(format).affine) options.group = precision::default_group(shape.cols);
  const auto quantized = precision::quantize({shape.dtype, shape.rows, shape.cols, data}, options);
  REQUIRE_MESSAGE(quantized.ok(), quantized.error().message);
  const std::vector<float> expected = precision::dequantize(*quantized);
  REQUIRE(expected.size() == decoded.size());
  CHECK(std::memcmp(expected.data(), decoded.data(), 4 * decoded.size()) == 0);
}

void check_expert(const ExtentStore& store, const Matrices& matrices, const store::Extent& extent, Format format) {
  const std::string& encoding = store.index().precisions[extent.precision].encoding;
  const auto stream = store::stream_of(encoding, store.index().layout, "store");
  REQUIRE_MESSAGE(stream.ok(), stream.error().message);
  std::vector<std::byte> bytes(extent.size_bytes);
  REQUIRE(stream->size_bytes() == bytes.size());
  REQUIRE(store.read(extent, bytes).ok());

  const auto direct = precision::ExpertStream::plan(matrices.shapes, {format});
  REQUIRE_MESSAGE(direct.ok(), direct.error().message);
  std::vector<std::byte> expected(direct->size_bytes());
  REQUIRE(direct->encode(matrices.data, expected.data()).ok());
  CHECK(bytes == expected);

  std::vector<std::vector<float>> decoded;
  std::vector<void*> out;
  for (const precision::PartShape& shape : matrices.shapes) decoded.emplace_back(shape.rows * shape.cols);
  for (std::vector<float>& part : decoded) out.push_back(part.data());
  stream->decode(bytes.data(), MOE_F32, out.data());
  for (size_t i = 0; i < decoded.size(); ++i) {
    check_decoded(matrices.shapes[i], matrices.data[i], format, decoded[i]);
  }
}

/// All experts in all formats that can keep them.
void check_model(const std::string& dir, const std::vector<std::string>& parts, std::vector<Format> formats,
                 uint32_t first_layer, uint32_t layer_step) {
  CAPTURE(dir);
  const TempDir out;
  const auto store = pack_with(dir, (out / "store"), formats);
  REQUIRE_MESSAGE(store.ok(), store.error().message);
  const auto model = store::open_model_files(dir);
  REQUIRE(model.ok());
  REQUIRE(store->index().precisions.size() == 1 + formats.size());
  for (size_t f = 0; f < formats.size(); ++f) {
    const std::string name(precision::info(formats[f]).name);
    CAPTURE(name);
    REQUIRE(store->precision(name) == f + 1);
    for (uint32_t layer = 0; layer < store->index().num_layers; ++layer) {
      for (uint32_t expert = 0; expert < store->index().num_experts; ++expert) {
        const Matrices matrices = matrices_of(*model, parts, first_layer + layer * layer_step, expert);
        check_expert(*store, matrices, store->extent(layer, expert, static_cast<uint32_t>(f + 1)), formats[f]);
      }
    }
  }
  REQUIRE(pack::unpack((out / "store"), (out / "again"), {}).ok());
  CHECK(tensors_of((out / "again")) == tensors_of(dir));
}

TEST_CASE("every copy is what the codec makes of the model's tensors") {
  const std::vector<Format> all(std::begin(kFormats), std::end(kFormats));
  // Rows of 12 and 16 numbers: too short to be rotated.
  const std::vector<Format> without_rotation(all.begin(), all.end() - 1);
  check_model("tests/data/mixtral/fused", {"down_proj", "gate_up_proj"}, without_rotation, 0, 1);
  check_model("examples/models/qwen-moe-tiny", {"down_proj.weight", "gate_proj.weight", "up_proj.weight"}, all, 0, 1);
  const TempDir small;  // f32, experts in layers 1 and 3, odd lengths
  write_small_weights(small);
  check_model(small.path(), {"down_proj.weight", "up_proj.weight"}, {Format::qint8, Format::qint4}, 1, 2);
}

TEST_CASE("parts that are no matrix are kept as they are") {
  auto tensors = small_weights(1, 2);
  for (uint32_t expert = 0; expert < 2; ++expert) tensors.push_back(f32(expert_name(1, expert, "bias"), {5}));
  const TempDir model, out;
  write_file(model / "model.safetensors", safetensors(tensors));
  const auto store = pack_with(model.path(), (out / "store"), {Format::qint2});
  REQUIRE_MESSAGE(store.ok(), store.error().message);
  const auto stream = store::stream_of(store->index().precisions[1].encoding, store->index().layout, "store");
  REQUIRE(stream.ok());
  std::vector<std::byte> bytes(stream->size_bytes());
  REQUIRE(store->read(store->extent(0, 1, 1), bytes).ok());
  float bias[5];
  stream->decode_rows(bytes.data(), 0, 0, 1, MOE_F32, bias);
  CHECK(std::string(reinterpret_cast<const char*>(bias), sizeof bias) == tensors.back().bytes);
}

TEST_CASE("experts that a format cannot keep") {
  const TempDir model, out;
  write_small_weights(model);
  CHECK(pack_with(model.path(), (out / "a"), {Format::hadamard4}).error().message ==
        "no copies in hadamard4: `down_proj.weight` (F32): hadamard4 needs rows of a multiple of 32 numbers, not of 3");
  auto tensors = small_weights(1, 2);
  for (FileTensor& tensor : tensors) {
    if (tensor.name != expert_name(1, 1, "up_proj.weight")) continue;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(tensor.bytes.data() + 8, &nan, sizeof nan);
  }
  write_file(model / "model.safetensors", safetensors(tensors));
  const auto refused = pack_with(model.path(), (out / "b"), {Format::qint8});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == Error::Kind::format);
  CHECK(refused.error().message.find("MoE layer 0, expert 1, as qint8: ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(out / "b"));
}

TEST_CASE("an encoding that is not what was written") {
  const TempDir model, out;
  write_small_weights(model);
  const auto store = pack_with(model.path(), (out / "store"), {Format::qint4});
  REQUIRE(store.ok());
  const nlohmann::json good = nlohmann::json::parse(store->index().precisions[1].encoding);
  const auto message = [&](const std::string& encoding) {
    const auto stream = store::stream_of(encoding, store->index().layout, "S");
    return stream.ok() ? "" : stream.error().message;
  };
  CHECK(message(good.dump()).empty());
  CHECK(message("null").starts_with("S: encoding"));
  CHECK(message("{}") == "S: its encoding is not moe-stream-1, the one that is read");
  for (const char* format : {"none", "qint3", ""}) {
    nlohmann::json bad = good;
    bad["format"] = format;
    CHECK(message(bad.dump()) == "S: its encoding's `format` is not known");
  }
  for (const char* member : {"group", "scales", "shifts", "codes", "end"}) {
    nlohmann::json bad = good;
    bad["parts"][1][member] = bad["parts"][1][member].get<uint64_t>() + 64;
    CHECK(message(bad.dump()) == "S: its encoding is not what its format makes of the experts");
  }
  nlohmann::json bad = good;
  bad["parts"].erase(1);
  CHECK(message(bad.dump()) == "S: its encoding is not what its format makes of the experts");
}

}  // namespace
}  // namespace moe::test
