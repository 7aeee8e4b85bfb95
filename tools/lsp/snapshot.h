// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "frontend/token.h"
#include "ir/diagnostics.h"
#include "ir/source.h"
#include "tools/lsp/outline.h"
#include "tools/lsp/positions.h"

namespace moe::lsp {

/// One version of a text and what is read off it. Never changes; all views point into itself.
class Snapshot {
 public:
  /// `path` names the text in findings, and its folder is where its imports are looked for; "" when it has no file.
  Snapshot(std::string path, std::string text);
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const std::string& path() const { return source_.name(); }
  std::string_view text() const { return source_.text(); }
  std::string_view text(ir::SourceSpan span) const { return text().substr(span.begin, span.end - span.begin); }
  std::string_view text(const frontend::Token& token) const { return text(token.span()); }
  const ir::SourceFile& source() const { return source_; }
  /// Of a text that the front end refuses for its size only the closing `end`.
  const frontend::Tokens& tokens() const { return tokens_; }
  const LineIndex& lines() const { return lines_; }
  const Outline& outline() const { return outline_; }

 private:
  ir::SourceFile source_;
  frontend::Tokens tokens_;
  LineIndex lines_;
  Outline outline_;
};

}  // namespace moe::lsp
