// SPDX-License-Identifier: Apache-2.0
// The whole way from text to AST, for those who need more than the AST.
#pragma once
#include <optional>
#include <string>

#include "frontend/ast.h"
#include "frontend/parse_tree.h"
#include "ir/diagnostics.h"
#include "ir/source.h"

namespace moe::frontend {

/// A file as parse() saw it. Where it was refused as a whole, `file` is nullopt and the tree may be empty.
struct ParsedSource {
  std::string text;  ///< as in the file, a byte order mark replaced by white space
  Tokens tokens;     ///< after repairs; without errors they are the file's own
  ParseTree tree;
  std::optional<ast::File> file;
};

ParsedSource parse_source(const ir::SourceFile& source, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
