// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/packed.h"

#include <algorithm>

#include "runtime/precision/hadamard.h"
#include "runtime/precision/pack.h"

namespace moe::checkpoint {
namespace {

using precision::Format;
using precision::Options;
using precision::Quantized;
using store::Tensor;
using store::TensorSpec;

const char* word(moe_dtype dtype) { return dtype == MOE_F32 ? "F32" : dtype == MOE_F16 ? "F16" : "BF16"; }

const char* code_word(Format format) {
  switch (format) {
    case Format::qint8:
      return "I8";
    case Format::f8_e4m3fn:
      return "F8_E4M3";
    case Format::f8_e5m2:
      return "F8_E5M2";
    default:
      return "U8";
  }
}

std::vector<uint8_t> numbers(moe_dtype dtype, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * precision::size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) precision::store(dtype, bytes.data(), i, values[i]);
  return bytes;
}

std::vector<uint8_t> nibbles(const std::vector<uint8_t>& codes) {
  std::vector<uint8_t> bytes(codes.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
  return bytes;
}

/// Finds tensors of one module, and says what is wrong with them.
class Module {
 public:
  Module(const std::vector<Tensor>& tensors, std::string name) : tensors_(tensors), name_(std::move(name)) {}

  Error wrong(const std::string& suffix, const std::string& reason) const {
    return {Error::Kind::format, "tensor `" + name_ + suffix + "`: " + reason};
  }

  Result<const Tensor*> find(const std::string& suffix) const {
    const std::string wanted = name_ + suffix;
    const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), wanted,
                                        [](const Tensor& t, const std::string& name) { return t.name < name; });
    if (found == tensors_.end() || found->name != wanted) return wrong(suffix, "is missing; the map names its module");
    return &*found;
  }

  /// Codes: `dtype_word`, of this shape.
  Result<const Tensor*> codes(const std::string& suffix, const char* dtype_word,
                              const std::vector<uint64_t>& shape) const {
    Result<const Tensor*> tensor = find(suffix);
    if (!tensor) return tensor;
    if ((*tensor)->dtype_word != dtype_word) {
      return wrong(suffix, "is " + (*tensor)->dtype_word + ", not " + dtype_word);
    }
    if ((*tensor)->shape != shape) return wrong(suffix, "has another shape than the model's");
    return tensor;
  }

  /// `count` numbers in a dtype of floating point, which must be `like`'s when that is given.
  Result<std::vector<float>> floats(const std::string& suffix, uint64_t count, moe_dtype& dtype, bool given) const {
    Result<const Tensor*> tensor = find(suffix);
    if (!tensor) return tensor.error();
    const Tensor& found = **tensor;
    if (found.dtype == MOE_OTHER) return wrong(suffix, "is " + found.dtype_word + ", not F32, F16 or BF16");
    if (given && found.dtype != dtype) return wrong(suffix, "is " + found.dtype_word + ", unlike the scales");
    dtype = found.dtype;
    if (found.size_bytes != count * precision::size_of(dtype)) {
      return wrong(suffix, "has " + std::to_string(found.size_bytes / precision::size_of(dtype)) + " numbers, not " +
                               std::to_string(count));
    }
    std::vector<float> values(count);
    for (uint64_t i = 0; i < count; ++i) values[i] = precision::load(dtype, found.data, i);
    return values;
  }

 private:
  const std::vector<Tensor>& tensors_;
  std::string name_;
};

std::vector<uint8_t> copy(const Tensor& tensor) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.data);
  return {bytes, bytes + tensor.size_bytes};
}

Result<Quantized> read_8_bits(const Module& module, Quantized result) {
  const Result<const Tensor*> data =
      module.codes(".weight._data", code_word(result.options.format), {result.rows, result.cols});
  if (!data) return data.error();
  Result<std::vector<float>> scale = module.floats(".weight._scale", result.rows, result.dtype, false);
  if (!scale) return scale.error();
  result.codes = copy(**data);
  result.scale = std::move(*scale);
  return result;
}

Result<Quantized> read_rotated(const Module& module, Quantized result) {
  if (precision::hadamard_block(result.cols) == 0) {
    return module.wrong(".weight._data", "rows of " + std::to_string(result.cols) + " cannot be in hadamard4");
  }
  const Result<const Tensor*> data = module.codes(".weight._data", "U8", {result.rows, result.cols / 2});
  if (!data) return data.error();
  Result<std::vector<float>> scale =
      module.floats(".weight._scale", result.rows * result.cols / precision::kHadamardGroup, result.dtype, false);
  if (!scale) return scale.error();
  for (const uint8_t byte : copy(**data)) {
    result.codes.push_back(byte & 15);
    result.codes.push_back(byte >> 4);
  }
  result.scale = std::move(*scale);
  return result;
}

