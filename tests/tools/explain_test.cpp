// SPDX-License-Identifier: Apache-2.0
// explain: whole texts that were written by hand beside their policies, and every policy that we ship.
//
// tests/golden/explain/*.moe: `# model: M` and `# policy: NAME` say how to bind; the lines after `#> ` are the text.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "compiler/driver.h"
#include "ir/explain.h"
#include "ir/print_value.h"
#include "ir/shape.h"

namespace {

namespace fs = std::filesystem;
using moe::ir::Diagnostics;
using moe::ir::Explanation;
using moe::ir::SourceFile;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> policies_of(const char* folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".moe") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// What follows `label` in the lines that begin with it, one a line.
std::string lines_after(const std::string& text, std::string_view label) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(label)) continue;
    const std::string rest = line.substr(label.size());
    out += (rest.starts_with(' ') ? rest.substr(1) : rest) + "\n";
  }
  return out;
}

std::string option(const std::string& text, std::string_view label) {
  const std::string lines = lines_after(text, label);
  return lines.substr(0, lines.find('\n'));
}

Explanation explain_bound(const SourceFile& source, const std::string& model, const std::string& policy) {
  const auto shape = moe::ir::load_shape(model);
  REQUIRE_MESSAGE(static_cast<bool>(shape), model);
  moe::compiler::Target target;
  target.shape = *shape;
  target.policy_name = policy;
  Diagnostics diagnostics;
  const auto bound = moe::compiler::compile_to_bound(source, target, diagnostics);
  REQUIRE_MESSAGE(bound.has_value(), moe::ir::render_text(source, diagnostics, false));
  return moe::ir::explain(*bound);
}

moe::ir::Module compile(const SourceFile& source) {
  Diagnostics diagnostics;
  auto module = moe::compiler::compile_to_module(source, {}, diagnostics);
  REQUIRE_MESSAGE(module.has_value(), moe::ir::render_text(source, diagnostics, false));
  return std::move(*module);
}

void check_sentences(const Explanation& explanation) {
  CHECK(!explanation.parts.empty());
  for (const auto& part : explanation.parts) {
    CHECK(!part.sentences.empty());
    for (const std::string& sentence : part.sentences) {
      CAPTURE(sentence);
      CHECK(sentence.size() > 10);
      const auto first = static_cast<unsigned char>(sentence.front());
      CHECK((std::isupper(first) != 0 || std::isdigit(first) != 0 || sentence.front() == '`'));
      CHECK(sentence.back() == '.');
      CHECK(sentence.find('\n') == std::string::npos);
      CHECK(std::count(sentence.begin(), sentence.end(), '`') % 2 == 0);
    }
  }
}

}  // namespace

TEST_CASE("the texts of tests/golden/explain") {
  const std::vector<fs::path> paths = policies_of("tests/golden/explain");
  CHECK(paths.size() >= 4);
  for (const fs::path& path : paths) {
    CAPTURE(path.string());
    const std::string text = read_file(path);
    const SourceFile source(path.string(), text);
    const std::string model = option(text, "# model:");
    const Explanation explanation = model.empty() ? moe::ir::explain(compile(source).policies.front())
                                                  : explain_bound(source, model, option(text, "# policy:"));
    CHECK(print_text(explanation) == lines_after(text, "#>"));
    check_sentences(explanation);
  }
}

TEST_CASE("every policy that we ship is explained, its eviction rule by name or by its expression") {
  const std::vector<fs::path> paths = policies_of("stdlib-policies");
  CHECK(paths.size() >= 20);
  for (const fs::path& path : paths) {
    CAPTURE(path.string());
    const moe::ir::Module module = compile(SourceFile(path.string(), read_file(path)));
    for (size_t i = 0; i < module.num_own; ++i) {
      const moe::ir::Policy& policy = module.policies[i];
      const Explanation explanation = moe::ir::explain(policy);
      check_sentences(explanation);
      CHECK(explanation.exactness == exactness(policy));
      const moe::ir::EvictionRule& rule = policy.cache.eviction.value;
      const bool by_value = rule.kind == moe::ir::Eviction::least;
      const std::string named = by_value ? moe::ir::print_expr(rule.value) : moe::ir::print(rule);
      const std::string text = print_text(explanation);
      CHECK_MESSAGE(text.find("`" + named.substr(0, 60)) != std::string::npos, named);
    }
  }
}

TEST_CASE("an expression that nobody would read to its end is cut between two words") {
  std::string sum = "freq";
  for (int i = 0; i < 200; ++i) sum += " + freq";
  const SourceFile source("long.moe", "policy p { cache { capacity = 8  eviction = least(" + sum + ") } }");
  const std::string text = print_text(moe::ir::explain(compile(source).policies.front()));
  CHECK(text.find("freq + freq + ...` leaves.") != std::string::npos);
  CHECK(text.size() < 1500);
}

TEST_CASE("the JSON form says the same") {
  const SourceFile source("two.moe",
                          "policy a { cache { capacity = 8 } }"
                          "policy b { cache { capacity = 4 eviction = lfu } schedule { mode = cpu_fallback } }");
  std::vector<Explanation> explanations;
  for (const auto& policy : compile(source).policies) explanations.push_back(moe::ir::explain(policy));
  const auto json = nlohmann::json::parse(moe::ir::print_json(explanations, {"a warning with a \"quote\""}));
  CHECK(json["warnings"] == nlohmann::json::array({"a warning with a \"quote\""}));
  REQUIRE(json["policies"].size() == 2);
  CHECK(json["policies"][0]["policy"] == "a");
  CHECK(json["policies"][0]["exactness"] == "exact");
  CHECK(json["policies"][1]["exactness"] == "exact_on_host");
  CHECK(json["policies"][1]["timing_free"] == true);
  for (size_t p = 0; p < 2; ++p) {
    const auto& parts = json["policies"][p]["parts"];
    REQUIRE(parts.size() == explanations[p].parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      CHECK(parts[i]["title"] == explanations[p].parts[i].title);
      CHECK(parts[i]["sentences"] == explanations[p].parts[i].sentences);
    }
  }
}
