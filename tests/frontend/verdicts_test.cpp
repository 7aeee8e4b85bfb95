// SPDX-License-Identifier: Apache-2.0
// The corpus of verdicts beside the checkout: ok means no finding, warning means warnings only.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "frontend/frontend.h"
#include "tests/frontend/support.h"

namespace {

constexpr const char* kFolder = "../shared/data/verdicts";

std::string verdict(const moe::ir::Diagnostics& diagnostics) {
  if (diagnostics.has_errors()) return "error";
  return diagnostics.empty() ? "ok" : "warning";
}

}  // namespace

TEST_CASE("every policy of the corpus gets its verdict") {
  const auto index = nlohmann::json::parse(moe::test::read_file(std::string(kFolder) + "/index.json"));
  CHECK(index.size() >= 60);
  for (const auto& entry : index) {
    const std::string name = entry.at("file");
    const moe::ir::SourceFile source(name, moe::test::read_file(std::string(kFolder) + "/" + name));
    moe::ir::Diagnostics diagnostics;
    const auto module = moe::frontend::compile_to_ir(source, {}, diagnostics);
    INFO(name << "\n" << moe::ir::render_text(source, diagnostics, false));
    CHECK(verdict(diagnostics) == entry.at("verdict").get<std::string>());
    CHECK(module.has_value() == !diagnostics.has_errors());
  }
}

int main(int argc, char** argv) {
  if (!std::filesystem::exists(std::string(kFolder) + "/index.json")) {
    std::puts("[SKIP] no corpus of verdicts beside the checkout");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
