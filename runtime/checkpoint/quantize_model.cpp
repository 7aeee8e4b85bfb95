// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/quantize_model.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/checkpoint/modules.h"
#include "runtime/checkpoint/new_folder.h"
#include "runtime/checkpoint/packed.h"
#include "runtime/checkpoint/qmap.h"
#include "runtime/precision/hadamard.h"
#include "runtime/store/model_files.h"

namespace moe::checkpoint {
namespace {

namespace fs = std::filesystem;
using precision::Format;
using precision::Quantized;
using store::Tensor;
using store::TensorSpec;

/// One source file and what it becomes.
struct Shard {
  const store::MappedFile* file = nullptr;
  std::string name;
  std::vector<const Tensor*> tensors;
};

std::vector<Shard> shards_of(const store::ModelFiles& model) {
  std::vector<Shard> shards(model.files.size());
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].file = &model.files[i];
    shards[i].name = model.names[i];
  }
  for (const Tensor& tensor : model.tensors) {
    for (Shard& shard : shards) {
      const char* begin = shard.file->data();
      if (tensor.data >= begin && tensor.data <= begin + shard.file->size_bytes()) {
        shard.tensors.push_back(&tensor);
        break;
      }
    }
  }
  return shards;
}

/// Carries the conversion out and counts.
class Conversion {
 public:
  Conversion(const QuantizeOptions& options, fs::path out) : options_(options), out_(std::move(out)) {}

  Result<QuantizeReport> run(const std::string& dir, const store::ModelFiles& model) {
    for (const Tensor& tensor : model.tensors) report_.bytes_before += tensor.size_bytes;
    const std::vector<Shard> shards = shards_of(model);
    for (const Shard& shard : shards) {
      if (Result<void> converted = convert(shard); !converted) return converted.error();
      shard.file->drop_pages();
    }
    if (report_.num_modules == 0) {
      return Error{Error::Kind::format,
                   dir + ": no weight to quantize is left; experts that are fused in one tensor stay"};
    }
    const bool one_file = shards.size() == 1 && shards[0].name == "model.safetensors";
    if (!one_file) {
      if (Result<void> indexed = write_index(); !indexed) return indexed.error();
    }
    report_.map_file = for_quanto_ ? kQuantoMap : kOwnMap;
    if (Result<void> mapped = write_text(report_.map_file, to_json(map_)); !mapped) return mapped.error();
    report_.relative_rms = std::sqrt(squared_error_ / squared_weights_);
    if (squared_weights_ == 0) report_.relative_rms = 0;
    return report_;
  }

 private:
  precision::Options options_for(const Tensor& tensor) const {
    precision::Options options;
    options.format = options_.format;
    if (!precision::info(options.format).affine) return options;
    const uint64_t cols = tensor.shape[1];
    options.hqq = options_.hqq;
    options.group = options_.group == kDefaultGroup ? precision::default_group(cols) : options_.group;
    if (options.group == 0 || cols % options.group != 0 || cols == options.group) options.group = 0;
    return options;
  }

  bool takes(const Tensor& tensor) {
    if (!is_quantizable(tensor, options_.experts_only, options_.excluded)) return false;
    if (options_.format == Format::hadamard4 && precision::hadamard_block(tensor.shape[1]) == 0) {
      ++report_.num_not_fitting;
      return false;
    }
    return true;
  }

  Result<void> convert(const Shard& shard) {
    std::vector<TensorSpec> specs;
    std::vector<bool> taken;
    for (const Tensor* tensor : shard.tensors) {
      taken.push_back(takes(*tensor));
      if (!taken.back()) {
        specs.push_back({tensor->name, tensor->dtype_word, tensor->shape, tensor->size_bytes});
        continue;
      }
      for (TensorSpec& spec :
           packed_specs(module_of(*tensor), options_for(*tensor), tensor->dtype, tensor->shape[0], tensor->shape[1])) {
        specs.push_back(std::move(spec));
      }
    }
    auto metadata = store::read_safetensors_metadata(shard.file->text(), shard.name);
    if (!metadata) return metadata.error();
    for (const TensorSpec& spec : specs) {
      if (!weight_map_.emplace(spec.name, shard.name).second) {
        return Error{Error::Kind::format, shard.name + ": tensor `" + spec.name + "` would be there twice"};
      }
      report_.bytes_after += spec.size_bytes;
    }
    auto writer = store::SafetensorsWriter::create((out_ / shard.name).string(), std::move(specs), *metadata);
    if (!writer) return writer.error();
    for (size_t i = 0; i < shard.tensors.size(); ++i) {
      const Tensor& tensor = *shard.tensors[i];
      Result<void> written = taken[i] ? write_quantized(tensor, *writer) : write_kept(tensor, *writer);
      if (!written) return written;
      done_bytes_ += tensor.size_bytes;
      if (options_.progress) options_.progress(done_bytes_, report_.bytes_before);
    }
    return writer->finish();
  }

