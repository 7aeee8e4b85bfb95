// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/build_ast.h"
#include "frontend/check_text.h"
#include "frontend/frontend.h"
#include "frontend/parse_tree.h"
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

ParseResult parse(const ir::SourceFile& source, ir::Diagnostics& diagnostics) {
  if (!check_text(source.text(), diagnostics)) return {};
  const size_t errors_before = diagnostics.num_errors();
  const std::string text = without_byte_order_mark(source.text());
  Tokens tokens = check_tokens(text, tokenize(text), diagnostics);
  if (!check_limits(tokens, diagnostics)) return {};
  tokens = balance_brackets(text, fill_missing_values(text, tokens, diagnostics), diagnostics);
  const ParseOutcome outcome = parse_tokens(text, tokens);
  report_syntax_errors(text, tokens, outcome, diagnostics);
  if (outcome.gave_up) return {};
  const TreeSource tree{text, tokens, outcome.tree};
  BuiltExpressions expressions = build_expressions(tree, diagnostics);
  if (count_expression_nodes(expressions.exprs) > kMaxExpressionNodes) {
    diagnostics.error("MOE1006", {}, fmt::format("more than {} parts of expressions in one file", kMaxExpressionNodes),
                      "split the file");
    return {};
  }
  ast::File file = build_file(tree, std::move(expressions), diagnostics);
  file.name = source.name();
  check_has_policy(file, diagnostics);
  report_if_too_many(diagnostics);
  file.broken = file.broken || diagnostics.num_errors() > errors_before;
  return {std::move(file)};
}

}  // namespace moe::frontend
