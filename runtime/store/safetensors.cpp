// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/safetensors.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "runtime/store/json.h"

namespace moe::store {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kLengthBytes = 8;

// In the order of the reference implementation's enumeration.
constexpr Dtype kDtypes[] = {
    {"BOOL", MOE_OTHER, 1},    {"U8", MOE_OTHER, 1},      {"I8", MOE_OTHER, 1},  {"F8_E5M2", MOE_OTHER, 1},
    {"F8_E4M3", MOE_OTHER, 1}, {"F8_E8M0", MOE_OTHER, 1}, {"I16", MOE_OTHER, 2}, {"U16", MOE_OTHER, 2},
    {"F16", MOE_F16, 2},       {"BF16", MOE_BF16, 2},     {"I32", MOE_OTHER, 4}, {"U32", MOE_OTHER, 4},
    {"F32", MOE_F32, 4},       {"C64", MOE_OTHER, 8},     {"F64", MOE_OTHER, 8}, {"I64", MOE_OTHER, 8},
    {"U64", MOE_OTHER, 8},
};

/// nullopt when the product does not fit in 64 bits.
std::optional<uint64_t> product(const std::vector<uint64_t>& factors) {
  uint64_t result = 1;
  bool fits = true;
  for (const uint64_t factor : factors) {
    if (factor == 0) return 0;
    if (fits) fits = !__builtin_mul_overflow(result, factor, &result);
  }
  return fits ? std::optional(result) : std::nullopt;
}

/// One entry of the header, and where its bytes begin, counted from the end of the header.
struct Placed {
  Tensor tensor;
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// What is wrong with a file, and where.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Result<json> parse_header() {
    Result<std::string_view> header = take_header();
    if (!header) return header.error();
    return parse_object(*header, file_ + ": header");
  }

  Result<std::vector<Tensor>> read() {
    Result<json> parsed = parse_header();
    if (!parsed) return parsed.error();
    std::vector<Placed> placed;
    for (const auto& [name, entry] : parsed->items()) {
      if (name == "__metadata__") continue;
      Result<Placed> one = read_entry(name, entry);
      if (!one) return one.error();
      placed.push_back(std::move(*one));
    }
    if (Result<void> packed = check_packed(placed); !packed) return packed.error();
    std::vector<Tensor> tensors;
    tensors.reserve(placed.size());
    for (Placed& one : placed) tensors.push_back(std::move(one.tensor));
    std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
    return tensors;
  }

 private:
  Error wrong(const std::string& reason) const { return {Error::Kind::format, file_ + ": " + reason}; }
  Error wrong(const std::string& name, const std::string& reason) const {
    return wrong("tensor `" + name + "`: " + reason);
  }

