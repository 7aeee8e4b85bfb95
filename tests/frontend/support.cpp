// SPDX-License-Identifier: Apache-2.0
#include "tests/frontend/support.h"

#include <algorithm>

namespace moe::test {

std::vector<std::string> golden_texts() {
  std::vector<std::filesystem::path> paths;
  for (const char* folder : {"tests/golden/check", "stdlib-policies"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".moe") paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  texts.reserve(paths.size());
  for (const auto& path : paths) texts.push_back(read_file(path));
  return texts;
}

}  // namespace moe::test
