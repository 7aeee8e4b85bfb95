// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "examples/engine/tokenizer.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>

#include "examples/engine/byte_level.h"
#include "tests/engine/support.h"

using engine::Tokenizer;
using engine_test::error_of;
using nlohmann::json;

namespace {

// A byte-level tokenizer with the 256 bytes (ids 0..255), some merges, and whatever a test changes.
json small_tokenizer(const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  json vocab;
  for (size_t byte = 0; byte < 256; ++byte) vocab[engine::byte_characters()[byte]] = byte;
  json list = json::array();
  for (const auto& [left, right] : merges) {
    list.push_back(left + " " + right);
    if (!vocab.contains(left + right)) vocab[left + right] = vocab.size();
  }
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"pre_tokenizer", byte_level},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

Tokenizer open(const json& object) { return Tokenizer::from_json(object.dump(), "tokenizer.json"); }

std::string refusal(const json& object) {
  return error_of([&] { open(object); });
}

void check_cases(const std::filesystem::path& model) {
  const Tokenizer tokenizer = Tokenizer::from_file(model / "tokenizer.json");
  const json cases = engine_test::read_json(model / "tokenizer_cases.json");
  REQUIRE(cases.size() > 40);
  for (const json& item : cases) {
    const auto text = item.at("text").get<std::string>();
    CAPTURE(text);
    const std::vector<int32_t> ids = tokenizer.encode(text);
    CHECK(ids == item.at("ids").get<std::vector<int32_t>>());
    CHECK(tokenizer.encode(text, false) == item.at("ids_no_special").get<std::vector<int32_t>>());
    std::vector<std::string> tokens;
    for (const int32_t id : ids) tokens.push_back(tokenizer.token(id));
    CHECK(tokens == item.at("tokens").get<std::vector<std::string>>());
    CHECK(tokenizer.decode(ids) == item.at("decoded").get<std::string>());
  }
}

}  // namespace

TEST_CASE("the reference library's cases: Qwen2") { check_cases(engine_test::kQwen); }

TEST_CASE("the reference library's cases: GPT-NeoX") {
  if (!std::filesystem::exists(engine_test::kOlmoe)) {
    std::puts("[SKIP] skipped: there is no olmoe-tiny here");
    return;
  }
  check_cases(engine_test::kOlmoe);
}

TEST_CASE("merges go by rank, then from the left") {
  const Tokenizer tokenizer = open(small_tokenizer({{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"x", "x"}}));
  const auto tokens = [&](const std::string& text) {
    std::vector<std::string> result;
    for (const int32_t id : tokenizer.encode(text)) result.push_back(tokenizer.token(id));
    return result;
  };
  CHECK(tokens("abc") == std::vector<std::string>{"abc"});
  CHECK(tokens("ab") == std::vector<std::string>{"ab"});
  CHECK(tokens("xxxxx") == std::vector<std::string>{"xx", "xx", "x"});
}

TEST_CASE("a merge may be written as a pair") {
  json object = small_tokenizer({{"a", "b"}});
  object["model"]["merges"] = json::array({json::array({"a", "b"})});
  CHECK(open(object).encode("ab") == std::vector<int32_t>{256});
}

TEST_CASE("a long word takes no quadratic time") {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string a = "a"; a.size() < 1024; a += a) merges.emplace_back(a, a);
  const Tokenizer tokenizer = open(small_tokenizer(merges));
  const std::string text(1 << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  CHECK(tokenizer.encode(text).size() == 1024);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));  // quadratic would be hours
}

TEST_CASE("added tokens: leftmost, longest, before and after normalisation") {
  json object = small_tokenizer();
  object["normalizer"] = {{"type", "NFC"}};
  const auto added = [](int id, const char* content, bool special, bool normalized) {
    return json{{"id", id}, {"content", content}, {"special", special}, {"normalized", normalized}};
  };
  object["added_tokens"] = {added(300, "<a>", true, false), added(301, "<a><b>", true, false),
                            added(302, "\uac00\uac00", false, true)};
  const Tokenizer tokenizer = open(object);
  CHECK(tokenizer.encode("<a><b><a>") == std::vector<int32_t>{301, 300});
  CHECK(tokenizer.encode("\u1100\u1161\u1100\u1161") == std::vector<int32_t>{302});  // found in what NFC makes of it
  CHECK(tokenizer.decode(std::vector<int32_t>{300, 302}) == "\uac00\uac00");
  CHECK(tokenizer.decode(std::vector<int32_t>{300, 302}, false) == "<a>\uac00\uac00");
}

