// SPDX-License-Identifier: Apache-2.0
#include "replay/npy.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

namespace moe::replay {
namespace {

constexpr size_t kMagicSize = 8;  // "\x93NUMPY", major, minor
constexpr size_t kMaxDimensions = 32;

Error bad(size_t offset, std::string_view reason) {
  return Error{Error::Kind::format, fmt::format("npy, offset {}: {}", offset, reason)};
}

/// The header: a Python dict literal of three known keys. A method that fails leaves `reason`.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  bool parse() {
    if (!expect('{')) return false;
    while (!peek('}')) {
      std::string_view key;
      if (!string(key) || !expect(':') || !value_of(key)) return false;
      if (!peek(',')) break;
      expect(',');
    }
    if (!expect('}')) return false;
    skip_space();
    if (at_ != text_.size()) return fail("text after the header's dict");
    if (descr.empty() || !has_order_ || !has_shape_)
      return fail("the header lacks `descr`, `fortran_order` or `shape`");
    return true;
  }
  size_t position() const { return at_; }

  std::string_view descr;
  bool fortran_order = false;
  std::vector<uint64_t> shape;
  std::string_view reason = "broken header";

 private:
  bool fail(std::string_view why) {
    reason = why;
    return false;
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool peek(char wanted) {
    skip_space();
    return at_ < text_.size() && text_[at_] == wanted;
  }
  bool expect(char wanted) {
    if (!peek(wanted)) return fail("broken header");
    ++at_;
    return true;
  }
  bool word(std::string_view wanted) {
    skip_space();
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }
  bool string(std::string_view& out) {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return fail("a string should be here");
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return fail("the string does not end");
    out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }
  bool value_of(std::string_view key) {
    if (key == "descr") return peek('[') ? fail("structured arrays are not supported") : string(descr);
    if (key == "shape") return tuple();
    if (key != "fortran_order") return fail("unknown key in the header");
    fortran_order = word("True");
    has_order_ = fortran_order || word("False");
    return has_order_ || fail("`fortran_order` is neither True nor False");
  }
  bool tuple() {
    if (!expect('(')) return false;
    shape.clear();
    while (!peek(')')) {
      uint64_t size = 0;
      const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (status != std::errc{}) return fail("a dimension is not a number");
      at_ = static_cast<size_t>(end - text_.data());
      if (shape.size() == kMaxDimensions) return fail("too many dimensions");
      shape.push_back(size);
      if (!peek(',')) break;
      expect(',');
    }
    has_shape_ = true;
    return expect(')');
  }

  std::string_view text_;
  size_t at_ = 0;
  bool has_order_ = false;
  bool has_shape_ = false;
};

// Where the header's text lies, or nullopt when the file is too short for what it says.
std::optional<std::pair<size_t, size_t>> header_range(Bytes file) {
  const uint8_t major = file[6];
  const size_t length_size = major == 1 ? 2 : 4;
  if (file.size() < kMagicSize + length_size) return std::nullopt;
  const size_t length = major == 1 ? read_le<uint16_t>(file, kMagicSize) : read_le<uint32_t>(file, kMagicSize);
  if (!fits(kMagicSize + length_size, length, file.size())) return std::nullopt;
  return std::pair{kMagicSize + length_size, length};
}

// Sets kind and item size; the reason it cannot, otherwise.
std::string parse_descr(std::string_view descr, NpyArray& array) {
  if (descr.size() != 3) return fmt::format("type `{}` is not supported", descr);
  if (descr[0] == '>') return fmt::format("type `{}` is big endian", descr);
  array.kind = descr[1];
  array.item_size = static_cast<size_t>(descr[2] - '0');
  const bool integer = (array.kind == 'u' || array.kind == 'i') &&
                       (array.item_size == 1 || array.item_size == 2 || array.item_size == 4 || array.item_size == 8);
  const bool real = array.kind == 'f' && (array.item_size == 2 || array.item_size == 4 || array.item_size == 8);
  const bool order_known = descr[0] == '<' || (array.item_size == 1 && (descr[0] == '|' || descr[0] == '='));
  if ((integer || real) && order_known) return "";
  return fmt::format("type `{}` is not supported", descr);
}

// Element i as the widest type of its kind.
int64_t signed_at(const NpyArray& array, size_t i) {
  switch (array.item_size) {
    case 1:
      return read_le<int8_t>(array.data, i);
    case 2:
      return read_le<int16_t>(array.data, i * 2);
    case 4:
      return read_le<int32_t>(array.data, i * 4);
    default:
      return read_le<int64_t>(array.data, i * 8);
  }
}

uint64_t unsigned_at(const NpyArray& array, size_t i) {
  switch (array.item_size) {
    case 1:
      return read_le<uint8_t>(array.data, i);
    case 2:
      return read_le<uint16_t>(array.data, i * 2);
    case 4:
      return read_le<uint32_t>(array.data, i * 4);
    default:
      return read_le<uint64_t>(array.data, i * 8);
  }
}

float real_at(const NpyArray& array, size_t i) {
  switch (array.item_size) {
    case 2:
      return half_to_float(read_le<uint16_t>(array.data, i * 2));
    case 4:
      return read_le<float>(array.data, i * 4);
    default:
      return static_cast<float>(read_le<double>(array.data, i * 8));
  }
}

}  // namespace

