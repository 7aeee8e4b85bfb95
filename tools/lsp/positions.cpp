// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/positions.h"

#include <algorithm>

namespace moe::lsp {
namespace {

constexpr uint32_t kStride = 1024;

// Counted at a character's first byte; what takes four bytes is a pair of surrogates.
uint32_t utf16_units(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if ((byte & 0xC0U) == 0x80) return 0;
  return byte >= 0xF0 ? 2 : 1;
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; }

}  // namespace

LineIndex::LineIndex(std::string_view text) : text_(text) {
  line_starts_.push_back(0);
  uint64_t units = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i % kStride == 0) units_.push_back(units);
    units += utf16_units(text[i]);
    const bool ends_line = text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'));
    if (ends_line) line_starts_.push_back(static_cast<uint32_t>(i + 1));
  }
  if (units_.empty()) units_.push_back(0);
}

uint64_t LineIndex::utf16_units_before(uint32_t offset) const {
  const size_t stride = std::min<size_t>(offset / kStride, units_.size() - 1);
  uint64_t units = units_[stride];
  for (size_t i = stride * kStride; i < offset; ++i) units += utf16_units(text_[i]);
  return units;
}

Position LineIndex::position(uint32_t offset, PositionEncoding encoding) const {
  offset = std::min(offset, static_cast<uint32_t>(text_.size()));
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<uint32_t>(after - line_starts_.begin() - 1);
  const uint32_t start = line_starts_[line];
  if (encoding == PositionEncoding::utf8) return {line, offset - start};
  return {line, static_cast<uint32_t>(utf16_units_before(offset) - utf16_units_before(start))};
}

Range LineIndex::range(ir::SourceSpan span, PositionEncoding encoding) const {
  return {position(span.begin, encoding), position(std::max(span.begin, span.end), encoding)};
}

uint32_t LineIndex::offset(Position position, PositionEncoding encoding) const {
  if (position.line >= line_starts_.size()) return static_cast<uint32_t>(text_.size());
  uint32_t at = line_starts_[position.line];
  uint32_t end = static_cast<uint32_t>(text_.size());
  if (position.line + 1 < line_starts_.size()) {
    end = line_starts_[position.line + 1];
    while (end > at && (text_[end - 1] == '\n' || text_[end - 1] == '\r')) --end;
  }
  uint32_t left = position.character;
  while (at < end) {
    uint32_t next = at + 1;
    while (next < end && continues_character(text_[next])) ++next;
    const uint32_t units = encoding == PositionEncoding::utf8 ? next - at : utf16_units(text_[at]);
    if (left < units || left == 0) break;
    left -= units;
    at = next;
  }
  return at;
}

}  // namespace moe::lsp
