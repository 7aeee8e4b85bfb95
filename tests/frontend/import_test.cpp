// SPDX-License-Identifier: Apache-2.0
// Several files as one: what is seen where, how often files are read, where findings point, and that nothing hangs.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <string>

#include "frontend/frontend.h"
#include "frontend/limits.h"
#include "ir/keys.h"
#include "tests/frontend/support.h"

namespace {

using namespace moe;
using Files = std::map<std::string, std::string>;

struct Outcome {
  std::optional<ir::Module> module;
  ir::Diagnostics diagnostics;
  std::string text;  ///< of the findings

  size_t count(std::string_view code) const {
    size_t n = 0;
    for (const auto& finding : diagnostics.items()) n += finding.code == code ? 1 : 0;
    return n;
  }
};

Outcome compile(test::Imports& imports, const std::string& text, std::vector<frontend::Setting> settings = {}) {
  Outcome outcome;
  frontend::LowerOptions options;
  options.settings = std::move(settings);
  options.imports = &imports;
  const ir::SourceFile source("main.moe", text);
  outcome.module = frontend::compile_to_ir(source, options, outcome.diagnostics);
  outcome.text = ir::render_text(source, outcome.diagnostics, false);
  CHECK(!ir::render_json(source, outcome.diagnostics).empty());
  return outcome;
}

Outcome compile(const Files& files, const std::string& text, std::vector<frontend::Setting> settings = {}) {
  test::Imports imports(files);
  return compile(imports, text, std::move(settings));
}

const std::string kA = "policy a { param n = 8  cache { capacity = n  eviction = lfu } }";

std::string number(size_t i) { return std::to_string(i); }

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("extends an imported policy; a setting reaches its param") {
  const Outcome outcome =
      compile(Files{{"a.moe", kA}}, "import \"a.moe\" policy b extends a { cache { ttl = 5 } }", {{"n", "3"}});
  INFO(outcome.text);
  REQUIRE(outcome.module);
  REQUIRE(outcome.module->policies.size() == 1);
  CHECK(outcome.module->num_own == 1);
  const ir::Policy& b = outcome.module->policies[0];
  CHECK(b.name.value == "b");
  CHECK(b.cache.capacity.value.amount == 3);
  CHECK(b.cache.eviction.value == ir::Eviction::lfu);
  CHECK(b.cache.ttl->value == 5);
  // What was inherited has its place in the parent's file.
  const ir::SourceFile main("main.moe", "import \"a.moe\" policy b extends a { cache { ttl = 5 } }");
  const ir::SourcePlace place = outcome.diagnostics.place_of(main, b.cache.eviction.span);
  CHECK(place.file->name() == "a.moe");
  CHECK(place.file->text().substr(place.span.begin, place.span.end - place.span.begin) == "lfu");
  CHECK(outcome.diagnostics.place_of(main, b.name.span).file == &main);
}

TEST_CASE("a policy that is used comes along, without its rules") {
  const Files files{{"a.moe", "policy a { cache { capacity = 8 : 4 when hit_rate < 0.5 } }"}};
  const Outcome outcome =
      compile(files, "import \"a.moe\" policy b { cache { capacity = 2 } adapt { when hit_rate < 0.1 { use a } } }");
  INFO(outcome.text);
  REQUIRE(outcome.module);
  CHECK(outcome.count("MOE2156") == 1);
  REQUIRE(outcome.module->policies.size() == 2);
  CHECK(outcome.module->num_own == 1);
  CHECK(outcome.module->policies[1].name.value == "a");
  CHECK(outcome.module->policies[1].adapt.empty());
  REQUIRE(outcome.module->policies[0].alternatives.size() == 1);
  CHECK(outcome.module->policies[0].alternatives[0].cache.capacity.value.amount == 8);
  // The text of the module needs no import.
  const std::string printed = ir::print_text(*outcome.module);
  const Outcome reread = compile(Files{}, printed);
  INFO(printed << reread.text);
  REQUIRE(reread.module);
  CHECK(*reread.module == *outcome.module);
}

TEST_CASE("a file that is imported on several ways is read once") {
  test::Imports imports(Files{{"a.moe", kA},
                              {"b.moe", "import \"a.moe\" policy b extends a { cache { ttl = 1 } }"},
                              {"c.moe", "import \"a.moe\" policy c extends a { cache { ttl = 2 } }"}});
  const Outcome outcome = compile(imports,
                                  "import \"b.moe\" import \"c.moe\" policy d extends b { cache { ttl = 3 } }"
                                  " policy e extends c { cache { ttl = 4 } }");
  INFO(outcome.text);
  REQUIRE(outcome.module);
  CHECK(imports.num_read == 3);
  CHECK(outcome.module->policies[0].cache.eviction.value == ir::Eviction::lfu);
}

TEST_CASE("a file sees what it imports itself, not what that imports in turn") {
  const Outcome outcome =
      compile(Files{{"a.moe", kA}, {"b.moe", "import \"a.moe\" policy b extends a { cache { ttl = 1 } }"}},
              "import \"b.moe\" policy c extends a { cache { ttl = 3 } }");
  CHECK(!outcome.module);
  CHECK(outcome.count("MOE2013") == 1);
  CHECK(outcome.text.find("import `a.moe`, which has it") != std::string::npos);
}

TEST_CASE("an inherited rule names policies of its own file") {
  const Files files{{"a.moe",
                     "policy base { cache { capacity = 8 } adapt { when hit_rate < 0.1 { use x } } }\n"
                     "policy x { cache { capacity = 3 } }"}};
  const std::string main = "import \"a.moe\" policy c extends base { cache { ttl = 3 } }";
  const Outcome outcome = compile(files, main);
  INFO(outcome.text);
  REQUIRE(outcome.module);
  CHECK(outcome.module->policies[0].alternatives.at(0).cache.capacity.value.amount == 3);
  // Two of one name: one beside `c`, one that its inherited rule means.
  const Outcome clash = compile(
      Files{{"a.moe", files.at("a.moe")}, {"b.moe", "import \"a.moe\" policy b extends base { cache { ttl = 1 } }"}},
      "import \"b.moe\" policy c extends b { cache { ttl = 3 } } policy x { cache { capacity = 1 } }");
  CHECK(!clash.module);
  CHECK(clash.count("MOE2008") == 1);
}

TEST_CASE("cycles are shown") {
  const Files files{{"a.moe", "import \"b.moe\" policy a { cache { capacity = 8 } }"},
                    {"b.moe", "import \"main.moe\" policy b { cache { capacity = 8 } }"},
                    {"main.moe", ""}};
  const Outcome outcome = compile(files, "import \"a.moe\" policy c extends a { cache { ttl = 3 } }");
  CHECK(outcome.count("MOE2141") == 1);
  CHECK(outcome.text.find("`main.moe` -> `a.moe` -> `b.moe` -> `main.moe`") != std::string::npos);
  CHECK(outcome.text.find("b.moe:1:1: error[MOE2141]") != std::string::npos);
  const Outcome itself = compile(Files{{"main.moe", ""}}, "import \"main.moe\" policy c { cache { capacity = 3 } }");
  CHECK(itself.count("MOE2141") == 1);
}

TEST_CASE("mistakes in an imported file are reported there, once") {
  const Files files{{"a.moe", "policy a {\n  cache { capacity = 8  eviction = lfru }\n}"},
                    {"b.moe", "policy b {\n  cache { capacity = }\n}"}};
  const Outcome outcome = compile(files,
                                  "import \"a.moe\" import \"b.moe\"\n"
                                  "policy c extends a { cache { ttl = 3 } } policy d extends c { cache { ttl = 4 } }");
  CHECK(!outcome.module);
  CHECK(outcome.count("MOE2003") == 1);
  CHECK(outcome.count("MOE1025") == 1);
  CHECK(outcome.text.find("a.moe:2:36: error[MOE2003]") != std::string::npos);
  CHECK(outcome.text.find("eviction = lfru") != std::string::npos);
  CHECK(outcome.text.find("b.moe:2:") != std::string::npos);
}

TEST_CASE("without a resolver an import is an error") {
  ir::Diagnostics diagnostics;
  CHECK(!frontend::compile_to_ir(ir::SourceFile("x.moe", "import \"a.moe\" policy c extends a { cache { ttl = 3 } }"),
                                 {}, diagnostics));
  REQUIRE(diagnostics.items().size() == 1);
  CHECK(diagnostics.items()[0].code == "MOE2140");
}

TEST_CASE("import bombs end") {
  // Each file imports the next two: without reading each once, 2^40 files.
  Files files;
  for (size_t i = 0; i < 60; ++i) {
    files["f" + number(i) + ".moe"] = "import \"f" + number(i + 1) + ".moe\" import \"f" + number(i + 2) +
                                      ".moe\" policy p" + number(i) + " { cache { capacity = 8 } }";
  }
  files["f60.moe"] = files["f61.moe"] = "policy last { cache { capacity = 8 } }";
  files["f61.moe"] = "policy very_last { cache { capacity = 8 } }";
  test::Imports imports(files);
  const Outcome outcome = compile(imports, "import \"f0.moe\" policy c extends p0 { cache { ttl = 3 } }");
  INFO(outcome.text);
  CHECK(outcome.module);
  CHECK(imports.num_read == 62);

  Files chain;
  for (size_t i = 0; i < 1000; ++i) {
    chain["f" + number(i) + ".moe"] = "import \"f" + number(i + 1) + ".moe\" policy p { cache { capacity = 8 } }";
  }
  const Outcome deep = compile(chain, "import \"f0.moe\" policy c extends p { cache { ttl = 3 } }");
  CHECK(deep.count("MOE2142") == 1);

  std::string wide;
  for (size_t i = 0; i < 20000; ++i) wide += "import \"a.moe\"\n";
  CHECK(compile(Files{{"a.moe", kA}}, wide + "policy c extends a { cache { ttl = 3 } }").count("MOE2142") == 1);

  Files large;
  std::string all;
  for (size_t i = 0; i < 8; ++i) {
    large["l" + number(i) + ".moe"] =
        "policy l" + number(i) + " { cache { capacity = 8 } }" + std::string(1000000, ' ');
    all += "import \"l" + number(i) + ".moe\" ";
  }
  CHECK(compile(large, all + "policy c extends l0 { cache { ttl = 3 } }").count("MOE2142") == 1);
}

TEST_CASE("a thousand policies that extend each other") {
  std::string text = "policy p0 { cache { capacity = 8 } }\n";
  for (size_t i = 1; i < 1000; ++i) {
    text += "policy p" + number(i) + " extends p" + number(i - 1) + " { cache { ttl = " + number(i) + " } }\n";
  }
  const Outcome outcome = compile(Files{}, text);
  INFO(outcome.text);
  REQUIRE(outcome.module);
  CHECK(outcome.module->policies[999].cache.ttl->value == 999);
  CHECK(outcome.module->policies[999].cache.capacity.value.amount == 8);

  // Rules are appended: what is inherited grows with the square, and is cut off.
  std::string rules = "policy p0 { cache { capacity = 8 } }\n";
  for (size_t i = 1; i < 1000; ++i) {
    rules += "policy p" + number(i) + " extends p" + number(i - 1) +
             " { adapt { when true { capacity = 9 } when true { ttl = 9 } } }\n";
  }
  Outcome cut;
  CHECK(seconds_of([&] { cut = compile(Files{}, rules); }) < 20);
  CHECK(!cut.module);
  CHECK(cut.count("MOE2145") + cut.count("MOE2155") > 0);

  // The last is first: the parents are found without recursion.
  std::string backwards;
  for (size_t i = 999; i > 0; --i) {
    backwards += "policy p" + number(i) + " extends p" + number(i - 1) + " { cache { ttl = " + number(i) + " } }\n";
  }
  CHECK(compile(Files{}, backwards + "policy p0 { cache { capacity = 8 } }").module);

  std::string circle;
  for (size_t i = 0; i < 1000; ++i) {
    circle += "policy p" + number(i) + " extends p" + number((i + 1) % 1000) + " { cache { ttl = 1 } }\n";
  }
  CHECK(compile(Files{}, circle).count("MOE2121") == 1);
}

TEST_CASE("lets through extends: order follows need, doubling is cut off") {
  std::string text = "policy p0 { let x0 = recency  cache { capacity = 8  eviction = lru } }\n";
  for (size_t i = 1; i < 300; ++i) {
    text += "policy p" + number(i) + " extends p" + number(i - 1) + " { let x" + number(i) + " = x" + number(i - 1) +
            " + x" + number(i - 1) + " }\n";
  }
  Outcome doubling;
  CHECK(seconds_of([&] {
          doubling = compile(Files{}, text + "policy q extends p299 { cache { eviction = least(x299) } }");
        }) < 20);
  CHECK(!doubling.module);
  CHECK(doubling.count("MOE2029") > 0);

  const Outcome circle = compile(Files{},
                                 "policy a { let x = 1 let y = x cache { capacity = 8 } }\n"
                                 "policy b extends a { let x = y + 1 }");
  CHECK(!circle.module);
  CHECK(circle.count("MOE2013") == 1);
}

TEST_CASE("each policy may use all others: copies are limited") {
  std::string text;
  for (size_t i = 0; i < 400; ++i) {
    text += "policy p" + number(i) + " { cache { capacity = 8 } adapt { choose p0";
    for (size_t j = 1; j < 60; ++j) text += ", p" + number(j);
    text += " by hit_rate every 9 dispatches } }\n";
  }
  Outcome outcome;
  CHECK(seconds_of([&] { outcome = compile(Files{}, text); }) < 20);
  CHECK(!outcome.module);
}
