// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace moe::store {

/// Files that an index names lie in the folder itself: anything that looks like a path could lead out of it.
inline bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\\\0", 3)) == name.npos;
}

}  // namespace moe::store
