// SPDX-License-Identifier: Apache-2.0
// The formatter against pairs written by hand (tests/golden/format: NAME.moe becomes NAME.formatted), and what must
// hold for every text: nothing but white space changes, and formatting again changes nothing.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "frontend/format.h"
#include "frontend/frontend.h"
#include "frontend/parse_tree.h"
#include "tests/frontend/mutate.h"
#include "tests/frontend/support.h"

namespace {

namespace fs = std::filesystem;
using moe::ir::Diagnostics;
using moe::ir::SourceFile;

std::optional<std::string> format(const std::string& text) {
  Diagnostics diagnostics;
  std::optional<std::string> formatted = moe::frontend::format_source(SourceFile("x.moe", text), diagnostics);
  CHECK(formatted.has_value() == !diagnostics.has_errors());
  return formatted;
}

/// Every token and every comment, one a line.
std::string words_of(const std::string& text) {
  std::string words;
  size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  const std::string source = std::string(at, ' ') + text.substr(at);
  for (const auto& token : moe::frontend::tokenize(source)) {
    while (at < token.begin) {
      if (source[at] != '#' && source[at] != '/') {
        ++at;
        continue;
      }
      const size_t end = std::min<size_t>(token.begin, source.find_first_of("\r\n", at));
      words += source.substr(at, source.find_last_not_of(" \t\f\v", end - 1) + 1 - at) + '\n';
      at = end;
    }
    words += source.substr(token.begin, token.end - token.begin) + '\n';
    at = token.end;
  }
  return words;
}

void strip_places(nlohmann::json& json) {
  std::vector<nlohmann::json*> open = {&json};
  while (!open.empty()) {
    nlohmann::json& top = *open.back();
    open.pop_back();
    if (top.is_object()) {
      top.erase("begin");
      top.erase("end");
    }
    if (!top.is_structured()) continue;
    for (nlohmann::json& child : top) open.push_back(&child);
  }
}

nlohmann::json ast_of(const std::string& text) {
  Diagnostics diagnostics;
  const auto parsed = moe::frontend::parse(SourceFile("x.moe", text), diagnostics);
  if (!parsed.file) return {};
  nlohmann::json json = nlohmann::json::parse(moe::frontend::ast::print_json(*parsed.file), nullptr, false);
  strip_places(json);
  return json;
}

/// Whether the text could be formatted.
bool check_format(const std::string& text) {
  const std::optional<std::string> once = format(text);
  if (!once) return false;
  const std::optional<std::string> twice = format(*once);
  REQUIRE(twice.has_value());
  CHECK(*once == *twice);
  CHECK(words_of(text) == words_of(*once));
  CHECK(ast_of(text) == ast_of(*once));
  CHECK(once->ends_with('\n'));
  CHECK(!once->ends_with("\n\n"));
  return true;
}

std::vector<fs::path> policies_under(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".moe") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

size_t check_all(const fs::path& folder) {
  size_t formatted = 0;
  for (const fs::path& path : policies_under(folder)) {
    INFO(path.string());
    if (check_format(moe::test::read_file(path))) ++formatted;
  }
  return formatted;
}

std::string repeat(std::string_view piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += piece;
  return out;
}

}  // namespace

TEST_CASE("pairs written by hand") {
  size_t count = 0;
  for (const fs::path& path : policies_under("tests/golden/format")) {
    INFO(path.string());
    fs::path expected = path;
    expected.replace_extension(".formatted");
    const std::string text = moe::test::read_file(path);
    const std::string wanted = moe::test::read_file(expected);
    REQUIRE(!wanted.empty());
    CHECK(format(text).value_or("") == wanted);
    CHECK(format(wanted).value_or("") == wanted);
    ++count;
  }
  CHECK(count >= 6);
}

TEST_CASE("every policy of the repository") {
  CHECK(check_all("tests") > 150);
  CHECK(check_all("stdlib-policies") >= 8);
  check_all("examples");
}

TEST_CASE("the recorded corpus of another implementation" * doctest::skip(!fs::exists("../shared/data/verdicts"))) {
  CHECK(check_all("../shared/data/verdicts") > 20);
}

TEST_CASE("thousands of mutated policies") {
  const std::vector<std::string> corpus = moe::test::golden_texts();
  constexpr uint64_t kFirstSeed = 20261203;
  size_t formatted = 0;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 4000; ++seed) {
    INFO("seed " << seed);
    if (check_format(moe::test::mutate(corpus, seed))) ++formatted;
  }
  CHECK(formatted > 200);
}

