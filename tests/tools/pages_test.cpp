// SPDX-License-Identifier: Apache-2.0
// docs/diagnostics: a page for each code of the source and a code for each page, and the examples show what they say.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "compiler/driver.h"
#include "ir/pages.h"
#include "ir/shape.h"
#include "tests/frontend/support.h"

namespace {

namespace fs = std::filesystem;
using moe::ir::DiagnosticPage;
using moe::ir::Diagnostics;
using moe::ir::SourceFile;
using moe::test::read_file;

std::string repeat(std::string_view piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += piece;
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void add_codes(const std::string& source, std::set<std::string>& codes) {
  constexpr size_t kLength = 7;
  for (size_t at = source.find("MOE"); at != std::string::npos; at = source.find("MOE", at + 1)) {
    const std::string code = source.substr(at, kLength);
    if (code.size() == kLength && std::all_of(code.begin() + 3, code.end(), is_digit)) codes.insert(code);
  }
}

std::set<std::string> codes_of_source() {
  std::set<std::string> codes;
  for (const char* folder : {"frontend", "ir", "compiler", "codegen"}) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".cpp") add_codes(read_file(entry.path()), codes);
    }
  }
  return codes;
}

std::vector<std::string> examples_of(const DiagnosticPage& page) {
  constexpr std::string_view kFence = "```moe\n";
  std::vector<std::string> examples;
  for (size_t at = page.text.find(kFence); at != std::string_view::npos; at = page.text.find(kFence, at + 1)) {
    const size_t begin = at + kFence.size();
    examples.emplace_back(page.text.substr(begin, page.text.find("```", begin) - begin));
  }
  return examples;
}

/// The page's line "Options: `--model M --set NAME=VALUE --policy NAME --slots N --budget SIZE`".
std::vector<std::string> options_of(const DiagnosticPage& page) {
  constexpr std::string_view kLabel = "\nOptions: `";
  const size_t at = page.text.find(kLabel);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + kLabel.size();
  std::istringstream words{std::string(page.text.substr(begin, page.text.find('`', begin) - begin))};
  std::vector<std::string> options;
  for (std::string word; words >> word;) options.push_back(word);
  return options;
}

/// As `moec compile --emit ir` with the page's options.
Diagnostics findings_of(const std::string& text, const std::vector<std::string>& options) {
  moe::compiler::Target target;
  bool bound = false;
  REQUIRE(options.size() % 2 == 0);
  for (size_t i = 0; i + 1 < options.size(); i += 2) {
    const std::string& value = options[i + 1];
    if (options[i] == "--model") {
      const auto shape = moe::ir::load_shape(value);
      REQUIRE_MESSAGE(static_cast<bool>(shape), value);
      target.shape = *shape;
      bound = true;
    } else if (options[i] == "--set") {
      target.settings.push_back(moe::compiler::parse_setting(value).value());
    } else if (options[i] == "--policy") {
      target.policy_name = value;
    } else if (options[i] == "--slots") {
      target.bind.capacity_slots = static_cast<uint32_t>(std::stoul(value));
    } else if (options[i] == "--budget") {
      REQUIRE(value.ends_with("MB"));
      target.bind.fast_bytes = std::stoull(value) * 1000000;
    } else {
      FAIL("an option that this test does not know: " << options[i]);
    }
  }
  const SourceFile source("page.moe", text);
  Diagnostics diagnostics;
  if (bound) {
    (void)moe::compiler::compile_to_bound(source, target, diagnostics);
  } else {
    (void)moe::compiler::compile_to_module(source, target.settings, diagnostics);
  }
  return diagnostics;
}

/// The title says which findings are warnings.
void check_finding(const DiagnosticPage& page, const Diagnostics& findings) {
  const auto& items = findings.items();
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& one) { return one.code == page.code; });
  REQUIRE_MESSAGE(found != items.end(), page.code << " is not found");
  CHECK(page.title.ends_with("(warning)") == (found->severity == moe::ir::Severity::warning));
}

