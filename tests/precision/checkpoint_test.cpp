// SPDX-License-Identifier: Apache-2.0
// Quantized model folders: the files that optimum-quanto wrote, byte for byte, and a trained model there and back.
#include <doctest/doctest.h>

#include <cmath>

#include "runtime/checkpoint/packed.h"
#include "runtime/checkpoint/qmap.h"
#include "runtime/checkpoint/quantize_model.h"
#include "runtime/precision/hadamard.h"
#include "runtime/store/model_files.h"
#include "tests/precision/fixtures.h"
#include "tests/precision/folder.h"
#include "tests/runtime/safetensors_files.h"

namespace moe::checkpoint {
namespace {

namespace fs = std::filesystem;
using precision::Format;
using precision::Quantized;
using precision::test::contents;
using precision::test::Folder;
using store::Tensor;

constexpr const char* kModel = "examples/models/qwen-moe-tiny";

const Tensor* find(const std::vector<Tensor>& tensors, const std::string& name) {
  for (const Tensor& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

QuantizeOptions options_of(Format format) {
  QuantizeOptions options;
  options.format = format;
  return options;
}

TEST_CASE("two layers that quanto quantized and saved: the same files") {
  const auto folder = precision::test::shared_data("quanto");
  if (!folder) return;
  for (const std::string dtype : {"f32", "bf16"}) {
    for (const std::string format : {"qint4", "qfloat8_e4m3fn"}) {
      const std::string name = fs::path(*folder) / ("mlp_" + dtype + "_" + format);
      CAPTURE(name);
      const Folder work("moe_mlp");
      work.write("model/model.safetensors", contents(name + ".src.safetensors"));
      const auto report =
          quantize_model(work.path("model"), work.path("out"), options_of(*precision::find_format(format)));
      REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().message));
      CHECK(report->num_modules == 2);
      CHECK(report->num_kept == 1);
      CHECK(report->bytes_before == 4 * (128 * 256 + 64 * 128 + 64) / (dtype == "f32" ? 1 : 2));
      CHECK(contents(work.path("out/model.safetensors")) == contents(name + ".safetensors"));
      CHECK(contents(work.path("out/quanto_qmap.json")) == contents(name + ".quanto_qmap.json"));
    }
  }
}

// The recorded module is two layers with nothing between them: y = W1 (W0 x) + b.
TEST_CASE("what quanto saved is read back as quanto uses it") {
  const auto folder = precision::test::shared_data("quanto");
  if (!folder) return;
  for (const std::string dtype : {"f32", "bf16"}) {
    for (const std::string format : {"qint4", "qfloat8_e4m3fn"}) {
      const std::string name = fs::path(*folder) / ("mlp_" + dtype + "_" + format);
      CAPTURE(name);
      const Folder work("moe_mlp_read");
      work.write("model.safetensors", contents(name + ".safetensors"));
      work.write("quanto_qmap.json", contents(name + ".quanto_qmap.json"));
      const auto map = read_map(work.path(""));
      REQUIRE(map.ok());
      REQUIRE(map->has_value());
      const auto model = store::open_model_files(work.path(""));
      REQUIRE(model.ok());
      const precision::test::Archive io(name + ".io.npz");
      const moe_dtype type = dtype == "f32" ? MOE_F32 : MOE_BF16;
      const std::vector<float> x = io.get("x").numbers(type);
      const std::vector<float> y = io.get("y").numbers(type);
      const auto layer = [&](const char* module, uint64_t rows, uint64_t cols) {
        const auto weight = read_packed(model->tensors, module, (**map).at(module), rows, cols);
        REQUIRE(weight.ok());
        return precision::dequantize(*weight);
      };
      const std::vector<float> first = layer("0", 128, 256);
      const std::vector<float> second = layer("1", 64, 128);
      const Tensor& bias = *find(model->tensors, "1.bias");
      double error = 0;
      double length = 0;
      for (size_t b = 0; b < 2; ++b) {
        std::vector<double> hidden(128);
        for (size_t r = 0; r < 128; ++r) {
          for (size_t c = 0; c < 256; ++c) hidden[r] += double{first[r * 256 + c]} * x[b * 256 + c];
        }
        for (size_t r = 0; r < 64; ++r) {
          double sum = precision::load(type, bias.data, r);
          for (size_t c = 0; c < 128; ++c) sum += double{second[r * 128 + c]} * hidden[c];
          error += std::pow(sum - y[b * 64 + r], 2);
          length += std::pow(double{y[b * 64 + r]}, 2);
        }
      }
      CHECK(std::sqrt(error / length) < (dtype == "f32" ? 1e-5 : 1e-2));
    }
  }
}

/// Every module of the map equals what the codec makes of the source's weight; everything else is as it was.
void check_model(const std::string& source_dir, const std::string& out_dir, const QuantizeOptions& options) {
  const auto source = store::open_model_files(source_dir);
  const auto out = store::open_model_files(out_dir);
  const auto map = read_map(out_dir);
  REQUIRE((source.ok() && out.ok() && map.ok()));
  REQUIRE(map->has_value());
  size_t modules = 0;
  for (const Tensor& tensor : source->tensors) {
    CAPTURE(tensor.name);
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    const auto entry = (**map).find(module);
    if (entry == (**map).end() || !tensor.name.ends_with(".weight")) {
      const Tensor* same = find(out->tensors, tensor.name);
      REQUIRE(same != nullptr);
      CHECK(std::string_view(same->data, same->size_bytes) == std::string_view(tensor.data, tensor.size_bytes));
      continue;
    }
    ++modules;
    CHECK(find(out->tensors, tensor.name) == nullptr);
    const uint64_t rows = tensor.shape[0];
    const uint64_t cols = tensor.shape[1];
    const auto back = read_packed(out->tensors, module, entry->second, rows, cols);
    REQUIRE_MESSAGE(back.ok(), (back.ok() ? "" : back.error().message));
    precision::Options expected;
    expected.format = options.format;
    if (precision::info(options.format).affine) {
      expected.group = options.group == kDefaultGroup ? precision::default_group(cols) : options.group;
      if (expected.group != 0 && (cols % expected.group != 0 || cols == expected.group)) expected.group = 0;
    }
    const auto direct = precision::quantize({tensor.dtype, rows, cols, tensor.data}, expected);
    REQUIRE(direct.ok());
    CHECK(back->codes == direct->codes);
    CHECK(back->scale == direct->scale);
    CHECK(back->shift == direct->shift);
    CHECK(precision::dequantize(*back) == precision::dequantize(*direct));
  }
  CHECK(modules == (**map).size());
}

TEST_CASE("a trained model in every format, and back") {
  // What one number off by a uniform error of half a step costs, for weights like a normal distribution: int8 about
  // 0.007, int4 about 0.1, float8 with 3 and 2 bits of mantissa about 0.026 and 0.052.
  struct Row {
    Format format;
    double least;
    double most;
  };
  const Row rows[] = {{Format::qint8, 0.003, 0.015},  {Format::qint4, 0.05, 0.15},
                      {Format::qint2, 0.3, 0.8},      {Format::f8_e4m3fn, 0.02, 0.035},
                      {Format::f8_e5m2, 0.04, 0.065}, {Format::hadamard4, 0.05, 0.12}};
  for (const Row& row : rows) {
    const std::string name(precision::info(row.format).name);
    CAPTURE(name);
    const Folder work("moe_quantize_model");
    const auto report = quantize_model(kModel, work.path("out"), options_of(row.format));
    REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().message));
    // 4 layers: q, k, v, o, 16 experts of 3, a shared expert of 3; gates and the embedding stay.
    CHECK(report->num_modules == 4 * (4 + 16 * 3 + 3));
    CHECK(report->relative_rms > row.least);
    CHECK(report->relative_rms < row.most);
    CHECK(report->bytes_after < report->bytes_before);
    CHECK(report->map_file == (row.format == Format::hadamard4 ? "moe_qmap.json" : "quanto_qmap.json"));
    CHECK(contents(work.path("out/config.json")) == contents(fs::path(kModel) / "config.json"));
    check_model(kModel, work.path("out"), options_of(row.format));
  }
}

