// SPDX-License-Identifier: Apache-2.0
// Where `import "x.moe"` finds its text. The front end itself reads no files: who calls it says where they are.
#pragma once
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace moe::frontend {

/// Finds and reads imported files. Used by one thread at a time.
class ImportResolver {
 public:
  /// One file, however it was reached.
  struct Location {
    std::string id;    ///< equal for two paths exactly when they lead to the same file; not empty
    std::string name;  ///< what findings call it
  };

  virtual ~ImportResolver() = default;
  /// The file that is compiled, by the name of its SourceFile.
  virtual Location main_file(std::string_view name) = 0;
  /// The file that `path` names, as written in `importer`: beside it, or in the standard library when it begins with
  /// `std/`. Errors: invalid (a path that is refused), io (there is no such file).
  virtual Result<Location> locate(std::string_view path, const Location& importer) = 0;
  /// Its text; of one that is longer than kMaxFileBytes, at least one byte more than that. Errors: io.
  virtual Result<std::string> read(const Location& file) = 0;
};

}  // namespace moe::frontend
