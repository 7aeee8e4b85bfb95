// SPDX-License-Identifier: Apache-2.0
// Input is untrusted: nothing may crash, throw, hang or take more than linear memory.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "frontend/frontend.h"
#include "tests/frontend/mutate.h"
#include "tests/frontend/support.h"

namespace {

using moe::ir::Diagnostics;
using moe::ir::SourceFile;

struct Outcome {
  bool good = false;
  Diagnostics diagnostics;
  bool has(std::string_view code) const {
    for (const auto& finding : diagnostics.items()) {
      if (finding.code == code) return true;
    }
    return false;
  }
};

Outcome compile(const std::string& text) {
  Outcome outcome;
  outcome.good = moe::frontend::compile_to_ir(SourceFile("x.moe", text), {}, outcome.diagnostics).has_value();
  return outcome;
}

std::string with_capacity(const std::string& value) { return "policy p { cache { capacity = " + value + " } }"; }

std::string repeat(std::string_view piece, size_t times) {
  std::string out;
  out.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i) out += piece;
  return out;
}

}  // namespace

TEST_CASE("thousands of mutated policies") {
  const std::vector<std::string> corpus = moe::test::golden_texts();
  constexpr uint64_t kFirstSeed = 20261121;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 3000; ++seed) {
    INFO("seed " << seed);
    CHECK_NOTHROW(moe::test::exercise(moe::test::mutate(corpus, seed)));
  }
}

TEST_CASE("every prefix of a policy that uses the whole language") {
  const std::string text = moe::test::read_file("tests/golden/check/everything.moe");
  REQUIRE(text.size() > 1000);
  for (size_t length = 0; length < text.size(); length += 7) {
    INFO("length " << length);
    CHECK_NOTHROW(moe::test::exercise(text.substr(0, length)));
  }
}

TEST_CASE("nesting: 64 deep is fine, deeper is refused before parsing") {
  const auto parens = [](size_t deep) { return with_capacity(repeat("(", deep) + "8" + repeat(")", deep)); };
  CHECK(compile(parens(62)).good);  // and two braces
  CHECK(compile(parens(63)).has("MOE1004"));
  CHECK(compile(parens(200000)).has("MOE1004"));
  CHECK(compile(with_capacity(repeat("-", 60) + "8")).good);
  CHECK(compile(with_capacity(repeat("-", 100) + "8")).has("MOE1004"));
  CHECK(compile(with_capacity(repeat("- ", 100000) + "8")).has("MOE1004"));
  CHECK(compile(with_capacity(repeat("1 + not ", 100) + "8")).has("MOE1004"));
  CHECK(compile(with_capacity(repeat("if true then 1 else ", 100) + "8")).has("MOE1004"));
  CHECK(compile(with_capacity(repeat("if true then 1 else ", 60) + "8")).good);
  CHECK(compile(repeat("a {", 100000)).has("MOE1004"));
  CHECK(compile("policy p { cache { pin = " + repeat("[", 100000)).has("MOE1004"));
  CHECK(compile(repeat("}", 100000)).has("MOE1024"));
}

TEST_CASE("not in a row with `and` does not nest") {
  CHECK(compile("policy p { cache { capacity = 8 protect_selected = not false" + repeat(" and not false", 200) + " } }")
            .good);
}

TEST_CASE("sizes") {
  const std::string policy = with_capacity("8");
  const size_t limit = size_t{1} << 20U;
  CHECK(compile(policy + std::string(limit - policy.size(), ' ')).good);
  CHECK(compile(policy + std::string(limit - policy.size() + 1, ' ')).has("MOE1001"));
  CHECK(compile(with_capacity("1" + repeat(" + 1", 4999))).good);  // 9,999 nodes
  CHECK(compile(with_capacity("1" + repeat(" + 1", 5000))).has("MOE1006"));
  CHECK(compile(with_capacity("1" + repeat(" + 1", 200000))).has("MOE1006"));
  std::string policies;
  for (int i = 0; i < 1000; ++i) policies += "policy p" + std::to_string(i) + " { cache { capacity = 8 } }\n";
  CHECK(compile(policies).good);
  CHECK(compile(policies + "policy q { cache { capacity = 8 } }").has("MOE1005"));
}

TEST_CASE("long words, long lists, long lines") {
  const std::string word(500000, 'a');
  CHECK(!compile("policy " + word + " { cache { capacty = 8 } }").good);
  CHECK(!compile("policy p { " + word + " { " + word + " = " + word + " } }").good);
  CHECK(compile("policy " + word + " { cache { capacity = 8 } }").good);
  CHECK(compile("policy p { cache { capacity = 1% pin = [0" + repeat(",1:2", 30000) + "] } }").good);
  CHECK(compile("policy p { cache { capacity = " + std::string(100000, '1') + " } }").diagnostics.has_errors());
  CHECK(compile("policy p { cache { " + repeat("x=1 ", 30000) + "} }").has("MOE2002"));
  CHECK(compile("policy p { cache { capacity = 8 eviction = lru" + repeat("|lru", 30000) + "} }").has("MOE2107"));
}

