// SPDX-License-Identifier: Apache-2.0
// How findings are shown: text with carets, JSON, and the nearest word.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "frontend/frontend.h"
#include "ir/diagnostics.h"

namespace {

using moe::ir::Diagnostics;
using moe::ir::nearest_word;
using moe::ir::render_json;
using moe::ir::render_text;
using moe::ir::SourceFile;

std::string show(const std::string& text, uint32_t begin, uint32_t end) {
  Diagnostics diagnostics;
  diagnostics.error("MOE9999", {begin, end}, "message");
  return render_text(SourceFile("x.moe", text), diagnostics, false);
}

}  // namespace

TEST_CASE("lines and columns count from 1, in bytes") {
  const SourceFile file("x", "ab\ncd\r\n\nlast");
  CHECK(file.locate(0).line == 1);
  CHECK(file.locate(4).line == 2);
  CHECK(file.locate(4).column == 2);
  CHECK(file.locate(999).line == 4);
  CHECK(file.locate(999).column == 5);
  CHECK(file.line(2) == "cd");
  CHECK(file.line(3).empty());
  CHECK(file.line(4) == "last");
  CHECK(file.line(5).empty());
  CHECK(file.line(0).empty());
}

TEST_CASE("text, as the house style shows it") {
  const std::string text = "policy tiny {\n  cache { capacity = 2  eviction = lru  pin = [0, 1, 2] }\n}\n";
  Diagnostics diagnostics;
  moe::frontend::compile_to_ir(SourceFile("tiny.moe", text), {}, diagnostics);
  CHECK(render_text(SourceFile("tiny.moe", text), diagnostics, false) ==
        "tiny.moe:2:22: error[MOE2103]: capacity is smaller than the 3 pinned experts\n"
        "    cache { capacity = 2  eviction = lru  pin = [0, 1, 2] }\n"
        "                       ^\n"
        "  hint: raise `capacity` to at least 3\n");
}

TEST_CASE("carets") {
  CHECK(show("abc def", 4, 7) == "x.moe:1:5: error[MOE9999]: message\n  abc def\n      ^^^\n");
  CHECK(show("\tabc", 1, 3) == "x.moe:1:2: error[MOE9999]: message\n  \tabc\n  \t^^\n");
  CHECK(show("\xC3\xA9x", 2, 3) == "x.moe:1:3: error[MOE9999]: message\n  \xC3\xA9x\n   ^\n");
  CHECK(show("ab\ncd", 1, 5) == "x.moe:1:2: error[MOE9999]: message\n  ab\n   ^\n");
  CHECK(show("ab", 2, 2) == "x.moe:1:3: error[MOE9999]: message\n  ab\n    ^\n");
  CHECK(show("a\x1B[31mb", 0, 1) == "x.moe:1:1: error[MOE9999]: message\n  a?[31mb\n  ^\n");
  CHECK(show("ab", 0, 0) == "x.moe: error[MOE9999]: message\n");
}

TEST_CASE("a long line is cut around the caret") {
  const std::string shown = show(std::string(100000, 'a') + "b" + std::string(100000, 'c'), 100000, 100001);
  CHECK(shown.size() < 600);
  CHECK(shown.find("ab") != std::string::npos);
}

TEST_CASE("color") {
  Diagnostics diagnostics;
  diagnostics.warning("MOE9999", {0, 1}, "message", "hint");
  const std::string shown = render_text(SourceFile("x", "abc"), diagnostics, true);
  CHECK(shown.find("\033[1;35mwarning[MOE9999]:\033[0m") != std::string::npos);
}

TEST_CASE("JSON is JSON, whatever the names hold") {
  Diagnostics diagnostics;
  auto& error = diagnostics.error("MOE9999", {4, 6}, "quote \" and \xFF", "hint\n");
  error.related_span = {1, 2};
  error.related_message = "there";
  diagnostics.warning("MOE9998", {}, "whole file");
  const auto json = nlohmann::json::parse(render_json(SourceFile("a\"b\xFE.moe", "abc\ndef"), diagnostics));
  REQUIRE(json.size() == 2);
  CHECK(json[0]["severity"] == "error");
  CHECK(json[0]["code"] == "MOE9999");
  CHECK(json[0]["line"] == 2);
  CHECK(json[0]["column"] == 1);
  CHECK(json[0]["end_column"] == 3);
  CHECK(json[0]["begin"] == 4);
  CHECK(json[0]["related"]["message"] == "there");
  CHECK(json[1]["severity"] == "warning");
  CHECK(nlohmann::json::parse(render_json(SourceFile("x", ""), Diagnostics())).empty());
}

TEST_CASE("sort is by place and keeps the order of discovery within it") {
  Diagnostics diagnostics;
  diagnostics.error("B", {5, 6}, "b");
  diagnostics.error("A", {1, 2}, "a");
  diagnostics.warning("C", {5, 9}, "c");
  diagnostics.sort();
  CHECK(diagnostics.items()[0].code == "A");
  CHECK(diagnostics.items()[1].code == "B");
  CHECK(diagnostics.num_errors() == 2);
  CHECK(diagnostics.num_warnings() == 1);
}

TEST_CASE("nearest word") {
  const std::vector<std::string_view> words = {"lru", "lfu", "score", "freq_threshold", "gpu_only", "prefetch", "true"};
  CHECK(nearest_word("lruu", words) == "lru");
  CHECK(nearest_word("LRU", words) == "lru");
  CHECK(nearest_word("True", words) == "true");
  CHECK(nearest_word("prefech", words) == "prefetch");
  CHECK(nearest_word("prefecth", words) == "prefetch");
  CHECK(nearest_word("scroe", words) == "score");
  CHECK(nearest_word("gpu", words) == "gpu_only");
  CHECK(nearest_word("banana", words).empty());
  CHECK(nearest_word("x", words).empty());
  CHECK(nearest_word("", words).empty());
  CHECK(nearest_word(std::string(100000, 'a'), words).empty());
}
