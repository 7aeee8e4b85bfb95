// SPDX-License-Identifier: Apache-2.0
// Text IR: what is read prints as text that reads back equal, and prints the same again.
#include <optional>
#include <string>

#include "frontend/frontend.h"
#include "tests/fuzz/target.h"

namespace {

std::optional<moe::ir::Module> read(std::string text) {
  moe::ir::Diagnostics diagnostics;
  moe::frontend::LowerOptions options;
  options.replay = true;  // the rules that know the future are text IR too
  const moe::ir::SourceFile file("fuzzed.moe", std::move(text));
  auto module = moe::frontend::compile_to_ir(file, options, diagnostics);
  moe::test::require(module.has_value() != diagnostics.has_errors(), "a module with errors, or none without");
  return module;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using moe::test::require;
  const auto module = read(std::string(moe::test::as_text(data, size)));
  if (!module) return 0;
  for (const moe::ir::Policy& policy : module->policies) {
    require(moe::ir::verify(policy).empty(), "the IR breaks an invariant");
  }
  const std::string text = moe::ir::print_text(*module);
  const auto again = read(text);
  require(again.has_value(), "the printed text is refused:\n" + text);
  require(moe::ir::print_text(*again) == text, "the printed text prints differently:\n" + text);
  require(moe::ir::print_json(*again) == moe::ir::print_json(*module), "the JSON differs after a round trip:\n" + text);
  require(*again == *module, "the IR differs after a round trip:\n" + text);
  return 0;
}