TEST_CASE("experts only, excluded modules, groups of one's own") {
  const Folder work("moe_quantize_some");
  QuantizeOptions options = options_of(Format::qint4);
  options.experts_only = true;
  options.excluded = {"*.layers.0.*", "*.experts.3.down_proj"};
  options.group = 32;
  uint64_t last = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    CHECK(done > last);
    CHECK(done <= total);
    last = done;
  };
  const auto report = quantize_model(kModel, work.path("out/"), options);
  REQUIRE(report.ok());
  CHECK(report->num_modules == 3 * (16 * 3 - 1));
  CHECK(report->map_file == "moe_qmap.json");  // quanto has whole rows where they are of 128 and less
  CHECK(last == report->bytes_before);
  check_model(kModel, work.path("out"), options);
  const auto out = store::open_model_files(work.path("out"));
  REQUIRE(out.ok());
  CHECK(find(out->tensors, "model.layers.0.mlp.experts.3.down_proj.weight") != nullptr);
  CHECK(find(out->tensors, "model.layers.2.mlp.experts.3.down_proj.weight") != nullptr);
  CHECK(find(out->tensors, "model.layers.2.mlp.experts.3.up_proj.weight._scale")->shape[0] == 96 * 128 / 32);
}

TEST_CASE("HQQ makes the error smaller") {
  const Folder work("moe_quantize_hqq");
  QuantizeOptions options = options_of(Format::qint2);
  options.experts_only = true;
  options.excluded = {"*.layers.[123].*"};
  const auto plain = quantize_model(kModel, work.path("plain"), options);
  options.hqq = true;
  const auto searched = quantize_model(kModel, work.path("searched"), options);
  REQUIRE((plain.ok() && searched.ok()));
  CHECK(searched->relative_rms < plain->relative_rms);
  CHECK(searched->bytes_after == plain->bytes_after);
}

