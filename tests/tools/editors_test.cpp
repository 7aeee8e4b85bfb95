// SPDX-License-Identifier: Apache-2.0
// The files under examples/editors agree with the language: every name of the tables has its colour in the TextMate
// grammar and in the Vim file. The grammar is run by a small engine of its own, on PCRE2.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "frontend/key_docs.h"
#include "frontend/keys.h"
#include "frontend/number.h"
#include "tests/frontend/support.h"
#include "tests/tools/textmate.h"

namespace {

using namespace moe::frontend;
using moe::test::Json;
using moe::test::TextMate;

const std::string kFolder = "examples/editors/";

Json read_json(const std::string& name) { return Json::parse(moe::test::read_file(kFolder + name)); }

const TextMate& grammar() {
  static const TextMate grammar(read_json("vscode/syntaxes/moe.tmLanguage.json"));
  return grammar;
}

// The scope of the first place of `word` in a line.
std::string scope_in(const std::string& line, const std::string& word) {
  for (const moe::test::Scoped& piece : grammar().tokenize(line)) {
    if (line.substr(piece.begin, piece.end - piece.begin) == word) return piece.scope;
  }
  return "";
}

// group -> the words of its alternatives, from `syn match GROUP "\<\%(a\|b\)\>..."`
std::map<std::string, std::set<std::string>> vim_words() {
  std::map<std::string, std::set<std::string>> groups;
  std::istringstream lines(moe::test::read_file(kFolder + "vim/syntax/moe.vim"));
  const std::regex item(R"re(^syn match (\w+) .*?\\%\(([A-Za-z0-9_|\\/]+)\\\)\\>)re");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_search(line, match, item)) continue;
    std::string word;
    for (const char c : match[2].str() + "|") {
      if (c == '\\') continue;
      if (c != '|') {
        word += c;
        continue;
      }
      groups[match[1]].insert(word);
      word.clear();
    }
  }
  return groups;
}

std::vector<std::string> keys_and_old_names() {
  std::vector<std::string> names;
  for (const auto docs : {residency_key_docs(), movement_key_docs()}) {
    for (const KeyDoc& doc : docs) {
      names.emplace_back(doc.name);
      for (const std::string_view old_name : split_words(doc.old_names)) names.emplace_back(old_name);
    }
  }
  return names;
}

bool is_form(std::string_view word) { return word == "least" || word == "when" || word == "hottest" || word == "most"; }

}  // namespace

TEST_CASE("the files are JSON, and point at files that are there") {
  const Json package = read_json("vscode/package.json");
  read_json("vscode/language-configuration.json");
  const Json& contributes = package.at("contributes");
  for (const std::string& path :
       {package.at("main").get<std::string>(), contributes.at("languages")[0].at("configuration").get<std::string>(),
        contributes.at("grammars")[0].at("path").get<std::string>()}) {
    CHECK_MESSAGE(std::filesystem::exists(kFolder + "vscode/" + path), path);
  }
  CHECK(contributes.at("grammars")[0].at("scopeName") ==
        read_json("vscode/syntaxes/moe.tmLanguage.json").at("scopeName"));
  CHECK(contributes.at("languages")[0].at("extensions")[0] == ".moe");
}

TEST_CASE("TextMate: every expression compiles") {
  CHECK(grammar().errors().empty());
  for (const std::string& error : grammar().errors()) MESSAGE(error);
  CHECK(grammar().num_rules() > 20);
}

TEST_CASE("TextMate: every name of the language has its scope") {
  for (const std::string& key : keys_and_old_names()) {
    CHECK_MESSAGE(scope_in("  " + key + " = 8", key) == "variable.other.property.moe", key);
  }
  for (const BlockDoc& doc : block_docs()) {
    const std::string name(doc.name);
    std::string line = name + " {";
    if (name == "tier" || name == "phase" || name == "on") line = name + " x {";
    if (name == "layers") line = "layers 0..3 {";
    CHECK_MESSAGE(scope_in(line, name) == "entity.name.section.moe", name);
  }
  for (const WordDoc& doc : word_docs()) {
    const std::string word(doc.name);
    if (!is_form(word)) CHECK_MESSAGE(scope_in("  x = " + word, word) == "constant.language.moe", word);
  }
  for (const std::string& word : {std::string("least"), std::string("hottest"), std::string("most")})
    CHECK_MESSAGE(scope_in("= " + word + "(3)", word) == "support.function.moe", word);
  for (const NameDoc& doc : variable_docs()) {
    const std::string scope = scope_in("(1 + " + std::string(doc.name) + ")", std::string(doc.name));
    const bool colored = scope == "support.variable.moe" || scope == "constant.language.moe";
    CHECK_MESSAGE(colored, doc.name);
  }
  for (const NameDoc& doc : function_docs())
    CHECK_MESSAGE(scope_in(std::string(doc.name) + "(1)", std::string(doc.name)) == "support.function.moe", doc.name);
  for (const KeywordDoc& doc : keyword_docs()) {
    const std::string word(doc.name);
    const std::string scope = scope_in(word + " x", word);
    const bool colored = scope.starts_with("keyword.") || scope == "constant.language.boolean.moe";
    CHECK_MESSAGE(colored, word, ": ", scope);
  }
  for (const std::string_view unit : unit_words())
    CHECK_MESSAGE(scope_in("= 12" + std::string(unit) + " }", std::string(unit)) == "keyword.other.unit.moe", unit);
}

