// SPDX-License-Identifier: Apache-2.0
// The parts of the language server without the protocol: positions, what a text declares, what may stand at a place.
// Each text has one `$`, where the cursor is; expectations are read off the language's description.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "tools/lsp/context.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "compiler/file_imports.h"
#include "tests/frontend/support.h"
#include "tools/lsp/features.h"

namespace {

using namespace moe::lsp;

struct Marked {
  explicit Marked(const std::string& marked, const std::string& path = "")
      : offset(static_cast<uint32_t>(marked.find('$'))),
        snapshot(path, marked.substr(0, offset) + marked.substr(offset + 1)) {}
  uint32_t offset;
  Snapshot snapshot;
};

// `body` is a policy's.
std::string in_policy(const std::string& body) { return "policy p {\n" + body + "\n}\n"; }

// Nothing is open in it, and there is no standard library.
const Workspace& workspace() {
  static moe::compiler::FileImports files("");
  static const Workspace workspace(files);
  return workspace;
}

Spot spot_of(const std::string& marked) {
  const Marked text(marked);
  return context_at(text.snapshot, text.offset).spot;
}

std::vector<std::string> completions(const std::string& marked) {
  const Marked text(marked);
  std::vector<std::string> labels;
  for (const CompletionItem& item : complete(workspace(), text.snapshot, text.offset).items)
    labels.push_back(item.label);
  return labels;
}

bool offers(const std::string& marked, const std::string& label) {
  const std::vector<std::string> labels = completions(marked);
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

std::string hover_text(const std::string& marked) {
  const Marked text(marked);
  const auto found = hover(workspace(), text.snapshot, text.offset);
  return found ? found->markdown : "";
}

// Of the name that the cursor is on: the text of its declaration's line from the name on.
std::string definition_text(const std::string& marked) {
  const Marked text(marked);
  const auto found = find_definition(workspace(), text.snapshot, text.offset);
  return found ? std::string(text.snapshot.text().substr(found->span.begin, 12)) : "";
}

}  // namespace

TEST_CASE("positions count UTF-16 units or bytes") {
  // a, e acute (2 bytes, 1 unit), an emoji (4 bytes, 2 units), b; lines end in all three ways
  const std::string text =
      "a\xC3\xA9\xF0\x9F\x98\x80"
      "b\r\nx\ry\nz";
  const LineIndex lines(text);
  CHECK(lines.position(7, PositionEncoding::utf16) == Position{0, 4});
  CHECK(lines.position(7, PositionEncoding::utf8) == Position{0, 7});
  CHECK(lines.offset({0, 4}, PositionEncoding::utf16) == 7);
  CHECK(lines.offset({0, 7}, PositionEncoding::utf8) == 7);
  CHECK(lines.offset({0, 3}, PositionEncoding::utf16) == 3);  // between the surrogates: before the character
  CHECK(lines.offset({0, 99}, PositionEncoding::utf16) == 8);
  CHECK(lines.offset({1, 0}, PositionEncoding::utf16) == 10);
  CHECK(lines.offset({2, 0}, PositionEncoding::utf16) == 12);
  CHECK(lines.offset({3, 1}, PositionEncoding::utf16) == 15);
  CHECK(lines.offset({9, 9}, PositionEncoding::utf16) == 15);
  CHECK(lines.position(12, PositionEncoding::utf16) == Position{2, 0});
  CHECK(lines.position(999, PositionEncoding::utf16) == Position{3, 1});
  CHECK(LineIndex("").position(0, PositionEncoding::utf16) == Position{0, 0});
  // far into a long line, against a count from its start
  std::string longer;
  for (int i = 0; i < 3000; ++i) longer += "\xF0\x9F\x98\x80z";
  CHECK(LineIndex(longer).position(5 * 2500 + 4, PositionEncoding::utf16) == Position{0, 3 * 2500 + 2});
  CHECK(LineIndex(longer).offset({0, 3 * 2500 + 2}, PositionEncoding::utf16) == 5 * 2500 + 4);
}

TEST_CASE("what may stand at a place") {
  CHECK(spot_of("$") == Spot::file);
  CHECK(spot_of("po$") == Spot::file);
  CHECK(spot_of("policy $") == Spot::nothing);
  CHECK(spot_of("policy a extends $ { }") == Spot::base);
  CHECK(spot_of("import \"std/$\" policy p { }") == Spot::import_path);
  CHECK(spot_of(in_policy("$")) == Spot::member);
  CHECK(spot_of(in_policy("pre$")) == Spot::member);
  CHECK(spot_of(in_policy("cache { capacity = 8 }  $")) == Spot::member);
  CHECK(spot_of(in_policy("cache { $")) == Spot::item);
  CHECK(spot_of(in_policy("cache { capacity = 8 $")) == Spot::item);
  CHECK(spot_of(in_policy("cache { capacity = 8$")) == Spot::nothing);
  CHECK(spot_of(in_policy("cache { eviction = $")) == Spot::value);
  CHECK(spot_of(in_policy("cache { eviction = lfu | $")) == Spot::value);
  CHECK(spot_of(in_policy("cache { eviction = least($")) == Spot::expression);
  CHECK(spot_of(in_policy("cache { capacity = 16 : $ when hit_rate < 1 }")) == Spot::value);
  CHECK(spot_of(in_policy("cache { capacity = 16 : 8 when $ }")) == Spot::expression);
  CHECK(spot_of(in_policy("cache { # capa$\n }")) == Spot::nothing);
  CHECK(spot_of(in_policy("cache { // capa$\n }")) == Spot::nothing);
  CHECK(spot_of(in_policy("cache { # done\n capa$ }")) == Spot::item);
  CHECK(spot_of(in_policy("prefetch { profile = \"a$b\" }")) == Spot::nothing);
  CHECK(spot_of(in_policy("prefetch { when = $ }")) == Spot::expression);
  CHECK(spot_of(in_policy("param $ = 8")) == Spot::nothing);
  CHECK(spot_of(in_policy("let x = $")) == Spot::expression);
  CHECK(spot_of(in_policy("let x = 1 + $")) == Spot::expression);
  CHECK(spot_of(in_policy("adapt { when hit_rate < 0.4 { $ } }")) == Spot::item);
  CHECK(spot_of(in_policy("adapt { when hit_rate < 0.4 { prefetch.$ } }")) == Spot::block_key);
  CHECK(spot_of(in_policy("adapt { when hit_rate < 0.4 { use $ } }")) == Spot::policy);
  CHECK(spot_of(in_policy("adapt { when hit_rate < 0.4 for 20 $ { } }")) == Spot::word);
  CHECK(spot_of(in_policy("adapt { choose a, $ by hit_rate every 9 dispatches }")) == Spot::policy);
  CHECK(spot_of(in_policy("adapt { choose a, b by $ every 9 dispatches }")) == Spot::expression);
  CHECK(spot_of(in_policy("schedule { on $ }")) == Spot::word);
  CHECK(spot_of(in_policy("schedule { on miss { when $ } }")) == Spot::expression);
  CHECK(spot_of(in_policy("schedule { on miss { else -> $ } }")) == Spot::action);
  CHECK(spot_of(in_policy("tiers { tier fast { } promote $ -> fast }")) == Spot::tier);
  CHECK(spot_of(in_policy("tiers { tier fast { } promote slow -> $ }")) == Spot::tier);
  CHECK(spot_of(in_policy("tiers { tier fast { location = $ } }")) == Spot::value);
  CHECK(spot_of(in_policy("phase $ { }")) == Spot::word);
  CHECK(spot_of(in_policy("phase decode { $ }")) == Spot::item);
  CHECK(spot_of(in_policy("layers 0..3 { $ }")) == Spot::item);
  CHECK(spot_of("policy p { } $") == Spot::file);
  CHECK(spot_of("policy p { cache { capacity = 8 \npolicy q { $ }") == Spot::member);
}

TEST_CASE("brackets that are not closed yet, or never were opened") {
  CHECK(spot_of("policy p { cache { eviction = least(freq  $ } }") != Spot::file);
  CHECK(offers("policy p { cache { capacity = 8\n prefetch { strategy = $ } }", "gate"));
  CHECK(spot_of("} ) ] $") == Spot::file);
  CHECK(offers("policy p { ) ] cache { $ } }", "capacity"));
}

TEST_CASE("completion: blocks, keys that are not there yet, values") {
  const std::vector<std::string> members = completions(in_policy("$"));
  for (const char* name : {"cache", "prefetch", "learn", "schedule", "monitor", "adapt", "per_layer", "tiers", "memory",
                           "layers", "phase", "param", "let"})
    CHECK_MESSAGE(std::find(members.begin(), members.end(), name) != members.end(), name);
  CHECK(offers(in_policy("cache { $ }"), "capacity"));
  CHECK_FALSE(offers(in_policy("cache { capacity = 8  $ }"), "capacity"));
  CHECK_FALSE(offers(in_policy("cache { $  capacity = 8 }"), "capacity"));
  CHECK(offers(in_policy("cache { capacity = 8 } prefetch { $ }"), "budget"));
  CHECK_FALSE(offers(in_policy("cache { $ }"), "budget"));
  CHECK(offers(in_policy("phase decode { cache { $ } }"), "eviction"));
  CHECK(offers(in_policy("layers 0..3 { $ }"), "tiers"));
  CHECK_FALSE(offers(in_policy("phase decode { $ }"), "tiers"));
  CHECK(offers(in_policy("tiers { $ }"), "tier"));
  CHECK(offers(in_policy("tiers { tier x { $ } }"), "dtype"));
  CHECK(offers(in_policy("schedule { $ }"), "on miss"));
  CHECK(offers(in_policy("cache { eviction = $ }"), "s3_fifo"));
  CHECK(offers(in_policy("cache { eviction = $ }"), "least"));
  CHECK(offers(in_policy("cache { eviction = l$ }"), "lru"));
  CHECK_FALSE(offers(in_policy("cache { eviction = $ }"), "gate"));
  CHECK(offers(in_policy("prefetch { strategy = gate | $ }"), "affinity"));
  CHECK(offers(in_policy("schedule { overlap = $ }"), "false"));
  CHECK(offers(in_policy("monitor { metrics = [hit_rate, $] }"), "stall_ms"));
  CHECK(offers(in_policy("schedule { on miss { else -> $ } }"), "cpu_load"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 { $ } }"), "eviction"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 { $ } }"), "rebalance"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 { eviction = $ } }"), "lfu"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 { prefetch.$ } }"), "budget"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 { prefetch.strategy = $ } }"), "gate"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 for 5 $ { } }"), "dispatches"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 $ }"), "cooldown"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.4 { trigger $ } }"), "memory_pressure"));
}