Result<Quantized> read_affine(const Module& module, Quantized result) {
  const std::string suffix = ".weight._data._data";
  const uint32_t bits = precision::info(result.options.format).bits;
  const Result<const Tensor*> data = module.find(suffix);
  if (!data) return data.error();
  const std::vector<uint64_t>& shape = (*data)->shape;
  if ((*data)->dtype_word != "U8" || shape.size() != 2) return module.wrong(suffix, "is not a matrix of U8");
  const uint64_t length = shape[1];
  if (length == 0 || result.cols % length != 0) {
    return module.wrong(
        suffix, "groups of " + std::to_string(length) + " do not divide rows of " + std::to_string(result.cols));
  }
  const uint64_t groups = result.rows * (result.cols / length);
  if (shape[0] != precision::packed_rows(groups, bits)) {
    return module.wrong(suffix, "has " + std::to_string(shape[0]) + " rows; " + std::to_string(groups) +
                                    " groups are packed into " + std::to_string(precision::packed_rows(groups, bits)));
  }
  Result<std::vector<float>> scale = module.floats(".weight._scale", groups, result.dtype, false);
  if (!scale) return scale.error();
  Result<std::vector<float>> shift = module.floats(".weight._shift", groups, result.dtype, true);
  if (!shift) return shift.error();
  result.options.group = length == result.cols ? 0 : static_cast<uint32_t>(length);
  result.codes = precision::unpack(reinterpret_cast<const uint8_t*>((*data)->data), groups, length, bits);
  result.scale = std::move(*scale);
  result.shift = std::move(*shift);
  return result;
}

}  // namespace

std::vector<TensorSpec> packed_specs(const std::string& module, const Options& options, moe_dtype dtype, uint64_t rows,
                                     uint64_t cols) {
  const uint64_t width = precision::size_of(dtype);
  const std::string weight = module + ".weight.";
  if (options.format == Format::hadamard4) {
    const uint64_t groups = cols / precision::kHadamardGroup;
    return {{weight + "_data", "U8", {rows, cols / 2}, rows * cols / 2},
            {weight + "_scale", word(dtype), {rows, groups}, rows * groups * width}};
  }
  std::vector<TensorSpec> specs;
  if (precision::info(options.format).affine) {
    const uint64_t length = options.group ? options.group : cols;
    const uint64_t groups = rows * cols / length;
    const uint64_t packed = precision::packed_rows(groups, precision::info(options.format).bits);
    specs = {{weight + "_data._data", "U8", {packed, length}, packed * length},
             {weight + "_scale", word(dtype), {groups, 1}, groups * width},
             {weight + "_shift", word(dtype), {groups, 1}, groups * width}};
  } else {
    std::vector<uint64_t> scales;  // one row: the whole tensor's, without dimensions
    if (rows != 1) scales = {rows, 1};
    specs = {{weight + "_data", code_word(options.format), {rows, cols}, rows * cols},
             {weight + "_scale", word(dtype), scales, rows * width}};
  }
  for (const char* name : {".input_scale", ".output_scale"}) specs.push_back({module + name, word(dtype), {}, width});
  return specs;
}

Quantized as_saved(Quantized quantized) {
  const Options& options = quantized.options;
  if (options.format != Format::qint4 || quantized.dtype != MOE_BF16 || options.group != 128) return quantized;
  for (size_t k = 0; k < quantized.shift.size(); ++k) {
    quantized.shift[k] = precision::tinygemm_shift(quantized.scale[k], quantized.shift[k]);
  }
  return quantized;
}

std::vector<std::vector<uint8_t>> packed_bytes(const Quantized& quantized) {
  const Format format = quantized.options.format;
  const std::vector<uint8_t> scale = numbers(quantized.dtype, quantized.scale);
  if (format == Format::hadamard4) return {nibbles(quantized.codes), scale};
  const std::vector<uint8_t> one = numbers(quantized.dtype, {1});
  if (!precision::info(format).affine) return {quantized.codes, scale, one, one};
  return {precision::pack(quantized.codes.data(), quantized.code_rows(), quantized.code_cols(),
                          precision::info(format).bits),
          scale, numbers(quantized.dtype, quantized.shift), one, one};
}

Result<Quantized> read_packed(const std::vector<Tensor>& tensors, const std::string& module, Format format,
                              uint64_t rows, uint64_t cols) {
  const Module found(tensors, module);
  uint64_t elements = 0;
  if (rows == 0 || cols == 0 || __builtin_mul_overflow(rows, cols, &elements) || elements > UINT64_MAX / 16) {
    return found.wrong(".weight", "has no elements, or more than can be");
  }
  Quantized result;
  result.options.format = format;
  result.rows = rows;
  result.cols = cols;
  if (format == Format::hadamard4) return read_rotated(found, std::move(result));
  if (format == Format::native || format == Format::f8_e4m3fnuz) {
    return found.wrong(".weight", "files have no " + std::string(precision::info(format).name));
  }
  if (precision::info(format).affine) return read_affine(found, std::move(result));
  return read_8_bits(found, std::move(result));
}

}  // namespace moe::checkpoint
