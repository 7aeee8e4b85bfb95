// SPDX-License-Identifier: Apache-2.0
#include "compiler/code_key.h"

namespace moe::compiler {

std::string code_key(std::string_view identity, const codegen::Host& host, int opt_level, std::string_view build) {
  if (build.empty()) return "";
  std::string key = "build ";
  key += build;
  key +=
      "\n" + host.compiler + "\ncpu " + host.cpu + ' ' + host.features + "\nlevel " + std::to_string(opt_level) + '\n';
  key += identity;
  return key;
}

}  // namespace moe::compiler