TEST_CASE("completion: expressions see what the place lets them see") {
  CHECK(offers(in_policy("cache { eviction = least($) }"), "freq"));
  CHECK(offers(in_policy("cache { eviction = least($) }"), "use_rate"));
  CHECK_FALSE(offers(in_policy("cache { eviction = least($) }"), "victim"));
  CHECK(offers(in_policy("schedule { order = $ }"), "most"));
  CHECK(offers(in_policy("schedule { order = most($) }"), "position"));
  CHECK_FALSE(offers(in_policy("schedule { order = most($) }"), "freq"));
  CHECK(offers(in_policy("prefetch { strategy = $ }"), "most"));
  CHECK(offers(in_policy("prefetch { strategy = most($) }"), "freq"));
  CHECK(offers(in_policy("cache { admit = when($) }"), "victim"));
  CHECK(offers(in_policy("cache { admit = when($) }"), "freq"));
  CHECK(offers(in_policy("prefetch { when = $ }"), "queue_depth"));
  CHECK_FALSE(offers(in_policy("prefetch { when = $ }"), "freq"));
  CHECK(offers(in_policy("schedule { on miss { when $ } }"), "tokens"));
  CHECK_FALSE(offers(in_policy("schedule { on miss { when $ } }"), "freq"));
  CHECK(offers(in_policy("adapt { when $ }"), "hit_rate"));
  CHECK_FALSE(offers(in_policy("adapt { when $ }"), "tokens"));
  CHECK(offers(in_policy("adapt { when hit_rate < 0.5 and $ }"), "stall_ms"));
  CHECK(offers(in_policy("tiers { promote a -> b when $ }"), "uses"));
  CHECK(offers(in_policy("param share = 5% let x = 1 cache { capacity = $ }"), "share"));
  CHECK(offers(in_policy("let x = 1 cache { eviction = least(freq + $) }"), "x"));
  CHECK_FALSE(offers("policy q { param other = 1 }\n" + in_policy("cache { capacity = $ }"), "other"));
}

