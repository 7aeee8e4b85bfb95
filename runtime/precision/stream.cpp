// SPDX-License-Identifier: Apache-2.0
#include "runtime/precision/stream.h"

#include <cmath>
#include <cstring>
#include <string>

#include "runtime/precision/hadamard.h"

namespace moe::precision {
namespace {

Error invalid(std::string reason) { return {Error::Kind::invalid, std::move(reason)}; }

constexpr uint64_t aligned(uint64_t bytes) { return (bytes + kStreamAlignment - 1) & ~(kStreamAlignment - 1); }

uint32_t bits_of(const PartExtent& part) {
  return part.format == Format::native ? 8 * size_of(part.shape.dtype) : info(part.format).bits;
}

uint64_t group_of(const PartShape& shape, const Precision& precision) {
  if (precision.format == Format::hadamard4) return kHadamardGroup;
  if (!info(precision.format).affine) return shape.cols;
  uint64_t group = precision.group == Precision::kQuantoGroup ? default_group(shape.cols) : precision.group;
  if (group == 0 || shape.cols % group != 0) group = shape.cols;
  return group;
}

Result<void> check(const PartShape& shape, const Precision& precision) {
  if (shape.rows == 0 || shape.cols == 0) return invalid("an expert's part without elements");
  if (shape.dtype != MOE_F32 && shape.dtype != MOE_F16 && shape.dtype != MOE_BF16) {
    return invalid("an expert's parts are of f32, f16 or bf16");
  }
  constexpr uint64_t kMostElements = uint64_t{1} << 48;
  if (shape.cols > kMostElements / shape.rows) return invalid("an expert's part that large cannot exist");
  if (!shape.quantized) return {};
  if (precision.format == Format::hadamard4 && hadamard_block(shape.cols) == 0) {
    return invalid("hadamard4 needs rows of a multiple of 32 numbers, not of " + std::to_string(shape.cols));
  }
  const uint64_t group = group_of(shape, precision);
  if (info(precision.format).affine && group != shape.cols && group * info(precision.format).bits % 8 != 0) {
    return invalid("groups of " + std::to_string(group) + " do not begin at whole bytes");
  }
  return {};
}

PartExtent extent_of(const PartShape& shape, const Precision& precision, uint64_t offset) {
  PartExtent part;
  part.shape = shape;
  part.format = shape.quantized ? precision.format : Format::native;
  part.group = part.format == Format::native ? shape.cols : group_of(shape, precision);
  part.row_bytes = (shape.cols * bits_of(part) + 7) / 8;
  const uint64_t scale_bytes = shape.rows * (shape.cols / part.group) * size_of(shape.dtype);
  part.scales_offset = offset;
  part.shifts_offset = part.scales_offset + (part.format == Format::native ? 0 : aligned(scale_bytes));
  part.codes_offset = part.shifts_offset + (info(part.format).affine ? aligned(scale_bytes) : 0);
  part.end_offset = part.codes_offset + aligned(shape.rows * part.row_bytes);
  return part;
}

void write_numbers(moe_dtype dtype, const std::vector<float>& values, uint8_t* to) {
  for (size_t i = 0; i < values.size(); ++i) store(dtype, to, i, values[i]);
}

}  // namespace

Result<ExpertStream> ExpertStream::plan(const std::vector<PartShape>& parts, const Precision& precision) {
  if (parts.empty()) return invalid("an expert without parts");
  std::vector<PartExtent> extents;
  uint64_t offset = 0;
  for (const PartShape& shape : parts) {
    if (Result<void> good = check(shape, precision); !good) return good.error();
    extents.push_back(extent_of(shape, precision, offset));
    offset = extents.back().end_offset;
  }
  return ExpertStream(std::move(extents));
}

Result<uint64_t> stream_size(const std::vector<PartShape>& parts, const Precision& precision) {
  Result<ExpertStream> stream = ExpertStream::plan(parts, precision);
  if (!stream) return stream.error();
  return stream->size_bytes();
}

void ExpertStream::write_part(const PartExtent& part, const Quantized& quantized, uint8_t* extent) const {
  std::memset(extent + part.scales_offset, 0, part.end_offset - part.scales_offset);
  write_numbers(part.shape.dtype, quantized.scale, extent + part.scales_offset);
  if (info(part.format).affine) write_numbers(part.shape.dtype, quantized.shift, extent + part.shifts_offset);
  const uint32_t bits = bits_of(part);
  const uint8_t* code = quantized.codes.data();
  for (uint64_t r = 0; r < part.shape.rows; ++r) {
    uint8_t* const row = extent + part.codes_offset + r * part.row_bytes;
    for (uint64_t bit = 0; bit < part.shape.cols * bits; bit += bits) {
      row[bit / 8] = static_cast<uint8_t>(row[bit / 8] | *code++ << (bit % 8));
    }
  }
}

Result<ExpertStream::Notes> ExpertStream::encode(const std::vector<const void*>& parts, void* extent) const {
  if (parts.size() != parts_.size()) return invalid("an expert of another number of parts");
  auto* const bytes = static_cast<uint8_t*>(extent);
  Notes notes;
  for (size_t p = 0; p < parts_.size(); ++p) {
    const PartExtent& part = parts_[p];
    const PartShape& shape = part.shape;
    if (part.format == Format::native) {
      const uint64_t size = shape.rows * part.row_bytes;
      std::memcpy(bytes + part.codes_offset, parts[p], size);
      std::memset(bytes + part.codes_offset + size, 0, part.end_offset - part.codes_offset - size);
      continue;
    }
    for (uint64_t i = 0; i < shape.rows * shape.cols; ++i) {
      if (std::isfinite(load(shape.dtype, parts[p], i))) continue;
      return Error{Error::Kind::format,
                   "weight " + std::to_string(i) + " of an expert's part " + std::to_string(p) + " is not finite"};
    }
    Options options;
    options.format = part.format;
    if (info(part.format).affine && part.group != shape.cols) options.group = static_cast<uint32_t>(part.group);
    Result<Quantized> quantized = quantize({shape.dtype, shape.rows, shape.cols, parts[p]}, options);
    if (!quantized) return quantized.error();
    notes.num_zero_scales += quantized->num_zero_scales;
    write_part(part, *quantized, bytes);
  }
  return notes;
}

Result<void> ExpertStream::place(size_t part, const Quantized& quantized, void* extent) const {
  if (part >= parts_.size()) return invalid("an expert has no part " + std::to_string(part));
  const PartExtent& wanted = parts_[part];
  const bool fits = quantized.rows == wanted.shape.rows && quantized.cols == wanted.shape.cols &&
                    quantized.options.format == wanted.format && quantized.dtype == wanted.shape.dtype &&
                    quantized.options.axis == Axis::rows && !quantized.options.zeropoint &&
                    quantized.group_length() == wanted.group;
  if (!fits) return invalid("codes of another shape, format, dtype or group than the layout's");
  write_part(wanted, quantized, static_cast<uint8_t*>(extent));
  return {};
}

void ExpertStream::decode(const void* extent, moe_dtype dtype, void* const* out) const noexcept {
  for (size_t p = 0; p < parts_.size(); ++p) decode_rows(extent, p, 0, parts_[p].shape.rows, dtype, out[p]);
}

CodedRows ExpertStream::rows_of(const void* extent, size_t part, uint64_t first, uint64_t num_rows) const noexcept {
  const PartExtent& p = parts_[part];
  const auto* const bytes = static_cast<const uint8_t*>(extent);
  const uint64_t scale_row = p.shape.cols / p.group * size_of(p.shape.dtype);
  CodedRows rows;
  rows.format = p.format;
  rows.dtype = p.shape.dtype;
  rows.rows = num_rows;
  rows.cols = p.shape.cols;
  rows.group = p.group;
  rows.row_bytes = p.row_bytes;
  rows.scales = bytes + p.scales_offset + first * scale_row;
  rows.shifts = bytes + p.shifts_offset + first * scale_row;
  rows.codes = bytes + p.codes_offset + first * p.row_bytes;
  return rows;
}

void ExpertStream::decode_rows(const void* extent, size_t part, uint64_t first, uint64_t num_rows, moe_dtype dtype,
                               void* out) const noexcept {
  precision::decode_rows(rows_of(extent, part, first, num_rows), dtype, out);
}

}  // namespace moe::precision