TEST_CASE("lets inside one another, many arms, many bands") {
  std::string chain = "policy p { let a0 = freq * 2 ";
  for (int i = 1; i < 20000; ++i) chain += "let a" + std::to_string(i) + " = a" + std::to_string(i - 1) + " ";
  CHECK(compile(chain + "cache { capacity = 8 eviction = least(a19999) } }").good);
  std::string doubling = "policy p { let a0 = freq ";
  for (int i = 1; i < 3000; ++i) {
    const std::string before = "a" + std::to_string(i - 1);
    doubling += "let a" + std::to_string(i) + " = " + before + " + " + before + " ";
  }
  CHECK(compile(doubling + "cache { capacity = 8 eviction = least(a2999) } }").has("MOE2029"));
  // One large let in thousands of places: each is fine, all of them together are not.
  std::string bands = "policy p { let a = freq" + repeat(" + freq", 1500) + " cache { capacity = 8 scope = layer } ";
  for (int i = 0; i < 1000; ++i) {
    const std::string layer = std::to_string(i);
    bands += "layers " + layer + ".." + layer + " { cache { eviction = least(a) } } ";
  }
  CHECK(compile(bands + "}").has("MOE2029"));
  std::string small = "policy p { cache { capacity = 8 scope = layer } ";
  for (int i = 0; i < 4096; ++i) {
    const std::string layer = std::to_string(i);
    small += "layers " + layer + ".." + layer + " { cache { eviction = least(freq) capacity = 4 pin = [0..2] } } ";
  }
  CHECK(compile(small + "phase prefill { cache { capacity = 6 } } phase decode { cache { ttl = 9 } } }").good);
  CHECK(compile("policy p { cache { capacity = 8 } schedule { on miss { " + repeat("when tokens > 4 -> cpu ", 3000) +
                "else -> load } } }")
            .good);
  CHECK(compile("policy p { cache { capacity = 8 } prefetch { strategy = gate" + repeat("|gate", 30000) + "} }")
            .has("MOE2133"));
  CHECK(compile("policy p { cache { capacity = 8 preload = [0" + repeat(",0..9", 50000) + "] } }").good);
}

TEST_CASE("tables multiply their index, and are cut off") {
  const std::string entries = ", 1" + repeat(", 2", 47);
  const auto least = [](const std::string& lets, const std::string& value) {
    return compile("policy p { " + lets + " cache { capacity = 8 eviction = least(" + value + ") } }");
  };
  CHECK(least("", "table(freq" + entries + ")").good);
  CHECK(least("", "table(freq" + repeat(" + freq", 90) + entries + ")").good);
  CHECK(least("", "table(freq" + repeat(" + freq", 110) + entries + ")").has("MOE2029"));
  std::string tower = "let t0 = freq ";
  for (int i = 1; i < 100; ++i) {
    tower += "let t" + std::to_string(i) + " = table(t" + std::to_string(i - 1) + entries + ") ";
  }
  CHECK(least(tower, "t99").has("MOE2029"));
  CHECK(least("", "table(" + repeat("freq, ", 9000) + "freq)").has("MOE2021"));
  const auto order = [](const std::string& value) {
    return compile("policy p { let a = tokens" + repeat(" + tokens", 2499) +
                   " cache { capacity = 8 } schedule { order = " + value + " } }");
  };
  CHECK(order("most(a + a)").good);  // 9,999 parts, and the sign that turns it round
  CHECK(order("least(-(a + a))").good);
  CHECK(order("most(-(a + a))").has("MOE2029"));
}

TEST_CASE("unknown names among many known ones") {
  std::string text = "policy p { ";
  for (int i = 0; i < 20000; ++i) text += "param alpha" + std::to_string(i) + " = 1 ";
  text += "cache { capacity = 8 eviction = least(0";
  for (int i = 0; i < 400; ++i) text += " + alpha" + std::to_string(i) + "x";
  CHECK(compile(text + ") } }").has("MOE2013"));
}

TEST_CASE("garbage is cut short") {
  CHECK(compile(repeat("@ ", 100000)).diagnostics.items().size() < 500);
  CHECK(compile("policy p { " + repeat("= ", 100000)).diagnostics.items().size() < 500);
  CHECK(compile(repeat("\"\n", 100000)).diagnostics.items().size() < 500);
  CHECK(compile("policy p { cache { " + repeat("capacity = ; ", 10000)).has("MOE1008"));
  CHECK(compile("policy p { cache { " + repeat("a b ", 10000) + "} }").has("MOE1008"));
  CHECK(compile("policy p { cache { capacity = 8 } " + repeat("let a = 1 ", 10000) + "}").has("MOE1008"));
  CHECK(compile(repeat("policy ", 100000)).diagnostics.items().size() < 500);
}

TEST_CASE("bytes that are no text") {
  CHECK(compile(std::string("policy p \0 { }", 14)).has("MOE1003"));
  CHECK(compile("policy p { cache { capacity = 8 } } # \xFF").has("MOE1002"));
  CHECK(compile("policy p { cache { capacity = 8 } } # \xC0\x80").has("MOE1002"));
  CHECK(compile("policy p { cache { capacity = 8 } } # \xED\xA0\x80").has("MOE1002"));
  CHECK(compile("policy p { cache { capacity = 8 } } # \xF4\x90\x80\x80").has("MOE1002"));
  CHECK(compile("policy p { cache { capacity = 8 } } # \xE2\x82").has("MOE1002"));
  CHECK(compile("policy p { cache { capacity = 8 } } # gr\xC3\xBC\xC3\x9F, \xE2\x82\xAC, \xF0\x9F\x98\x80").good);
  CHECK(compile("policy caf\xC3\xA9 { cache { capacity = 8 } }").has("MOE1010"));
  CHECK(compile("").has("MOE1029"));
  CHECK(compile("/*").has("MOE1012"));
  CHECK(compile("\"").has("MOE1011"));
}

TEST_CASE("several threads at once") {
  const std::string text = moe::test::read_file("tests/golden/check/everything.moe");
  std::vector<std::thread> threads;
  std::vector<size_t> findings(4);
  for (size_t i = 0; i < findings.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) findings[i] = moe::test::exercise(text);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const size_t count : findings) CHECK(count == findings[0]);
}