  Result<void> write_kept(const Tensor& tensor, store::SafetensorsWriter& writer) {
    ++report_.num_kept;
    return writer.write(tensor.name, tensor.data, tensor.size_bytes);
  }

  Result<void> write_quantized(const Tensor& tensor, store::SafetensorsWriter& writer) {
    const uint64_t rows = tensor.shape[0];
    const uint64_t cols = tensor.shape[1];
    for (uint64_t i = 0; i < rows * cols; ++i) {
      if (std::isfinite(precision::load(tensor.dtype, tensor.data, i))) continue;
      return Error{Error::Kind::format, "tensor `" + tensor.name + "`: weight " + std::to_string(i) + " is not finite"};
    }
    const precision::Options options = options_for(tensor);
    Result<Quantized> quantized = precision::quantize({tensor.dtype, rows, cols, tensor.data}, options);
    if (!quantized) return quantized.error();
    quantized = as_saved(std::move(*quantized));
    measure(tensor, precision::dequantize(*quantized));
    report_.num_zero_rows += quantized->num_zero_scales;
    ++report_.num_modules;
    const std::string module = module_of(tensor);
    map_[module] = options.format;
    if (options.format == Format::hadamard4) for_quanto_ = false;
    if (precision::info(options.format).affine && options.group != precision::default_group(cols)) for_quanto_ = false;
    const std::vector<TensorSpec> specs = packed_specs(module, options, tensor.dtype, rows, cols);
    const std::vector<std::vector<uint8_t>> bytes = packed_bytes(*quantized);
    for (size_t i = 0; i < specs.size(); ++i) {
      Result<void> written = writer.write(specs[i].name, bytes[i].data(), bytes[i].size());
      if (!written) return written;
    }
    return {};
  }

  void measure(const Tensor& tensor, const std::vector<float>& back) {
    for (size_t i = 0; i < back.size(); ++i) {
      const double weight = precision::load(tensor.dtype, tensor.data, i);
      squared_weights_ += weight * weight;
      squared_error_ += (weight - back[i]) * (weight - back[i]);
    }
  }

  Result<void> write_index() const {
    nlohmann::json index;
    index["metadata"]["total_size"] = report_.bytes_after;
    index["weight_map"] = weight_map_;
    return write_text("model.safetensors.index.json", index.dump(2) + "\n");
  }

  Result<void> write_text(const std::string& name, const std::string& text) const {
    std::ofstream file(out_ / name, std::ios::binary);
    file << text;
    file.close();
    if (!file) return Error{Error::Kind::io, "cannot write `" + (out_ / name).string() + "`"};
    return {};
  }

  const QuantizeOptions& options_;
  fs::path out_;
  QuantizeReport report_;
  QuantizationMap map_;
  std::map<std::string, std::string> weight_map_;  ///< tensor -> file
  bool for_quanto_ = true;
  uint64_t done_bytes_ = 0;
  double squared_error_ = 0;
  double squared_weights_ = 0;
};

}  // namespace

Result<QuantizeReport> quantize_model(const std::string& dir, const std::string& out, const QuantizeOptions& options) {
  Result<std::optional<QuantizationMap>> map = read_map(dir);
  if (!map) return map.error();
  if (*map) return Error{Error::Kind::format, dir + ": is quantized already; quantize the original model"};
  Result<store::ModelFiles> model = store::open_model_files(dir);
  if (!model) return model.error();
  Result<NewFolder> folder = NewFolder::create(out);
  if (!folder) return folder.error();
  if (Result<void> copied = copy_small_files(dir, folder->path()); !copied) return copied.error();
  Result<QuantizeReport> report = Conversion(options, folder->path()).run(dir, *model);
  if (!report) return report;
  if (Result<void> published = folder->publish(); !published) return published.error();
  return report;
}

}  // namespace moe::checkpoint
