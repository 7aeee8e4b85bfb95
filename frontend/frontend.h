// SPDX-License-Identifier: Apache-2.0
// The front end: source text -> AST -> checked PolicyIR.
//
// Input is untrusted: whatever the text is, these functions return, in time and memory linear in its size, and throw
// nothing but std::bad_alloc. Findings go to `diagnostics`, all of a file in one run. Safe from several threads at
// once; parses wait for one another only where a text has a turn of phrase that no text of the process had before.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/imports.h"
#include "ir/diagnostics.h"
#include "ir/policy.h"
#include "ir/source.h"

namespace moe::frontend {

/// The newest `version` a file may ask for.
inline constexpr double kLanguageVersion = 2.0;

struct ParseResult {
  /// What could be read, even where there were errors; nullopt when the text was refused as a whole.
  std::optional<ast::File> file;
};

ParseResult parse(const ir::SourceFile& source, ir::Diagnostics& diagnostics);

/// A param's value from outside (`--set NAME=VALUE`), for every policy of the file that has the param. `value` is a
/// literal of the language: a number with or without unit, true, false, a word or a string in quotes.
struct Setting {
  std::string name;
  std::string value;
};

struct LowerOptions {
  std::vector<Setting> settings;
  ImportResolver* imports = nullptr;  ///< nullptr: every `import` is an error
  bool replay = false;                ///< a recorded trace will be replayed: `belady` and `next_use` know the future
};

/// Reads what the file imports, checks it all and fills in every default. nullopt when there are errors, found here or
/// by the parser. Findings in imported files have their place there (ir::Diagnostics::place_of).
std::optional<ir::Module> lower(const ast::File& file, const LowerOptions& options, ir::Diagnostics& diagnostics);

/// parse and lower, findings in order of text.
std::optional<ir::Module> compile_to_ir(const ir::SourceFile& source, const LowerOptions& options,
                                        ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
