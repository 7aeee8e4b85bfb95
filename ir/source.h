// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moe::ir {

/// Half-open byte range [begin, end) of a source file. An empty span at 0 means "not written: a default".
struct SourceSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool is_default() const { return begin == 0 && end == 0; }
  friend bool operator==(const SourceSpan&, const SourceSpan&) = default;
};

/// A value and where it was written.
template <class T>
struct Sourced {
  T value{};
  SourceSpan span{};
  Sourced() = default;
  Sourced(T v, SourceSpan s = {}) : value(std::move(v)), span(s) {}
  /// Where it was written makes no difference.
  friend bool operator==(const Sourced& a, const Sourced& b) { return a.value == b.value; }
};

/// Line and column, both from 1; columns count bytes.
struct LineColumn {
  uint32_t line = 1;
  uint32_t column = 1;
};

/// A named text and the index of its lines. Copies the text: spans stay valid as long as this lives.
class SourceFile {
 public:
  SourceFile(std::string name, std::string text);
  const std::string& name() const { return name_; }
  std::string_view text() const { return text_; }
  LineColumn locate(uint32_t offset) const;
  /// The line's text without its newline. `line` counts from 1.
  std::string_view line(uint32_t line) const;

 private:
  std::string name_;
  std::string text_;
  std::vector<uint32_t> line_starts_;
};

}  // namespace moe::ir
