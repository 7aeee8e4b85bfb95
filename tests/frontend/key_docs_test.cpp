// SPDX-License-Identifier: Apache-2.0
// Every name of the language is documented, what the documentation says agrees with the tables that the checks use, and
// its examples are accepted.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "frontend/key_docs.h"

#include <doctest/doctest.h>

#include <regex>
#include <string>

#include "frontend/frontend.h"
#include "frontend/imports.h"
#include "frontend/keys.h"
#include "frontend/variables.h"
#include "tests/frontend/support.h"

namespace {

using namespace moe::frontend;

std::vector<std::string_view> all_blocks() {
  std::vector<std::string_view> names = block_names();
  names.push_back("tier");
  return names;
}

// Every import is a file with one policy.
class OneFile : public ImportResolver {
 public:
  Location main_file(std::string_view) override { return {"main", "main.moe"}; }
  moe::Result<Location> locate(std::string_view path, const Location&) override {
    return Location{std::string(path), std::string(path)};

// The errors of a text.
std::string errors_of(const std::string& text) {
  OneFile files;
  LowerOptions options;
  options.imports = &files;
  options.replay = true;
  moe::ir::Diagnostics diagnostics;
  const moe::ir::SourceFile source("example.moe", text);
  compile_to_ir(source, options, diagnostics);
  moe::ir::Diagnostics wrong;
  for (const moe::ir::Diagnostic& d : diagnostics.items()) {
    if (d.severity == moe::ir::Severity::error) wrong.error(d.code, d.span, d.message, d.hint);
  }
  return moe::ir::render_text(source, wrong, false);
}

// A file whose policy `p` holds `members`, beside the policies that examples speak of.
std::string file_with(std::string_view members, bool with_cache = true) {
  std::string text = "policy p {\n";
  if (with_cache) text += "cache { capacity = 16  scope = layer }\n";
  text += std::string(members) + "\n";
  const bool learns =
      members.find("value") != std::string_view::npos && members.find("learn {") == std::string_view::npos;
  text += learns ? "learn { window = 24 }\n}\n" : "}\n";
  for (const char* name : {"a", "b", "big", "batch_policy"})
    text += std::string("policy ") + name + " { cache { capacity = 16  scope = layer } }\n";
  return text;
}

std::string in_block(std::string_view block, std::string_view item) {
  const std::string entry(item);
  const std::string_view rest = entry.find("promote") == 0 ? "" : " promote slow -> fast when uses >= 2 ";
  if (block == "cache") {
    const bool sized = entry.starts_with("capacity");
    return file_with("cache { " + std::string(sized ? "" : "capacity = 32  ") + entry + " }", false);
  }
  if (block == "tier") {
    const bool placed = entry.starts_with("location");
    const bool sized = entry.starts_with("capacity");
    return file_with("tiers { tier fast { location = gpu  capacity = 25% } tier slow { " +
                         std::string(placed ? "" : "location = disk  ") + std::string(sized ? "" : "capacity = 9GB ") +
                         entry + " } promote slow -> fast when uses >= 2 }",
                     false);
  }
  if (block == "tiers") {
    return file_with("tiers { tier fast { location = gpu  capacity = 25% } tier slow { location = host } " + entry +
                         std::string(rest) + "}",
                     false);
  }
  return file_with(std::string(block) + " { " + entry + " }");
}

// An example of a variable, a function or a keyword, where it can stand.
std::string around(const std::string& example) {
  if (example.starts_with("version") || example.starts_with("import")) return example + "\n" + file_with("");
  if (example.starts_with("policy"))
    return file_with("") + std::regex_replace(example, std::regex("policy p"), "policy q");
  if (example.starts_with("param") || example.starts_with("let")) return file_with(example);
  if (example.starts_with("least(")) return in_block("cache", "eviction = " + example);
  if (example.starts_with("when(")) return in_block("cache", "admit = " + example);
  if (example.starts_with("admit")) return in_block("cache", example);
  if (example.starts_with("overlap") || example.starts_with("order")) return in_block("schedule", example);
  if (example.starts_with("when =")) return in_block("prefetch", example);
  if (example.starts_with("promote") || example.starts_with("demote")) return in_block("tiers", example);
  if (example.starts_with("else")) return in_block("schedule", "on miss { " + example + " }");
  if (example.starts_with("on miss")) return in_block("schedule", example);
  if (example.find("->") != std::string::npos && example.starts_with("when"))
    return in_block("schedule", "on miss { " + example + "  else -> load }");
  if (example.starts_with("when") || example.starts_with("choose")) return in_block("adapt", example);
  return file_with("let x = " + example);
}

}  // namespace

TEST_CASE("every block, key and word of the tables is documented") {
  for (const std::string_view name : all_blocks()) {
    CAPTURE(name);
    const BlockDoc* block_doc = find_block_doc(name);
    REQUIRE(block_doc != nullptr);
    CHECK(block_doc->text.ends_with('.'));
    for (const KeySpec& key : find_block(name)->keys) {
      CAPTURE(key.name);
      const KeyDoc* doc = find_key_doc(name, key.name);
      REQUIRE(doc != nullptr);
      CHECK(doc->text.ends_with('.'));
      CHECK_FALSE(doc->type.empty());
      CHECK_MESSAGE(doc->default_text.starts_with(key.default_text), doc->default_text, " is not ", key.default_text);
      for (const std::string_view word : split_words(key.words)) {
        CAPTURE(word);
        REQUIRE(find_word_doc(key.name, word) != nullptr);
        CHECK(find_word_doc(key.name, word)->text.ends_with('.'));
      }
    }
    const BlockSpec& block = *find_block(name);
    for (const std::string_view event : split_words(block.on_events)) CHECK(find_word_doc("on", event) != nullptr);
    for (const std::string_view label : split_words(block.labels)) {
      const bool documented = label == "*" || find_word_doc(name, label) != nullptr;
      CHECK_MESSAGE(documented, label);
    }
  }
  CHECK(find_word_doc("eviction", "frequency_threshold") != nullptr);
}

TEST_CASE("old names are the checks' old names") {
  for (const auto docs : {residency_key_docs(), movement_key_docs()}) {
    for (const KeyDoc& doc : docs) {
      for (const std::string_view old_name : split_words(doc.old_names)) {
        CAPTURE(old_name);
        const ActionKey key = find_action_key(old_name);
        REQUIRE(key.key != nullptr);
        CHECK(key.key->name == doc.name);
        CHECK(find_action_key_doc(old_name) == &doc);
      }
    }
  }
  for (const std::string_view old_name : {"lfu_decay", "prefetch_strategy", "prefetch_budget", "schedule_mode"}) {
    CHECK(find_action_key_doc(old_name) != nullptr);
  }
}

TEST_CASE("every variable, function and metric is documented, with its type") {
  for (const std::string_view name : variable_names(kAllPlaces)) {
    CAPTURE(name);
    const NameDoc* doc = find_variable_doc(name);
    REQUIRE(doc != nullptr);
    CHECK(doc->text.ends_with('.'));
    const std::string type(to_word(find_variable(name)->type));  // "a time"
    if (name != "phase") CHECK(type.ends_with(doc->type));
  }
  for (const std::string_view name : function_names()) {
    CAPTURE(name);
    const NameDoc* doc = find_function_doc(name);
    REQUIRE(doc != nullptr);
    CHECK(doc->signature.starts_with(std::string(name) + "("));
    const auto commas = std::count(doc->signature.begin(), doc->signature.end(), ',');
    CHECK(commas >= find_function(name)->num_arguments - 1);
  }
  for (const std::string_view name : metric_names()) CHECK_MESSAGE(find_variable_doc(name) != nullptr, name);
}

TEST_CASE("every word of the grammar is documented") {
  const std::string grammar = moe::test::read_file("grammar/MoePolicy.g4");
  const std::regex definition(R"re(\b[A-Z]+ *: *'([a-z]+)' *;)re");
  size_t count = 0;
  for (std::sregex_iterator it(grammar.begin(), grammar.end(), definition), end; it != end; ++it, ++count) {
    const std::string word = (*it)[1];
    const bool documented = find_keyword_doc(word) != nullptr || find_block_doc(word) != nullptr;
    CHECK_MESSAGE(documented, word);
  }
  CHECK(count >= 34);
}

TEST_CASE("examples are accepted") {
  size_t count = 0;
  const auto accept = [&](const std::string& text) {
    const std::string errors = errors_of(text);
    CHECK_MESSAGE(errors.empty(), errors);
    ++count;
  };
  for (const auto docs : {residency_key_docs(), movement_key_docs()}) {
    for (const KeyDoc& doc : docs) {
      CHECK_MESSAGE(doc.example.find(std::string(doc.name) + " = ") != std::string_view::npos, doc.example);
      const BlockSpec* block = find_block(doc.block);
      REQUIRE(block != nullptr);
      if (find_key(*block, doc.name) != nullptr) accept(in_block(doc.block, doc.example));
    }
  }
  for (const NameDoc& doc : variable_docs()) {
    if (find_variable(doc.name).has_value()) accept(around(std::string(doc.example)));
  }
  for (const NameDoc& doc : function_docs()) {
    if (find_function(doc.name) != nullptr) accept(around(std::string(doc.example)));
  }
  for (const KeywordDoc& doc : keyword_docs()) accept(around(std::string(doc.example)));
  for (const BlockDoc& doc : block_docs()) {
    if (doc.name == "on") {
      accept(around(std::string(doc.example)));
    } else if (doc.name == "tier") {
      accept(in_block("tiers", "tier third { location = disk } demote slow -> third on evict"));
    } else {
      const bool sizes = doc.name == "cache" || doc.name == "tiers";
      accept(file_with(doc.example, !sizes));
    }
  }
  CHECK(count > 120);
}
