// SPDX-License-Identifier: Apache-2.0
// The table-driven lexer and parser mean what ANTLR means: the same tokens, the same tree and the same errors, over
// every policy of the repository and seeded mutations of them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "frontend/check_text.h"
#include "frontend/repair.h"
#include "tests/frontend/antlr_oracle.h"
#include "tests/frontend/mutate.h"
#include "tests/frontend/support.h"

namespace {

using namespace moe::frontend;
using moe::ir::Diagnostics;

std::string describe(const Tokens& tokens) {
  std::ostringstream out;
  for (const Token& token : tokens) {
    out << static_cast<int>(token.kind) << ' ' << token.begin << ".." << token.end << '\n';
  }
  return out.str();
}

std::string describe(const ParseOutcome& outcome) {
  std::ostringstream out;
  for (const TreeNode& node : outcome.tree.nodes) {
    out << "rule " << static_cast<int>(node.rule) << (node.broken ? " broken " : " ") << node.first_token << ".."
        << node.end_token << ':';
    for (const TreeChild& child : outcome.tree.children_of(node)) {
      out << (child.is_token ? " token " : " node ") << child.index;
    }
    out << '\n';
  }
  for (const SyntaxError& error : outcome.errors) {
    out << "error in rule " << static_cast<int>(error.rule) << " at token " << error.token << '\n';
  }
  out << (outcome.gave_up ? "gave up" : "") << '\n';
  return out.str();
}

bool same_parse(const std::string& text, const Tokens& tokens) {
  return describe(parse_tokens(text, tokens)) == describe(moe::test::antlr_parse_tokens(text, tokens));
}

// The way of parse_source; false where a limit keeps a text from the parser.
bool repaired(const std::string& text, Tokens& tokens) {
  Diagnostics diagnostics;
  tokens = check_tokens(text, tokenize(text), diagnostics);
  if (!check_limits(tokens, diagnostics)) return false;
  tokens = balance_brackets(text, fill_missing_values(text, tokens, diagnostics), diagnostics);
  return true;
}

void compare(const std::string& text) {
  INFO("the text\n" << text);
  const Tokens read = tokenize(text);
  REQUIRE(describe(read) == describe(moe::test::antlr_tokenize(text)));
  Tokens tokens;
  if (!repaired(text, tokens)) return;
  REQUIRE(same_parse(text, tokens));
  // Without the repairs the parser meets more mistakes, and tokens that are none of the language.
  Diagnostics diagnostics;
  REQUIRE(same_parse(text, balance_brackets(text, read, diagnostics)));
}

std::vector<std::string> policy_files() {
  std::vector<std::filesystem::path> paths;
  for (const char* folder : {"stdlib-policies", "tests/golden", "tests/fuzz", "tests/data", "examples"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      const std::filesystem::path& path = entry.path();
      const bool is_kept_input = path.string().starts_with("tests/fuzz/") && path.extension().empty();
      if (entry.is_regular_file() && (path.extension() == ".moe" || is_kept_input)) paths.push_back(path);
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) texts.push_back(moe::test::read_file(path));
  return texts;
}

// What stands between ``` and ``` in the documents: policies for the most part; anything will do.
std::vector<std::string> examples_of_documents() {
  std::vector<std::filesystem::path> paths = {"README.md"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator("docs")) {
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) {
    std::istringstream lines(moe::test::read_file(path));
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("```")) {
        inside = !inside;
        if (inside) texts.emplace_back();
      } else if (inside) {
        texts.back() += line + "\n";
      }
    }
  }
  return texts;
}

// Up to four tokens are put in, taken out or replaced: errors that no mutation of bytes comes to soon.
Tokens mutate_tokens(Tokens tokens, std::mt19937_64& random) {
  constexpr auto kNumKinds = static_cast<uint64_t>(TokenKind::missing) + 1;
  const size_t edits = 1 + random() % 4;
  for (size_t i = 0; i < edits && tokens.size() > 1; ++i) {
    const auto at = tokens.begin() + static_cast<std::ptrdiff_t>(random() % (tokens.size() - 1));
    const auto kind = static_cast<TokenKind>(1 + random() % (kNumKinds - 1));
    switch (random() % 3) {
      case 0:
        tokens.erase(at);
        break;
      case 1:
        at->kind = kind;
        break;
      default:
        tokens.insert(at, {kind, at->begin, at->begin, 0});
        break;
    }
  }
  return tokens;
}

}  // namespace

TEST_CASE("every policy of the repository") {
  const std::vector<std::string> texts = policy_files();
  REQUIRE(texts.size() > 300);
  for (const std::string& text : texts) compare(text);
  const std::vector<std::string> examples = examples_of_documents();
  REQUIRE(examples.size() > 50);
  for (const std::string& text : examples) compare(text);
}

TEST_CASE("mutations of their bytes") {
  std::vector<std::string> corpus = policy_files();
  for (const std::string& text : examples_of_documents()) corpus.push_back(text);
  constexpr uint64_t kFirstSeed = 20261128;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 4000; ++seed) {
    INFO("seed " << seed);
    compare(moe::test::mutate(corpus, seed));
  }
}

TEST_CASE("mutations of their tokens") {
  const std::vector<std::string> corpus = policy_files();
  constexpr uint64_t kFirstSeed = 20261129;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 10000; ++seed) {
    std::mt19937_64 random(seed);
    const std::string& text = corpus[random() % corpus.size()];
    Tokens tokens;
    if (text.size() > 4000 || !repaired(text, tokens)) continue;
    Diagnostics diagnostics;
    tokens = balance_brackets(text, mutate_tokens(std::move(tokens), random), diagnostics);
    INFO("seed " << seed << ", the tokens\n" << describe(tokens));
    REQUIRE(same_parse(text, tokens));
  }
}

TEST_CASE("every two tokens in a block and after a condition, and a third") {
  constexpr auto kNumKinds = static_cast<int>(TokenKind::missing) + 1;
  const std::string text(100, ' ');
  for (const std::string_view before : {"policy p { cache {", "policy p { adapt { when a"}) {
    Tokens start = tokenize(before);
    start.pop_back();
    for (int first = 1; first < kNumKinds; ++first) {
      for (int second = 1; second < kNumKinds; ++second) {
        Tokens tokens = start;
        tokens.push_back({static_cast<TokenKind>(first), 50, 51, 0});
        tokens.push_back({static_cast<TokenKind>(second), 52, 53, 0});
        tokens.push_back({static_cast<TokenKind>(1 + (first * 31 + second * 17) % (kNumKinds - 1)), 54, 55, 0});
        tokens.push_back({TokenKind::end, 60, 60, 0});
        Diagnostics diagnostics;
        tokens = balance_brackets(text, tokens, diagnostics);
        INFO("the tokens\n" << describe(tokens));
        REQUIRE(same_parse(text, tokens));
      }
    }
  }
}

TEST_CASE("bytes that are no text") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  compare(all);
  std::mt19937_64 random(20261130);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += static_cast<char>(random() % 256);
    compare(text);
  }
  for (const char* text : {"",      "/*",    "/**",  "/**/",  "/* */ /*", "#",         "//",      "\"", "\"\n",
                           "0..",   "0...3", "1.",   "16GB/", "16GB/s",   "16GB/size", "16GB/s%", "1e", "1e+",
                           "1e5..", "1_",    "1__2", "-",     "->",       "..",        ".",       "=",  "==="}) {
    compare(text);
  }
}
