// SPDX-License-Identifier: Apache-2.0
// Byte offsets as the protocol's lines and characters, and back.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/source.h"

namespace moe::lsp {

/// What `Position::character` counts. UTF-16 is the protocol's default.
enum class PositionEncoding : uint8_t { utf16, utf8 };

/// Both count from 0.
struct Position {
  uint32_t line = 0;
  uint32_t character = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

struct Range {
  Position start;
  Position end;
  friend bool operator==(const Range&, const Range&) = default;
};

/// The lines of a text: they end with \n, \r\n or \r. The text must outlive the index.
///
/// Cost  construction: linear. position(): logarithmic, whatever the length of the line. offset(): the line's length.
class LineIndex {
 public:
  explicit LineIndex(std::string_view text);
  Position position(uint32_t offset, PositionEncoding encoding) const;
  Range range(ir::SourceSpan span, PositionEncoding encoding) const;
  /// Beyond the end of a line is its end, inside a character its beginning, beyond the last line the end of the text.
  uint32_t offset(Position position, PositionEncoding encoding) const;

 private:
  uint64_t utf16_units_before(uint32_t offset) const;

  std::string_view text_;
  std::vector<uint32_t> line_starts_;
  std::vector<uint64_t> units_;  ///< UTF-16 units before every kStride-th byte
};

}  // namespace moe::lsp
