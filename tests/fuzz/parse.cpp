// SPDX-License-Identifier: Apache-2.0
// Lexer, parser, formatter: bytes to a tree, to its printed forms and back to text.
#include <optional>
#include <string>

#include "frontend/format.h"
#include "frontend/frontend.h"
#include "tests/fuzz/target.h"

namespace {

using moe::test::require;

void check_findings(const moe::ir::SourceFile& file, const moe::ir::Diagnostics& diagnostics) {
  for (const moe::ir::Diagnostic& finding : diagnostics.items()) {
    const bool inside = finding.span.begin <= finding.span.end && finding.span.end <= file.text().size();
    require(inside, "a span outside of the text");
    require(!finding.message.empty(), "an empty message");
  }
  require(diagnostics.empty() == moe::ir::render_text(file, diagnostics, true).empty(), "findings without a text");
}

void check_format(const moe::ir::SourceFile& file) {
  moe::ir::Diagnostics diagnostics;
  const std::optional<std::string> once = moe::frontend::format_source(file, diagnostics);
  if (!once) return;
  const moe::ir::SourceFile formatted("once.moe", *once);
  const std::optional<std::string> twice = moe::frontend::format_source(formatted, diagnostics);
  require(twice == once, "formatting again changes the text");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const moe::ir::SourceFile file("fuzzed.moe", std::string(moe::test::as_text(data, size)));
  moe::ir::Diagnostics diagnostics;
  const moe::frontend::ParseResult parsed = moe::frontend::parse(file, diagnostics);
  require(parsed.file.has_value() || diagnostics.has_errors(), "no file and no error");
  if (parsed.file) {
    require(!moe::frontend::ast::print_text(*parsed.file).empty() || parsed.file->policies.empty(), "an empty outline");
    require(!moe::frontend::ast::print_json(*parsed.file).empty(), "no JSON");
  }
  check_findings(file, diagnostics);
  check_format(file);
  return 0;
}
