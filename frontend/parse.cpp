// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/build_ast.h"
#include "frontend/check_text.h"
#include "frontend/frontend.h"
#include "frontend/parse_source.h"
#include "frontend/repair.h"
#include "frontend/syntax_errors.h"

namespace moe::frontend {
namespace {

// A byte order mark becomes white space, so that offsets stay those of the file.
std::string without_byte_order_mark(std::string_view text) {
  std::string out(text);
  for (size_t i = 0; i < byte_order_mark_length(text); ++i) out[i] = ' ';
  return out;
}

void check_has_policy(const ast::File& file, ir::Diagnostics& diagnostics) {
  if (!file.policies.empty() || file.broken) return;
  diagnostics.error("MOE1029", {}, "the file has no policy", "write `policy NAME { cache { capacity = 8 } }`");
}

}  // namespace

ParsedSource parse_source(const ir::SourceFile& source, ir::Diagnostics& diagnostics) {
  ParsedSource parsed;
  if (!check_text(source.text(), diagnostics)) return parsed;
  const size_t errors_before = diagnostics.num_errors();
  parsed.text = without_byte_order_mark(source.text());
  const std::string_view text = parsed.text;
  Tokens tokens = check_tokens(text, tokenize(text), diagnostics);
  if (!check_limits(tokens, diagnostics)) return parsed;
  parsed.tokens = balance_brackets(text, fill_missing_values(text, tokens, diagnostics), diagnostics);
  ParseOutcome outcome = parse_tokens(text, parsed.tokens);
  report_syntax_errors(text, parsed.tokens, outcome, diagnostics);
  if (outcome.gave_up) return parsed;
  parsed.tree = std::move(outcome.tree);
  const TreeSource tree{text, parsed.tokens, parsed.tree};
  BuiltExpressions expressions = build_expressions(tree, diagnostics);
  if (count_expression_nodes(expressions.exprs) > kMaxExpressionNodes) {
    diagnostics.error("MOE1006", {}, fmt::format("more than {} parts of expressions in one file", kMaxExpressionNodes),
                      "split the file");
    return parsed;
  }
  ast::File file = build_file(tree, std::move(expressions), diagnostics);
  file.name = source.name();
  check_has_policy(file, diagnostics);
  report_if_too_many(diagnostics);
  file.broken = file.broken || diagnostics.num_errors() > errors_before;
  parsed.file = std::move(file);
  return parsed;
}

ParseResult parse(const ir::SourceFile& source, ir::Diagnostics& diagnostics) {
  return {parse_source(source, diagnostics).file};
}

}  // namespace moe::frontend
