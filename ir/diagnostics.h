// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ir/source.h"

namespace moe::ir {

enum class Severity { error, warning, note };

/// One finding about the author's text. Messages start lower case, have no final period, and put user text in
/// backticks; a hint is an action that can be applied as it is.
struct Diagnostic {
  Severity severity = Severity::error;
  std::string code;  ///< "MOE2103": stable. 1xxx syntax, 2xxx meaning, 3xxx codegen, 4xxx runtime
  SourceSpan span;
  std::string message;
  std::string hint;             ///< empty if none
  SourceSpan related_span{};    ///< a second place, e.g. the first of two duplicates; default if none
  std::string related_message;  ///< what is there
};

/// All findings of one file, in order of discovery; sort() puts them in order of text.
class Diagnostics {
 public:
  Diagnostic& error(std::string_view code, SourceSpan span, std::string message, std::string hint = "");
  Diagnostic& warning(std::string_view code, SourceSpan span, std::string message, std::string hint = "");
  void sort();
  bool has_errors() const;
  size_t num_errors() const;
  size_t num_warnings() const;
  bool empty() const { return items_.empty(); }
  const std::vector<Diagnostic>& items() const { return items_; }

 private:
  std::vector<Diagnostic> items_;
};

/// As a terminal shows them: `file:line:col: error[CODE]: message`, the line, a caret range, the hint. `color`: ANSI.
std::string render_text(const SourceFile& file, const Diagnostics& diagnostics, bool color);

/// A JSON array; each: file, severity, code, message, hint, line, column, end_line, end_column, begin, end [, related].
std::string render_json(const SourceFile& file, const Diagnostics& diagnostics);

/// The candidate nearest to `word` by edit distance (case ignored), or "" when none is near enough to be meant.
std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace moe::ir
