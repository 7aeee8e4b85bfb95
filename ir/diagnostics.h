// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
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

/// A place in one of several files.
struct SourcePlace {
  const SourceFile* file = nullptr;
  SourceSpan span;  ///< in that file
};

/// All findings of one file and what it imports, in order of discovery; sort() puts them in order of text.
///
/// Files share one line of offsets: the main file begins at 0, each imported one at the base that it was added with, so
/// a span alone says in which file it is. place_of() takes it apart again.
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

  /// A file that `import` brought; `base` is above all spans of the files before it.
  void add_imported(uint32_t base, std::shared_ptr<const SourceFile> file);
  /// Where a span is, `main` being the file that imports. A span without a place stays so, in `main`.
  SourcePlace place_of(const SourceFile& main, SourceSpan span) const;
  /// Whether the span is in the main file (or has no place).
  bool is_in_main(SourceSpan span) const { return imported_.empty() || span.begin < imported_.front().base; }

  /// Findings of another run, their spans moved by `base`; those without a place get the empty span at `base`.
  void append(const Diagnostics& other, uint32_t base);
  /// Drops the findings from number `first` on that `is_unwanted` holds for.
  void remove_if(size_t first, const std::function<bool(const Diagnostic&)>& is_unwanted);

 private:
  struct Imported {
    uint32_t base = 0;
    std::shared_ptr<const SourceFile> file;
  };
  std::vector<Diagnostic> items_;
  std::vector<Imported> imported_;  ///< by ascending base
};

/// As a terminal shows them: `file:line:col: error[CODE]: message`, the line, a caret range, the hint. `color`: ANSI.
std::string render_text(const SourceFile& file, const Diagnostics& diagnostics, bool color);

/// A JSON array; each: file, severity, code, message, hint, line, column, end_line, end_column, begin, end [, related].
std::string render_json(const SourceFile& file, const Diagnostics& diagnostics);

/// The candidate nearest to `word` by edit distance (case ignored), or "" when none is near enough to be meant.
std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace moe::ir