Result<NpyArray> parse_npy(Bytes file) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (file.size() < kMagicSize || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return bad(0, "not a .npy array");
  }
  if (file[6] < 1 || file[6] > 3) return bad(6, fmt::format("format version {} is not supported", file[6]));
  const auto range = header_range(file);
  if (!range) return bad(kMagicSize, "the header is cut off");
  const auto [start, length] = *range;

  HeaderParser header({reinterpret_cast<const char*>(file.data()) + start, length});
  if (!header.parse()) return bad(start + header.position(), header.reason);
  NpyArray array;
  if (const std::string reason = parse_descr(header.descr, array); !reason.empty()) return bad(start, reason);
  if (header.fortran_order && header.shape.size() > 1)
    return bad(start, "the array is in Fortran order; save it in C order");
  array.shape = header.shape;

  uint64_t size = array.item_size;
  for (uint64_t dimension : array.shape) {
    if (__builtin_mul_overflow(size, dimension, &size)) return bad(start, "the shape is too large");
  }
  array.data = file.subspan(start + length);
  if (array.data.size() != size) {
    return bad(start + length, fmt::format("{} bytes of elements, but the shape needs {}", array.data.size(), size));
  }
  return array;
}

Result<std::vector<uint32_t>> to_integers(const NpyArray& array, uint32_t max, std::string_view name) {
  if (array.kind == 'f') {
    return Error{Error::Kind::format, fmt::format("`{}` has floating-point elements where integers belong", name)};
  }
  std::vector<uint32_t> values(array.num_items());
  for (size_t i = 0; i < values.size(); ++i) {
    const bool negative = array.kind == 'i' && signed_at(array, i) < 0;
    const uint64_t value = array.kind == 'i' ? static_cast<uint64_t>(signed_at(array, i)) : unsigned_at(array, i);
    if (negative || value > max) {
      const std::string shown = negative ? fmt::format("{}", signed_at(array, i)) : fmt::format("{}", value);
      return Error{Error::Kind::format, fmt::format("`{}` element {}: {} is not in 0..{}", name, i, shown, max)};
    }
    values[i] = static_cast<uint32_t>(value);
  }
  return values;
}

std::vector<float> to_floats(const NpyArray& array) {
  std::vector<float> values(array.num_items());
  for (size_t i = 0; i < values.size(); ++i) {
    if (array.kind == 'f') {
      values[i] = real_at(array, i);
    } else {
      values[i] =
          array.kind == 'i' ? static_cast<float>(signed_at(array, i)) : static_cast<float>(unsigned_at(array, i));
    }
  }
  return values;
}

}  // namespace moe::replay