TEST_CASE("white space and comments anywhere between tokens") {
  const std::string text = moe::test::read_file("tests/golden/check/everything.moe");
  const auto tokens = moe::frontend::tokenize(text);
  constexpr std::string_view kGaps[] = {" ", "\n", " # a\n", "\n\n\n  # b  \n", "\r\n", "// c\r", "\t;\n\n"};
  for (size_t stride = 1; stride < 12; ++stride) {
    for (size_t first = 0; first < 4; ++first) {
      std::string spread;
      for (size_t i = 0; i < tokens.size(); ++i) {
        spread += text.substr(tokens[i].begin, tokens[i].end - tokens[i].begin);
        spread += kGaps[i % stride == first ? (i + first) % std::size(kGaps) : 0];
      }
      INFO("stride " << stride << ", first " << first);
      CHECK(check_format(spread));
    }
  }
}

TEST_CASE("the ends of lines and a byte order mark stay") {
  const std::string_view wanted = "policy p {  # a\n  cache { capacity = 8 }\n}\n";
  CHECK(format("policy p{ # a\n\n\ncache {capacity=8}}") == wanted);
  std::string dos;
  for (const char c : wanted) dos += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(format("policy p{ # a\r\n\r\n\r\ncache {capacity=8}}") == dos);
  CHECK(format("\xEF\xBB\xBFpolicy p{ # a\ncache {capacity=8}}") == "\xEF\xBB\xBF" + std::string(wanted));
}

TEST_CASE("numbers keep their meaning where a space goes or comes") {
  const auto with = [](const std::string& value) {
    return "policy p {\n  cache {\n    pin = " + value + "\n    capacity = 1\n  }\n}\n";
  };
  CHECK(format(with("[ 5. .. 9 , 3 : 0 .. 7 ]")) == with("[5. ..9, 3:0..7]"));
  CHECK(format(with("[ 5 .. .5 ]")) == with("[5...5]"));
  CHECK(format(with("16GB/size")) == with("16GB / size"));
  CHECK(format(with("8 %3")) == with("8 % 3"));
  CHECK(format(with("8% - - 3")) == with("8% - -3"));
  CHECK(check_format(with("[ 5 .. .5 ]")));
}

TEST_CASE("what the parser does not understand is not touched") {
  for (const char* text :
       {"", "# only a comment\n", "policy p { cache { capacity: 8 } }", "policy p { cache { capacity = } }",
        "policy p { cache { capacity = 8 }", "policy p { /* a */ cache { capacity = 8 } }"}) {
    INFO(text);
    CHECK(!format(text).has_value());
  }
  const std::string grows = "policy p{" + repeat("a{x=1 y=2}", 100000) + "}";
  CHECK(moe::frontend::parse(SourceFile("x.moe", grows), *std::make_unique<Diagnostics>()).file.has_value());
  CHECK(!format(grows).has_value());
  CHECK(format("policy p { cahce { cpacity = 8 eviction = lur } }").has_value());
}

TEST_CASE("time is linear in the size") {
  const auto seconds = [](const std::string& text) {
    const std::clock_t start = std::clock();  // processor time: other work on the machine is none of it
    CHECK(format(text).has_value());
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  constexpr size_t kSmall = size_t{1} << 15U;
  const auto comments = [](size_t bytes) {
    return "policy p { cache { capacity = 8\n" + repeat("# c\n", bytes / 4) + "} }";
  };
  const auto entries = [](size_t bytes) {
    return "policy p { cache { " + repeat("capacity = lru\n", bytes / 16) + "} }";
  };
  const auto list = [](size_t bytes) { return "policy p { cache { pin = [1" + repeat(" , a", bytes / 5) + "] } }"; };
  const auto blocks = [](size_t bytes) { return "policy p { " + repeat("a{b{c{d{}}}}", bytes / 13) + " }"; };
  for (const auto& make : std::vector<std::function<std::string(size_t)>>{comments, entries, list, blocks}) {
    seconds(make(kSmall));  // fills the parser's tables
    // Eight times the text: quadratic work would take 64 times as long.
    const double small = seconds(make(kSmall));
    CHECK(seconds(make(8 * kSmall)) < 24 * small + 0.1);
  }
}
