// SPDX-License-Identifier: Apache-2.0
// `import` from the file system.
#pragma once
#include <string>

#include "frontend/imports.h"

namespace moe::compiler {

/// The folder of the standard library: the environment's MOE_STD, else `share/moe/std` (an installed tree) or
/// `stdlib-policies` (a source tree) in the nearest folder above this program or library. "" when there is none.
std::string find_standard_library();

/// `x.moe` is beside the importing file, `std/x.moe` in the standard library. Only regular files whose name ends in
/// .moe are read, so that a policy cannot show other files in its findings; nothing of the standard library leads out
/// of its folder, neither `..` nor a link.
class FileImports : public frontend::ImportResolver {
 public:
  explicit FileImports(std::string standard_library = find_standard_library());
  /// "<stdin>" stands in the current folder.
  Location main_file(std::string_view name) override;
  Result<Location> locate(std::string_view path, const Location& importer) override;
  Result<std::string> read(const Location& file) override;

 private:
  std::string standard_library_;  ///< canonical; "": none
};

}  // namespace moe::compiler
