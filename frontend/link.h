// SPDX-License-Identifier: Apache-2.0
// A file and all that it imports, as one: policies in one list, expressions in one pool, spans on one line of offsets
// (see ir::Diagnostics). A file sees its own policies and those of the files that it imports itself, not theirs in
// turn.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/imports.h"
#include "ir/diagnostics.h"

namespace moe::frontend {

class Linked {
 public:
  /// One file.
  struct Unit {
    ImportResolver::Location location;
    uint32_t base = 0;                 ///< of its spans
    std::vector<ast::Import> imports;  ///< as written
    std::vector<size_t> imported;      ///< units; of imports that could be read, each unit once
    std::vector<ast::SourceSpan> imported_at;
    bool incomplete = false;  ///< some import could not be read, which has been reported
    size_t first_policy = 0;
    size_t end_policy = 0;
    std::map<std::string, size_t, std::less<>> names;  ///< its own policies, by name
  };

  /// A file that imports nothing is borrowed: it must outlive this.
  explicit Linked(const ast::File& main);

  const ast::File& file() const { return all_ ? *all_ : *main_; }
  const std::vector<ast::Policy>& policies() const { return file().policies; }
  /// The first so many policies are the file's own.
  size_t num_own() const { return units_.front().end_policy; }
  const std::vector<Unit>& units() const { return units_; }
  const Unit& unit_of(ast::SourceSpan span) const;

  /// The policy called `name` in the file that `span` is in.
  std::optional<size_t> find(std::string_view name, ast::SourceSpan span) const;
  /// What `find` knows there, for suggestions; at most 1,000.
  std::vector<std::string_view> names_at(ast::SourceSpan span) const;
  /// Reports that find() found nothing; not where an import that could not be read may have had it.
  void report_unknown(const ast::Name& name, ir::Diagnostics& diagnostics) const;
  /// Warns of imports of the main file from which nothing was found. Call it when all names have been looked up.
  void report_unused(ir::Diagnostics& diagnostics) const;

 private:
  friend class Linker;
  const ast::File* main_;
  std::optional<ast::File> all_;
  std::vector<Unit> units_;               ///< by ascending base; the main file first
  mutable std::vector<bool> found_from_;  ///< by the main file's `imported`: find() took something from it
};

/// Reads all imports, once each. Findings: of the imported files, in their place (their sources go to `diagnostics`);
/// of `import` itself; names that clash. `name`: the main file's.
Linked link(const ast::File& main, std::string_view name, ImportResolver* resolver, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
