// SPDX-License-Identifier: Apache-2.0
// Walks tests/golden/check: every finding must be expected on its line, and every expectation must be met.
//
//   # expect: MOE2103 on "2"      beside the line it judges; `on` gives the text under the caret, and may be left out
//   # expect: MOE1023, MOE2011    several, separated by commas
//   # expect-above: MOE1011       for the line before, where a comment beside it would be part of the mistake
//   # expect-file: MOE1029        a finding about the file as a whole
//   # expect: ok                  no finding at all
//   NAME.ir                     a file beside NAME.moe: the printed IR; MOEC_BLESS=1 rewrites it, and nothing else
//   # set: NAME=VALUE             a setting, as of `--set`
//   # replay                      compiled for replay
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "frontend/frontend.h"
#include "tests/frontend/support.h"

namespace {

namespace fs = std::filesystem;
using moe::ir::Diagnostic;
using moe::ir::Diagnostics;
using moe::ir::SourceFile;

struct Expectation {
  uint32_t line = 0;  // 0: the file as a whole
  std::string code;
  std::string on;
};

struct Golden {
  std::vector<Expectation> expected;
  bool expects_ok = false;
  moe::frontend::LowerOptions options;
};

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

// `MOE2103 on "2", MOE2104` -> its expectations; a comma inside quotes separates nothing.
void add_expectations(std::string_view list, uint32_t line, Golden& golden) {
  while (!list.empty()) {
    bool quoted = false;
    size_t end = 0;
    for (; end < list.size() && (quoted || list[end] != ','); ++end) quoted = quoted != (list[end] == '"');
    const std::string one = trimmed(list.substr(0, end));
    list.remove_prefix(std::min(list.size(), end + 1));
    if (one == "ok") {
      golden.expects_ok = true;
      continue;
    }
    Expectation expectation{line, one.substr(0, one.find(' ')), {}};
    const size_t open = one.find('"');
    if (open != std::string::npos) expectation.on = one.substr(open + 1, one.rfind('"') - open - 1);
    golden.expected.push_back(expectation);
  }
}

Golden read_golden(const SourceFile& file) {
  Golden golden;
  const uint32_t num_lines = static_cast<uint32_t>(std::count(file.text().begin(), file.text().end(), '\n')) + 1;
  for (uint32_t line = 1; line <= num_lines; ++line) {
    const std::string_view text = file.line(line);
    const auto after = [&](std::string_view mark) -> std::string_view {
      const size_t at = text.find(mark);
      return at == std::string_view::npos ? std::string_view() : text.substr(at + mark.size());
    };
    add_expectations(after("# expect:"), line, golden);
    add_expectations(after("# expect-above:"), line - 1, golden);
    add_expectations(after("# expect-file:"), 0, golden);
    if (trimmed(text) == "# replay") golden.options.replay = true;
    const std::string setting = trimmed(after("# set:"));
    if (const size_t equals = setting.find('='); equals != std::string::npos) {
      golden.options.settings.push_back({setting.substr(0, equals), setting.substr(equals + 1)});
    }
  }
  return golden;
}

bool matches(const Expectation& expectation, const Diagnostic& finding, const SourceFile& file) {
  if (finding.span.begin > file.text().size()) return false;  // in an imported file
  const uint32_t line = finding.span.is_default() ? 0 : file.locate(finding.span.begin).line;
  if (line != expectation.line || finding.code != expectation.code) return false;
  const std::string_view under = file.text().substr(finding.span.begin, finding.span.end - finding.span.begin);
  return expectation.on.empty() || under == expectation.on;
}

void check_house_rules(const Diagnostic& finding) {
  CHECK_MESSAGE(!finding.message.empty(), finding.code);
  CHECK_MESSAGE(finding.message.find('\n') == std::string::npos, finding.message);
  CHECK_MESSAGE(finding.message.back() != '.', finding.message);
  CHECK_MESSAGE(!(finding.message[0] >= 'A' && finding.message[0] <= 'Z'), finding.message);
}

// The printed IR, where a file beside the policy holds it. MOEC_BLESS=1 rewrites that file.
void compare_ir(const fs::path& policy, const std::string& printed) {
  fs::path expected = policy;
  expected.replace_extension(".ir");
  if (!fs::exists(expected)) return;
  if (std::getenv("MOEC_BLESS") != nullptr) {
    std::ofstream(expected, std::ios::binary) << printed;
    return;
  }
  CHECK(printed == moe::test::read_file(expected));
}

void judge(const fs::path& path) {
  const SourceFile file(path.filename().string(), moe::test::read_file(path));
  Golden golden = read_golden(file);
  moe::test::Imports imports(path.parent_path());
  golden.options.imports = &imports;
  Diagnostics diagnostics;
  const auto module = moe::frontend::compile_to_ir(file, golden.options, diagnostics);
  INFO(moe::ir::render_text(file, diagnostics, false));
  CHECK_MESSAGE((golden.expects_ok || !golden.expected.empty()), path.string() << " expects nothing");
  std::vector<Expectation> open = golden.expected;
  for (const Diagnostic& finding : diagnostics.items()) {
    check_house_rules(finding);
    const auto met = std::find_if(open.begin(), open.end(), [&](const auto& e) { return matches(e, finding, file); });
    CHECK_MESSAGE(met != open.end(), path.string() << ": unexpected " << finding.code << ": " << finding.message);
    if (met != open.end()) open.erase(met);
  }
  for (const Expectation& e : open) {
    CHECK_MESSAGE(false, path.string() << ":" << e.line << ": expected " << e.code << " on \"" << e.on << "\"");
  }
  CHECK(module.has_value() == !diagnostics.has_errors());
  if (module) compare_ir(path, moe::ir::print_text(*module));
}

}  // namespace

