// SPDX-License-Identifier: Apache-2.0
// Text IR: what is read prints as text that reads back equal, and prints the same again.
#include <optional>
#include <string>

#include "frontend/frontend.h"
#include "tests/fuzz/target.h"

namespace {

std::optional<moe::ir::Module> read(std::string text, moe::ir::Diagnostics& diagnostics) {
  moe::frontend::LowerOptions options;
  options.replay = true;  // the rules that know the future are text IR too
  const moe::ir::SourceFile file("fuzzed.moe", std::move(text));
  auto module = moe::frontend::compile_to_ir(file, options, diagnostics);
  moe::test::require(module.has_value() != diagnostics.has_errors(), "a module with errors, or none without");
  return module;
}

std::string render_errors(const std::string& text, const moe::ir::Diagnostics& diagnostics) {
  return text + moe::ir::render_text(moe::ir::SourceFile("printed.moe", text), diagnostics, false);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using moe::test::require;
  moe::ir::Diagnostics diagnostics;
  const auto module = read(std::string(moe::test::as_text(data, size)), diagnostics);
  if (!module) return 0;
  for (const moe::ir::Policy& policy : module->policies) {
    require(moe::ir::verify(policy).empty(), "the IR breaks an invariant");
  }
  const std::string text = moe::ir::print_text(*module);
  moe::ir::Diagnostics second;
  const auto again = read(text, second);
  if (!again) require(false, "the printed text is refused:\n" + render_errors(text, second));
  if (moe::ir::print_text(*again) != text) require(false, "the printed text prints differently:\n" + text);
  if (moe::ir::print_json(*again) != moe::ir::print_json(*module))
    require(false, "the JSON differs after a round trip:\n" + text);
  if (*again != *module) require(false, "the IR differs after a round trip:\n" + text);
  return 0;
}