TEST_CASE("completion: policies and tiers") {
  const std::string others = "policy one { cache { capacity = 1 } }\npolicy two { cache { capacity = 1 } }\n";
  CHECK(offers(others + "policy p extends $ { }", "one"));
  CHECK(offers(others + in_policy("adapt { when hit_rate < 0.4 { use $ } }"), "two"));
  CHECK_FALSE(offers(others + in_policy("adapt { when hit_rate < 0.4 { use $ } }"), "p"));
  CHECK(offers(others + in_policy("adapt { choose $ }"), "one"));
  CHECK(offers(in_policy("tiers { tier fast { } tier slow { } promote $ }"), "slow"));
}

TEST_CASE("hover") {
  CHECK(hover_text(in_policy("ca$che { }")).find("**cache**: What stays resident") == 0);
  CHECK(hover_text(in_policy("cache { evic$tion = lru }")).find("**cache.eviction**") == 0);
  CHECK(hover_text(in_policy("cache { lfu_de$cay = 1 }")).find("**cache.frequency_decay**") == 0);
  CHECK(hover_text(in_policy("cache { eviction = l$ru }")).find("least recently used") != std::string::npos);
  CHECK(hover_text(in_policy("cache { eviction = $lru }")).find("least recently used") != std::string::npos);
  CHECK(hover_text(in_policy("prefetch { strategy = lookahead$ }")).find("next `lookahead` layers") !=
        std::string::npos);
  CHECK(hover_text(in_policy("prefetch { look$ahead = 2 }")).find("**prefetch.lookahead**") == 0);
  CHECK(hover_text(in_policy("cache { eviction = least(use_$rate(24)) }")).find("**use_rate(N)**") == 0);
  CHECK(hover_text(in_policy("adapt { when hit_$rate < 0.4 { } }")).find("**hit_rate**") == 0);
  CHECK(hover_text(in_policy("adapt { when hit_rate < 0.4 { pre$fetch_budget = 2 } }")).find("**prefetch.budget**") ==
        0);
  CHECK(hover_text(in_policy("adapt { when hit_rate < 0.4 { prefetch.bud$get = 2 } }")).find("**prefetch.budget**") ==
        0);
  CHECK(hover_text(in_policy("adapt { when phase == de$code { } }")).find("**decode**") == 0);
  CHECK(hover_text(in_policy("adapt { wh$en hit_rate < 0.4 { } }")).find("**when**") == 0);
  CHECK(hover_text(in_policy("adapt { when hit_rate < 0.4 for 9 dispat$ches { } }")).find("**dispatches**") == 0);
  CHECK(hover_text(in_policy("schedule { on miss { else -> cpu_$load } }")).find("**cpu_load**") == 0);
  CHECK(hover_text(in_policy("phase pre$fill { }")).find("**prefill**") == 0);
  CHECK(hover_text(in_policy("param n = 8 in 1..64\ncache { capacity = $n }")).find("param n = 8 in 1..64") !=
        std::string::npos);
  CHECK(hover_text("# The base.\npolicy a { }\npolicy b extends $a { }").find("The base.") != std::string::npos);
  CHECK(hover_text(in_policy("# eviction$\n")).empty());
  CHECK(hover_text(in_policy("cache { capacity = 1$6 }")).empty());
  CHECK(hover_text("$").empty());
}

