// SPDX-License-Identifier: Apache-2.0
// The standard library bound to a shape.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bench/falling_profile.h"
#include "codegen/native.h"
#include "compiler/driver.h"

namespace moe::test {

struct StandardPolicy {
  std::string name;  ///< of its file
  ir::BoundPolicy bound;
};

/// Those of stdlib-policies/ that have native code, by name. Most have: docs/language.md names the parts that have
/// none.
inline std::vector<StandardPolicy> native_standard_policies(const ir::ModelShape& shape) {
  std::vector<StandardPolicy> found;
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("stdlib-policies")) {
    if (entry.path().extension() != ".moe") continue;
    ++files;
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    ir::Diagnostics diagnostics;
    compiler::Target target;
    target.shape = shape;
    target.bind.profile = bench::falling_profile(shape);
    auto bound = compiler::compile_to_bound(ir::SourceFile(entry.path().string(), text.str()), target, diagnostics);
    CAPTURE(entry.path());
    REQUIRE(bound.has_value());
    if (codegen::beyond_kernels(*bound).empty()) found.push_back({entry.path().stem(), std::move(*bound)});
  }
  REQUIRE(files >= 30);
  REQUIRE(found.size() >= files - 5);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

}  // namespace moe::test