  Result<std::string_view> take_header() {
    if (bytes_.size() < kLengthBytes) {
      return wrong("only " + std::to_string(bytes_.size()) + " bytes long, too short for a header length");
    }
    uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), kLengthBytes);
    if (length > kMaxHeaderBytes) {
      return wrong("header length " + std::to_string(length) + " at byte 0 is over the limit of 100000000");
    }
    if (length > bytes_.size() - kLengthBytes) {
      return wrong("header length " + std::to_string(length) + " at byte 0 goes beyond the file's " +
                   std::to_string(bytes_.size()) + " bytes");
    }
    data_ = bytes_.substr(kLengthBytes + length);
    return bytes_.substr(kLengthBytes, length);
  }

  Result<Placed> read_entry(const std::string& name, const json& entry) const {
    if (!entry.is_object()) return wrong(name, "its description is not an object");
    const auto dtype = entry.find("dtype");
    if (dtype == entry.end() || !dtype->is_string()) return wrong(name, "no `dtype`");
    Placed placed;
    placed.tensor.name = name;
    placed.tensor.dtype_word = dtype->get<std::string>();
    const auto shape = entry.find("shape");
    if (shape == entry.end() || !shape->is_array()) return wrong(name, "no `shape`");
    for (const json& dimension : *shape) {
      if (!dimension.is_number_unsigned()) return wrong(name, "`shape` has something else than whole numbers");
      placed.tensor.shape.push_back(dimension.get<uint64_t>());
    }
    const auto offsets = entry.find("data_offsets");
    const bool two = offsets != entry.end() && offsets->is_array() && offsets->size() == 2;
    if (!two || !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
      return wrong(name, "`data_offsets` is not two whole numbers");
    }
    placed.begin = (*offsets)[0].get<uint64_t>();
    placed.end = (*offsets)[1].get<uint64_t>();
    if (Result<void> fits = check_size(placed); !fits) return fits.error();
    placed.tensor.data = data_.data() + placed.begin;
    placed.tensor.size_bytes = placed.end - placed.begin;
    return placed;
  }

  Result<void> check_size(Placed& placed) const {
    const std::string& name = placed.tensor.name;
    const std::string range = "[" + std::to_string(placed.begin) + ", " + std::to_string(placed.end) + ")";
    if (placed.begin > placed.end) return wrong(name, "data_offsets " + range + " run backwards");
    if (placed.end > data_.size()) {
      return wrong(name, "data_offsets " + range + " go beyond the " + std::to_string(data_.size()) + " bytes of data");
    }
    const Dtype* dtype = find_dtype(placed.tensor.dtype_word);
    if (!dtype) return {};  // a dtype of tomorrow: its bytes are where the file says, more cannot be checked
    placed.tensor.dtype = dtype->dtype;
    const std::optional<uint64_t> size = tensor_bytes(*dtype, placed.tensor.shape);
    if (!size) return wrong(name, "its shape overflows 64 bits");
    if (*size != placed.end - placed.begin) {
      return wrong(name, "data_offsets " + range + " hold " + std::to_string(placed.end - placed.begin) +
                             " bytes, shape and dtype " + placed.tensor.dtype_word + " need " + std::to_string(*size));
    }
    return {};
  }

  /// The format allows neither overlaps nor holes, so that nothing can hide in a file.
  Result<void> check_packed(std::vector<Placed>& placed) const {
    std::sort(placed.begin(), placed.end(),
              [](const Placed& a, const Placed& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
    uint64_t at = 0;
    for (const Placed& one : placed) {
      if (one.begin != at) {
        return wrong(one.tensor.name,
                     "begins at data byte " + std::to_string(one.begin) +
                         (one.begin < at ? ", inside another tensor that ends at " : ", after a hole that begins at ") +
                         std::to_string(at));
      }
      at = one.end;
    }
    if (at != data_.size()) {
      return wrong("the tensors end at data byte " + std::to_string(at) + ", the data at " +
                   std::to_string(data_.size()));
    }
    return {};
  }

  std::string_view bytes_;
  std::string_view data_;
  const std::string& file_;
};

}  // namespace

const Dtype* find_dtype(std::string_view word) {
  const auto* found =
      std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const Dtype& d) { return d.word == word; });
  return found == std::end(kDtypes) ? nullptr : found;
}

std::optional<uint64_t> tensor_bytes(const Dtype& dtype, const std::vector<uint64_t>& shape) {
  std::optional<uint64_t> size = product(shape);
  if (size && __builtin_mul_overflow(*size, dtype.size_bytes, &*size)) size.reset();
  return size;
}

Result<std::vector<Tensor>> read_safetensors(std::string_view bytes, const std::string& file) {
  return Reader(bytes, file).read();
}

Result<std::map<std::string, std::string>> read_safetensors_metadata(std::string_view bytes, const std::string& file) {
  Result<json> header = Reader(bytes, file).parse_header();
  if (!header) return header.error();
  std::map<std::string, std::string> metadata;
  const auto found = header->find("__metadata__");
  if (found == header->end() || !found->is_object()) return metadata;
  for (const auto& [key, value] : found->items()) {
    if (value.is_string()) metadata[key] = value.get<std::string>();
  }
  return metadata;
}

std::optional<uint32_t> dtype_rank(std::string_view dtype_word) {
  const Dtype* found = find_dtype(dtype_word);
  if (!found) return std::nullopt;
  return static_cast<uint32_t>(found - kDtypes);
}

}  // namespace moe::store