TEST_CASE("definitions") {
  CHECK(definition_text(in_policy("param n = 8\ncache { capacity = $n }")).starts_with("n = 8"));
  CHECK(definition_text(in_policy("let x = freq\ncache { eviction = least(x$ + 1) }")).starts_with("x = freq"));
  CHECK(
      definition_text("policy a { param n = 8 }\npolicy b extends a { cache { capacity = $n } }").starts_with("n = 8"));
  CHECK(definition_text("policy a { }\npolicy b extends $a { }").starts_with("a { }"));
  CHECK(definition_text("policy a { }\n" + in_policy("adapt { when hit_rate < 1 { use $a } }")).starts_with("a { }"));
  CHECK(definition_text("policy a { }\n" + in_policy("adapt { choose $a by hit_rate every 9 dispatches }"))
            .starts_with("a { }"));
  CHECK(definition_text(in_policy("tiers { tier fast { } promote x -> $fast }")).starts_with("fast { }"));
  CHECK(definition_text(in_policy("cache { eviction = $lru }")).empty());
  CHECK(definition_text("policy a extends b { let y = $z }\npolicy b extends a { }").empty());  // a cycle ends
}

TEST_CASE("imports: beside the file, then the standard library; cycles end") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("moe_lsp_imports." + std::to_string(getpid()));
  fs::create_directories(folder / "library");
  std::ofstream(folder / "base.moe") << "import \"main.moe\"\npolicy base { param n = 8 }\n";
  std::ofstream(folder / "library" / "far.moe") << "policy far { }\n";
  moe::compiler::FileImports files((folder / "library").string());
  const Workspace with_library(files);
  const std::string main = (folder / "main.moe").string();
  const auto find = [&](const std::string& marked) {
    const Marked text(marked, main);
    return find_definition(with_library, text.snapshot, text.offset);
  };
  const std::string imports = "import \"base.moe\"\nimport \"std/far.moe\"\nimport \"missing.moe\"\n";
  const auto base = find(imports + "policy p extends $base { }");
  REQUIRE(base);
  REQUIRE(base->file != nullptr);
  CHECK(base->file->path() == (folder / "base.moe").string());
  CHECK(base->file->text(base->span) == "base");
  const auto inherited = find(imports + "policy p extends base { cache { capacity = $n } }");
  REQUIRE(inherited);
  CHECK(inherited->file->text(inherited->span) == "n");
  const auto far = find(imports + "policy p extends $far { }");
  REQUIRE(far);
  CHECK(far->file->path() == (folder / "library" / "far.moe").string());
  const auto file = find("import \"ba$se.moe\"\npolicy p { }");
  REQUIRE(file);
  CHECK(file->path == (folder / "base.moe").string());
  CHECK_FALSE(find("import \"mis$sing.moe\"\npolicy p { }"));
  fs::remove_all(folder);
}