TEST_CASE("every file of tests/golden/check gives what it expects") {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator("tests/golden/check")) {
    if (entry.path().extension() == ".moe") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  CHECK(paths.size() > 100);
  for (const fs::path& path : paths) judge(path);
}

TEST_CASE("the policies of the standard library have no finding") {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator("stdlib-policies")) {
    if (entry.path().extension() != ".moe") continue;
    ++count;
    const SourceFile file(entry.path().filename().string(), moe::test::read_file(entry.path()));
    Diagnostics diagnostics;
    const auto module = moe::frontend::compile_to_ir(file, {}, diagnostics);
    CHECK_MESSAGE(diagnostics.empty(), moe::ir::render_text(file, diagnostics, false));
    CHECK(module.has_value());
  }
  CHECK(count >= 8);
}

TEST_CASE("docs/language.md: its policies have no finding, and it lists every code") {
  const std::string page = moe::test::read_file("docs/language.md");
  size_t count = 0;
  for (size_t at = page.find("```moe\n"); at != std::string::npos; at = page.find("```moe\n", at + 1)) {
    const size_t begin = at + 7;
    const SourceFile file("language.md", page.substr(begin, page.find("```", begin) - begin));
    Diagnostics diagnostics;
    moe::frontend::compile_to_ir(file, {}, diagnostics);
    CHECK_MESSAGE(diagnostics.empty(), moe::ir::render_text(file, diagnostics, false));
    ++count;
  }
  CHECK(count >= 1);
  for (const auto& entry : fs::directory_iterator("frontend")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string source = moe::test::read_file(entry.path());
    for (size_t at = source.find("\"MOE"); at != std::string::npos; at = source.find("\"MOE", at + 1)) {
      const std::string code = source.substr(at + 1, 7);
      CHECK_MESSAGE(page.find(code) != std::string::npos, code);
    }
  }
}

TEST_CASE("docs/policylang-1.4.2.md: all 34 faults, and what it points at is there") {
  const std::string page = moe::test::read_file("docs/policylang-1.4.2.md");
  for (int fault = 1; fault <= 34; ++fault) {
    CHECK_MESSAGE(page.find("\n| Q" + std::to_string(fault) + " |") != std::string::npos, fault);
  }
  std::string tests;  // the text of the tests named so far in a row
  for (size_t at = page.find('`'); at != std::string::npos; at = page.find('`', at + 1)) {
    const size_t end = page.find('`', at + 1);
    REQUIRE(end != std::string::npos);
    const std::string name = page.substr(at + 1, end - at - 1);
    if (name.ends_with(".moe")) CHECK_MESSAGE(fs::exists("tests/golden/check/" + name), name);
    if (name.starts_with("tests/") && !name.ends_with("/")) {
      CHECK_MESSAGE(fs::exists(name), name);
      tests += moe::test::read_file(name);
    }
    at = end;
  }
  // "name of a test case", as the named files have it.
  for (size_t at = page.find('"'); at != std::string::npos; at = page.find('"', at + 1)) {
    const size_t end = page.find('"', at + 1);
    REQUIRE(end != std::string::npos);
    const std::string name = page.substr(at, end + 1 - at);
    CHECK_MESSAGE(tests.find("TEST_CASE(" + name) != std::string::npos, name);
    at = end;
  }
}
