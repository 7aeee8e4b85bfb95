// SPDX-License-Identifier: Apache-2.0
// The whole front end and what follows: compile with imports and settings, round trip, bind, decide.
//
// An input is a policy file. A line `#file NAME` begins another file, which the others can import as NAME; lines
// `#set NAME=VALUE` at the very top are settings. The model's shape and the routing come from a hash of the first line
// that is neither, so that an engine may shorten the rest and keep them.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "frontend/frontend.h"
#include "tests/frontend/support.h"
#include "tests/fuzz/decide.h"
#include "tests/fuzz/target.h"

namespace {

using moe::test::require;

struct Input {
  std::string main;
  std::map<std::string, std::string> files;
  std::vector<moe::frontend::Setting> settings;
  uint64_t seed = 0;
};

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// FNV-1a: the same on every machine.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3U;
  return hash;
}

Input read(std::string_view text) {
  Input input;
  while (text.starts_with("#set ")) {
    const std::string_view line = take_line(text).substr(5);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    input.settings.push_back({std::string(line.substr(0, equals)), std::string(line.substr(equals + 1))});
  }
  input.seed = hash_of(text.substr(0, text.find('\n')));
  std::string* file = &input.main;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.starts_with("#file ")) {
      file = &input.files[std::string(line.substr(6))];
      file->clear();
    } else {
      file->append(line).push_back('\n');
    }
  }
  return input;
}

void check_round_trip(const moe::ir::Module& module, bool replay) {
  const std::string text = moe::ir::print_text(module);
  moe::ir::Diagnostics diagnostics;
  moe::frontend::LowerOptions options;
  options.replay = replay;
  const moe::ir::SourceFile printed("printed.moe", text);
  const auto again = moe::frontend::compile_to_ir(printed, options, diagnostics);
  if (!again) require(false, "the printed text is refused:\n" + text + render_text(printed, diagnostics, false));
  if (*again != module) require(false, "the IR differs after a round trip:\n" + text);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Input input = read(moe::test::as_text(data, size));
  moe::test::Imports imports(input.files);
  moe::frontend::LowerOptions options;
  options.settings = input.settings;
  options.imports = &imports;
  options.replay = input.seed % 4 != 0;
  const moe::ir::SourceFile file("main.moe", input.main);
  moe::ir::Diagnostics diagnostics;
  const auto module = moe::frontend::compile_to_ir(file, options, diagnostics);
  require(module.has_value() != diagnostics.has_errors(), "a module with errors, or none without");
  require(diagnostics.empty() == moe::ir::render_text(file, diagnostics, true).empty(), "findings without a text");
  require(!moe::ir::render_json(file, diagnostics).empty(), "no JSON of the findings");
  if (!module) return 0;
  check_round_trip(*module, options.replay);
  for (size_t i = 0; i < module->num_own; ++i) moe::test::bind_and_decide(module->policies[i], input.seed + i);
  return 0;
}