TEST_CASE("TextMate: a sample, piece by piece") {
  struct Expected {
    std::string line;
    std::vector<std::pair<std::string, std::string>> pieces;
  };
  const std::vector<Expected> sample = {
      {"policy lru extends base {  # why",
       {{"policy", "keyword.declaration.moe"},
        {"lru", "entity.name.type.policy.moe"},
        {"extends", "keyword.declaration.moe"},
        {"base", "entity.other.inherited-class.moe"},
        {"# why", "comment.line.number-sign.moe"}}},
      {"  cache { capacity = 12.5%  eviction = lfu | lru }  // two",
       {{"cache", "entity.name.section.moe"},
        {"capacity", "variable.other.property.moe"},
        {"12.5", "constant.numeric.moe"},
        {"%", "keyword.other.unit.moe"},
        {"lfu", "constant.language.moe"},
        {"|", "keyword.operator.moe"},
        {"// two", "comment.line.double-slash.moe"}}},
      {"  prefetch { lookahead = 2  strategy = lookahead  profile = \"a # b\" }",
       {{"lookahead", "variable.other.property.moe"}, {"\"a # b\"", "string.quoted.double.moe"}}},
      {"  layers 0..3 { }",
       {{"layers", "entity.name.section.moe"}, {"0", "constant.numeric.moe"}, {"..", "keyword.operator.moe"}}},
      {"  when avg_over(hit_rate, 1_000) < .5 and not x { prefetch.budget = 2GB }",
       {{"when", "keyword.control.moe"},
        {"avg_over", "support.function.moe"},
        {"hit_rate", "support.variable.moe"},
        {"1_000", "constant.numeric.moe"},
        {".5", "constant.numeric.moe"},
        {"and", "keyword.operator.word.moe"},
        {"prefetch", "entity.name.section.moe"},
        {"budget", "variable.other.property.moe"},
        {"GB", "keyword.other.unit.moe"}}},
      {"  let x = if phase == decode then 16GB/size else 5GB/s",
       {{"let", "keyword.declaration.moe"},
        {"x", "variable.other.constant.moe"},
        {"if", "keyword.control.conditional.moe"},
        {"phase", "support.variable.moe"},
        {"decode", "constant.language.moe"},
        {"GB", "keyword.other.unit.moe"},
        {"GB/s", "keyword.other.unit.moe"}}},
      {"  on miss { else -> cpu_load }",
       {{"on", "entity.name.section.moe"},
        {"miss", "constant.language.moe"},
        {"->", "keyword.operator.moe"},
        {"cpu_load", "constant.language.moe"}}},
  };
  for (const Expected& expected : sample) {
    for (const auto& [word, scope] : expected.pieces) {
      CAPTURE(expected.line);
      CHECK_MESSAGE(scope_in(expected.line, word) == scope, word);
    }
  }
  CHECK(scope_in("  x = \"open", "\"open") == "invalid.illegal.unterminated.moe");
  CHECK(scope_in("  x = y12 cachet", "12").empty());
  CHECK(scope_in("  mycache { }", "cache").empty());
}

TEST_CASE("Vim: every name of the language is in its group") {
  auto groups = vim_words();
  const auto check = [&](const std::string& group, std::string_view word) {
    CHECK_MESSAGE(groups[group].count(std::string(word)) == 1, group, " lacks ", word);
  };
  for (const std::string& key : keys_and_old_names()) check("moeKey", key);
  for (const BlockDoc& doc : block_docs()) check("moeBlock", doc.name);
  for (const WordDoc& doc : word_docs()) {
    if (!is_form(doc.name)) check("moeWord", doc.name);
  }
  for (const std::string_view form : {"least", "hottest", "most"}) check("moeFunction", form);
  for (const NameDoc& doc : variable_docs()) check("moeVariable", doc.name);
  for (const NameDoc& doc : function_docs()) check("moeFunction", doc.name);
  for (const KeywordDoc& doc : keyword_docs()) {
    const bool truth = doc.name == "true" || doc.name == "false";
    check(truth ? "moeBoolean" : "moeKeyword", doc.name);
  }
  for (const std::string_view unit : unit_words()) check("moeUnit", unit);
}