/// Mended: the finding is gone, and no error is left.
void check_mended(const DiagnosticPage& page, const Diagnostics& findings) {
  for (const auto& left : findings.items()) {
    INFO(left.code << ": " << left.message);
    CHECK(left.code != page.code);
    CHECK(left.severity != moe::ir::Severity::error);
  }
}

constexpr std::string_view kPolicy = "policy p { cache { capacity = 8 } }\n";

/// A policy with thousands of parts, and some that copy it.
std::string large_parent() { return "policy a { let long = 1" + repeat(" + 1", 1500) + " cache { capacity = 8 } }\n"; }

std::string children(size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    out += "policy b" + std::to_string(i) + " extends a { cache { ttl = 9 } }\n";
  }
  return out;
}

/// Texts that are too large, or no text, for a page.
std::map<std::string, std::string> large_examples() {
  const std::string policy(kPolicy);
  return {
      {"MOE1001", policy + std::string(size_t{1} << 20U, ' ')},
      {"MOE1002", policy + "# \xFF"},
      {"MOE1003", policy + std::string("# \0", 3)},
      {"MOE1004", "policy p { cache { capacity = " + repeat("(", 65) + "8" + repeat(")", 65) + " } }"},
      {"MOE1005", repeat(policy, 1001)},
      {"MOE1006", "policy p { cache { capacity = 1" + repeat(" + 1", 5000) + " } }"},
      {"MOE1007", "policy p { cache { " + repeat("a = *\n", 200) + "} }"},
      {"MOE1008", "policy p { cache { " + repeat("capacity = 8\n", 600) + "} }"},
      {"MOE2142", repeat("import \"std/lru.moe\"\n", 257) + policy},
      {"MOE2145", large_parent() + children(60)},
      {"MOE2155",
       "policy p { cache { capacity = 8 } adapt { " + repeat("when hit_rate < 40% { ttl = 9 }\n", 257) + "} }"},
  };
}

moe::ir::Policy policy_of(const std::string& text) {
  Diagnostics none;
  return moe::frontend::compile_to_ir(SourceFile("p.moe", text), {}, none)->policies.front();
}

void bind(const moe::ir::Policy& policy, const moe::ir::BindOptions& options, Diagnostics& diagnostics) {
  (void)moe::ir::bind(policy, {2, 8, 2, 0}, options, diagnostics);
}

void bind_broken(Diagnostics& diagnostics) {
  moe::ir::Policy broken = policy_of(std::string(kPolicy));
  broken.cache.capacity.value.amount = 0;
  bind(broken, {}, diagnostics);
}

void bind_band_of_one_cache(Diagnostics& diagnostics) {
  moe::ir::Policy policy =
      policy_of("policy p { cache { capacity = 8  scope = layer } layers 0..1 { cache { capacity = 4 } } }");
  policy.cache.scope.value = moe::ir::Scope::global;
  bind(policy, {}, diagnostics);
}

void bind_other_scope(Diagnostics& diagnostics) {
  moe::ir::Policy policy = policy_of(
      "policy p { cache { capacity = 4  scope = layer } adapt { when hit_rate < 40% { use b } } }"
      "policy b { cache { capacity = 6  scope = layer } }");
  policy.alternatives.front().cache.scope.value = moe::ir::Scope::global;
  bind(policy, {}, diagnostics);
}

void bind_other_profile(Diagnostics& diagnostics) {
  auto profile = std::make_shared<moe::ir::Profile>();
  profile->num_layers = 3;
  profile->num_experts = 8;
  moe::ir::BindOptions options;
  options.profile = profile;
  bind(policy_of(std::string(kPolicy)), options, diagnostics);
}

void bind_other_window(Diagnostics& diagnostics) {
  auto profile = std::make_shared<moe::ir::Profile>();
  profile->num_layers = 2;
  profile->num_experts = 8;
  profile->learned = {std::vector<double>(10), std::vector<double>(10)};
  moe::ir::BindOptions options;
  options.profile = profile;
  bind(policy_of("policy p { cache { capacity = 8  eviction = least(value) } learn { profile = \"p.moeprof\" } }"),
       options, diagnostics);
}