TEST_CASE("a template puts tokens around the text") {
  json object = small_tokenizer();
  object["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {7}}, {"tokens", {"<s>"}}}}}}};
  const Tokenizer tokenizer = open(object);
  const std::vector<int32_t> plain = tokenizer.encode("hi", false);
  CHECK(plain.size() == 2);
  CHECK(tokenizer.encode("hi") == std::vector<int32_t>{7, plain[0], plain[1]});
}

TEST_CASE("white space is Unicode's, not PCRE's") {
  const Tokenizer tokenizer = open(small_tokenizer({{"a", "\u0120"}}));
  // U+180E is no white space, U+3000 is: only the latter leaves its last character to the next word.
  CHECK(tokenizer.encode("\u180e\u180ea").size() == 7);
  CHECK(tokenizer.encode("\u3000\u3000a").size() == 7);
}

TEST_CASE("text that is not UTF-8 is refused, tokens that are not are replaced") {
  const Tokenizer tokenizer = open(small_tokenizer());
  CHECK(error_of([&] { tokenizer.encode("ab\xff"); }) == "the text is not valid UTF-8 at byte 2");
  CHECK(error_of([&] { tokenizer.encode("\xed\xa0\x80"); }) == "the text is not valid UTF-8 at byte 0");
  const auto decode = [&](const std::string& bytes) {
    std::vector<int32_t> ids;
    for (const char c : bytes) ids.push_back(static_cast<unsigned char>(c));
    return tokenizer.decode(ids);
  };
  CHECK(decode("a\xe2\x82") == "a\ufffd");                // one maximal part
  CHECK(decode("\xf0\x9f\x98z") == "\ufffdz");            // the same, in the middle
  CHECK(decode("\xed\xa0\x80") == "\ufffd\ufffd\ufffd");  // a surrogate: each byte by itself
  CHECK(decode("\xc0\x80") == "\ufffd\ufffd");            // an overlong form
  CHECK(decode("\xf4\x90\x80\x80").size() == 4 * 3);      // above U+10FFFF
  CHECK(tokenizer.decode(std::vector<int32_t>{-1, 1 << 30, 'a'}) == "a");
}

TEST_CASE("what is not computed is refused by name") {
  const auto with = [](const std::string& pointer, const json& value) {
    json object = small_tokenizer();
    object[json::json_pointer(pointer)] = value;
    return refusal(object);
  };
  const std::vector<std::pair<std::string, std::string>> table = {
      {with("/normalizer", {{"type", "Lowercase"}}), "Lowercase"},
      {with("/normalizer", json::parse(R"({"type":"Sequence","normalizers":[{"type":"Sequence"}]})")), "Sequence"},
      {with("/pre_tokenizer", {{"type", "Metaspace"}}), "Metaspace"},
      {with("/pre_tokenizer/add_prefix_space", true), "add_prefix_space"},
      {with("/pre_tokenizer", json::parse(R"({"type":"Split","pattern":{"Regex":"a"},"behavior":"Removed"})")),
       "Isolated"},
      {with("/pre_tokenizer", json::parse(R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"})")),
       "compile"},
      {with("/pre_tokenizer", json::parse(R"({"type":"Split","pattern":{"Regex":"a"},"behavior":"Isolated"})")),
       "ByteLevel"},
      {with("/post_processor", {{"type", "BertProcessing"}}), "BertProcessing"},
      {with("/decoder", {{"type", "WordPiece"}}), "WordPiece"},
      {with("/model/type", "Unigram"), "Unigram"},
      {with("/model/dropout", 0.1), "dropout"},
      {with("/model/byte_fallback", true), "byte_fallback"},
      {with("/model/ignore_merges", "yes"), "ignore_merges"},
      {with("/model/end_of_word_suffix", "</w>"), "end_of_word_suffix"},
      {with("/model/vocab", json::object()), "0x00"},
      {with("/model/vocab/x", -1), "expected an integer"},
      {with("/model/vocab/x", 1e300), "expected an integer"},
      {with("/model/vocab/another", 5), "two tokens with id 5"},
      {with("/model/merges", {"a"}), "merge 0"},
      {with("/model/merges", {"a zzz"}), "not in `vocab`"},
      {with("/truncation", {{"max_length", 5}}), "truncation"},
      {with("/surprise", 1), "surprise"},
      {with("/added_tokens", json::parse(R"([{"id":1,"content":"x","lstrip":true}])")), "lstrip"},
      {with("/added_tokens", json::parse(R"([{"id":1,"content":""}])")), "empty"},
  };
  for (const auto& [message, word] : table) {
    CAPTURE(message);
    CHECK(message.find(word) != std::string::npos);
    CHECK(engine_test::is_one_line(message));
  }
  CHECK(error_of([] { Tokenizer::from_json("{\"a\":", "t.json"); }) == "t.json: not valid JSON at byte 6");
  CHECK(error_of([] { Tokenizer::from_json("[]", "t.json"); }) == "t.json: expected a JSON object");
}

TEST_CASE("a hostile expression ends in an error") {
  json object = small_tokenizer();
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+c"}}}, {"behavior", "Isolated"}, {"invert", false}};
  object["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, object["pre_tokenizer"]}}};
  const Tokenizer tokenizer = open(object);
  CHECK(error_of([&] { tokenizer.encode(std::string(64, 'a') + "bc"); }).find("too long") != std::string::npos);
}