TEST_CASE("URIs") {
  CHECK(path_of_uri("file:///a%20b/c.moe") == "/a b/c.moe");
  CHECK(path_of_uri("file://localhost/c.moe") == "/c.moe");
  CHECK_FALSE(path_of_uri("untitled:1"));
  CHECK_FALSE(path_of_uri("file:///a%2"));
  CHECK_FALSE(path_of_uri("file:///a%00b"));
  CHECK(uri_of_path("/a b/\xC3\xA9.moe") == "file:///a%20b/%C3%A9.moe");
}

TEST_CASE("quick fixes make their finding go away") {
  const auto fixed = [](const std::string& text, const std::string& code) {
    const Snapshot before("", text);
    const moe::ir::Diagnostics findings = workspace().check(before);
    for (const moe::ir::Diagnostic& finding : findings.items()) {
      if (finding.code != code) continue;
      const auto fix = quick_fix(before, finding);
      if (!fix) return std::string("no fix: " + finding.hint);
      std::string after = text;
      return after.replace(fix->span.begin, fix->span.end - fix->span.begin, fix->replacement);
    }
    return std::string("no finding");
  };
  const std::string cache = "policy p { cache { capacity = 8 } ";
  CHECK(fixed("policy p { cahce { capacity = 8 } }", "MOE2001") == "policy p { cache { capacity = 8 } }");
  CHECK(fixed("policy p { cache { capasity = 8 } }", "MOE2002") == "policy p { cache { capacity = 8 } }");
  CHECK(fixed("policy p { cache { capacity = 8 eviction = lur } }", "MOE2003") ==
        "policy p { cache { capacity = 8 eviction = lru } }");
  CHECK(fixed(cache + "schedule { overlap = yes } }", "MOE2004") == cache + "schedule { overlap = true } }");
  CHECK(fixed("policy p { cache { capacity = 8Gb } }", "MOE1013") == "policy p { cache { capacity = 8GB } }");
  CHECK(fixed("policy p { cache { capacity: 8 } }", "MOE1022") == "policy p { cache { capacity = 8 } }");
  CHECK(fixed("policy p { cache { capacity 8 } }", "MOE1021") == "policy p { cache { capacity = 8 } }");
  CHECK(fixed("policy p { cache { capacity = 2 pin = [0, 1, 2] } }", "MOE2103") ==
        "policy p { cache { capacity = 3 pin = [0, 1, 2] } }");
  CHECK(fixed(cache + "let x = !true }", "MOE1010") == cache + "let x = not true }");
  CHECK(fixed(cache + "let x = true && false }", "MOE1010") == cache + "let x = true and false }");
  CHECK(fixed(cache + "adapt { when hit_rate = 0.4 { capacity = 9 } } }", "MOE1027") ==
        cache + "adapt { when hit_rate == 0.4 { capacity = 9 } } }");
}

TEST_CASE("no place of any text brings it down, and quick fixes stay inside the text") {
  for (const std::string& text : moe::test::golden_texts()) {
    if (text.size() > 2000) continue;
    // The text as it is, and cut short: as it is while it is being typed.
    for (const size_t length : {text.size(), text.size() / 2}) {
      const Snapshot snapshot("", text.substr(0, length));
      for (uint32_t offset = 0; offset <= length; offset += 3) {
        const Context context = context_at(snapshot, offset);
        CHECK(context.word.begin <= offset);
        CHECK(offset <= context.word.end);
        (void)complete(workspace(), snapshot, offset);
        (void)hover(workspace(), snapshot, offset);
        (void)find_definition(workspace(), snapshot, offset);
      }
      const moe::ir::Diagnostics findings = workspace().check(snapshot);
      for (const moe::ir::Diagnostic& finding : findings.items()) {
        if (const auto fix = quick_fix(snapshot, finding)) CHECK(fix->span.end <= length);
      }
    }
  }
}