void import_in_circle(Diagnostics& diagnostics) {
  const std::string a = "import \"b.moe\" policy a { cache { capacity = 8 } }";
  const std::string b = "import \"a.moe\" policy b { cache { capacity = 8 } }";
  moe::test::Imports imports(std::map<std::string, std::string>{{"a.moe", a}, {"b.moe", b}});
  moe::frontend::LowerOptions options;
  options.imports = &imports;
  (void)moe::frontend::compile_to_ir(SourceFile("a.moe", a), options, diagnostics);
}

/// What no one text can cause: the page says so, and these calls do. Each has this finding and no other.
std::map<std::string, std::function<void(Diagnostics&)>> calls() {
  return {{"MOE2141", import_in_circle},
          {"MOE2200", bind_broken},
          {"MOE2215",
           [](Diagnostics& diagnostics) {
             (void)moe::ir::bind(policy_of(std::string(kPolicy)), {2, 8, 9, 0}, {}, diagnostics);
           }},
          {"MOE2219", bind_band_of_one_cache},
          {"MOE2223", bind_other_scope},
          {"MOE2224", bind_other_profile},
          {"MOE2225", bind_other_window}};
}

}  // namespace

TEST_CASE("every code has a page, and every page a code") {
  std::set<std::string> pages;
  for (const DiagnosticPage& page : moe::ir::diagnostic_pages()) {
    CHECK_MESSAGE(pages.insert(std::string(page.code)).second, page.code);
    CHECK_MESSAGE(page.text == read_file("docs/diagnostics/" + std::string(page.code) + ".md"), page.code);
  }
  for (const std::string& code : codes_of_source()) {
    CHECK_MESSAGE(pages.count(code) == 1, code << " has no page docs/diagnostics/" << code << ".md");
  }
  const std::set<std::string> codes = codes_of_source();
  for (const std::string& page : pages) CHECK_MESSAGE(codes.count(page) == 1, page << " is given by nothing");
  CHECK(pages.size() > 80);
}

TEST_CASE("the index lists all pages with their titles, in order") {
  const std::string index = read_file("docs/diagnostics/README.md");
  size_t at = index.find("- [MOE");
  REQUIRE(at != std::string::npos);
  std::string wanted;
  for (const DiagnosticPage& page : moe::ir::diagnostic_pages()) {
    const std::string code(page.code);
    wanted += "- [" + code + "](" + code + ".md): " + std::string(page.title) + "\n";
  }
  CHECK(index.substr(at) == wanted);
}

TEST_CASE("the first example has the finding, the mended one has not") {
  const auto large = large_examples();
  const auto made = calls();
  for (const DiagnosticPage& page : moe::ir::diagnostic_pages()) {
    const std::string code(page.code);
    INFO(code);
    const std::vector<std::string> examples = examples_of(page);
    const std::vector<std::string> options = options_of(page);
    CHECK(examples.size() <= 2);
    CHECK(page.title.back() != '.');
    if (const auto text = large.find(code); text != large.end()) {
      check_finding(page, findings_of(text->second, options));
    } else if (const auto call = made.find(code); call != made.end()) {
      Diagnostics diagnostics;
      call->second(diagnostics);
      REQUIRE(diagnostics.items().size() == 1);
      check_finding(page, diagnostics);
    } else {
      REQUIRE_MESSAGE(!examples.empty(), "the page has no example");
      check_finding(page, findings_of(examples.front(), options));
      if (examples.size() == 2) check_mended(page, findings_of(examples.back(), options));
    }
  }
}

TEST_CASE("a page is found by its code, however it is written") {
  const DiagnosticPage* page = moe::ir::find_page("MOE2103");
  REQUIRE(page != nullptr);
  CHECK(page->code == "MOE2103");
  CHECK(moe::ir::find_page("moe2103") == page);
  CHECK(moe::ir::find_page("Moe2103") == page);
  CHECK(moe::ir::find_page("2103") == page);
  for (const char* wrong : {"", "103", "MOE", "MOE21", "MOE21033", "EOM2103", "MOE9999", "21O3"}) {
    INFO(wrong);
    CHECK(moe::ir::find_page(wrong) == nullptr);
  }
}