TEST_CASE("shards stay shards") {
  const Folder work("moe_quantize_shards");
  using moe::test::f32;
  const auto first = std::vector{f32("layers.0.experts.0.up.weight", {4, 64}), f32("norm.weight", {64})};
  const auto second = std::vector{f32("layers.0.experts.1.up.weight", {4, 64})};
  // Random bits are no weights: halves of -64 to 63.
  const auto tame = [](std::vector<moe::test::FileTensor> tensors) {
    for (auto& tensor : tensors) {
      for (size_t i = 0; i < tensor.bytes.size(); i += 4) {
        const float value = static_cast<float>(static_cast<signed char>(tensor.bytes[i])) / 2;
        std::memcpy(tensor.bytes.data() + i, &value, 4);
      }
    }
    return tensors;
  };
  work.write("model/a.safetensors", moe::test::safetensors(tame(first)));
  work.write("model/b.safetensors", moe::test::safetensors(tame(second)));
  work.write("model/model.safetensors.index.json",
             R"({"weight_map":{"layers.0.experts.0.up.weight":"a.safetensors","norm.weight":"a.safetensors",
                 "layers.0.experts.1.up.weight":"b.safetensors"}})");
  const auto report = quantize_model(work.path("model"), work.path("out"), options_of(Format::qint8));
  REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().message));
  CHECK(report->num_modules == 2);
  CHECK(fs::exists(work.path("out/a.safetensors")));
  CHECK(fs::exists(work.path("out/b.safetensors")));
  check_model(work.path("model"), work.path("out"), options_of(Format::qint8));
  const auto index = nlohmann::json::parse(contents(work.path("out/model.safetensors.index.json")));
  CHECK(index["weight_map"]["layers.0.experts.1.up.weight._scale"] == "b.safetensors");
  CHECK(index["metadata"]["total_size"] == report->bytes_after);
}

}  // namespace
}  // namespace moe::checkpoint
