// SPDX-License-Identifier: Apache-2.0
// Tokenizers of the Llama and Mixtral kinds: BPE over characters, with bytes to fall back on.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <chrono>

#include "examples/engine/tokenizer.h"
#include "tests/engine/support.h"

using engine::Tokenizer;
using engine_test::error_of;
using nlohmann::json;

namespace {

using Ids = std::vector<int32_t>;

const json& cases() {
  static const json all = engine_test::read_json("tests/data/mixtral/tokenizer_cases.json");
  return all;
}

// A variant's tokenizer.json: what it leaves out is the first one's.
json tokenizer_json(const json& variant) {
  const json& base = cases().at("variants")[0];
  json result = base.at("tokenizer");
  result.update(variant.at("tokenizer"));
  result["model"] = base.at("model");
  result["model"].update(variant.at("model"));
  return result;
}

Tokenizer open(const json& object) { return Tokenizer::from_json(object.dump(), "tokenizer.json"); }

json mixtral() { return tokenizer_json(cases().at("variants")[0]); }

// By far more than linear time takes, by far less than quadratic.
template <class Action>
bool is_quick(Action action) {
  constexpr std::chrono::seconds kLimit{20};
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::steady_clock::now() - start < kLimit;
}

}  // namespace

TEST_CASE("the reference library's cases") {
  const json& texts = cases().at("texts");
  REQUIRE(texts.size() > 50);
  REQUIRE(cases().at("variants").size() == 12);
  for (const json& variant : cases().at("variants")) {
    const auto name = variant.at("name").get<std::string>();
    CAPTURE(name);
    const Tokenizer tokenizer = open(tokenizer_json(variant));
    const auto prefix = variant.at("prefix").get<Ids>();
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto text = texts[i].get<std::string>();
      CAPTURE(text);
      const auto plain = variant.at("ids")[i].get<Ids>();
      Ids whole = prefix;
      whole.insert(whole.end(), plain.begin(), plain.end());
      CHECK(tokenizer.encode(text, false) == plain);
      CHECK(tokenizer.encode(text) == whole);
      CHECK(tokenizer.decode(whole) == variant.at("decoded")[i].get<std::string>());
    }
    for (const json& item : variant.at("more")) {
      const auto ids = item.at("ids").get<Ids>();
      CAPTURE(item.dump());
      CHECK(tokenizer.decode(ids) == item.at("decoded").get<std::string>());
      CHECK(tokenizer.decode(ids, false) == item.at("with_special").get<std::string>());
    }
  }
}

TEST_CASE("the file that transformers 5 saves") {
  const Tokenizer tokenizer = Tokenizer::from_file("tests/data/mixtral/plain/tokenizer.json");
  const json golden = engine_test::read_json("tests/data/mixtral/plain/golden.json");
  CHECK(tokenizer.encode("The router chooses") == golden[0].at("input_ids").get<Ids>());
  CHECK(tokenizer.decode(tokenizer.encode("The  router 😀")) == "The  router 😀");
}

TEST_CASE("long texts take no quadratic time") {
  const json& variants = cases().at("variants");
  for (const char* unit : {"a", "the ", " ", "😀", "é", "<s", "<s>", "▁"}) {
    std::string text;
    while (text.size() < 200'000) text += unit;
    for (const json& variant : variants) {
      CAPTURE(unit);
      CAPTURE(variant.at("name"));
      const Tokenizer tokenizer = open(tokenizer_json(variant));
      CHECK(is_quick([&] {
        const Ids ids = tokenizer.encode(text);
        CHECK(tokenizer.decode(ids).size() <= text.size() * 6);  // <0x41> for a byte
      }));
    }
  }
}

TEST_CASE("many long added tokens take no quadratic time") {
  json object = mixtral();
  const std::string prefix(1000, 'a');
  for (int i = 0; i < 20000; ++i) {
    object["added_tokens"].push_back({{"id", 400 + i}, {"content", prefix + std::to_string(i)}, {"special", true}});
  }
  const Tokenizer tokenizer = open(object);
  const std::string text(100'000, 'a');
  CHECK(is_quick([&] { CHECK(tokenizer.encode(text + "17").back() == 400 + 17); }));
  object["added_tokens"].push_back({{"id", 399}, {"content", std::string(1025, 'a')}});
  CHECK(error_of([&] { open(object); }).find("longer than 1024 bytes") != std::string::npos);
}

TEST_CASE("steps that would make a text absurdly long end in an error") {
  json object = mixtral();
  json steps = json::array();
  for (int i = 0; i < 60; ++i) {
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(64, 'a')}});
  }
  object["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  CHECK(error_of([&] { open(object).encode("a"); }).find("the tokenizer makes more than") != std::string::npos);
  object = mixtral();
  object["decoder"] = {{"type", "Sequence"}, {"decoders", steps}};
  const Ids ids = open(object).encode("a");
  CHECK(error_of([&] { open(object).decode(ids); }).find("the tokenizer makes more than") != std::string::npos);
  for (int i = 0; i < 5; ++i) steps.push_back(steps[0]);
  object["decoder"] = {{"type", "Sequence"}, {"decoders", steps}};
  CHECK(error_of([&] { open(object); }).find("more than 64 parts") != std::string::npos);
}

TEST_CASE("what would crash the reference library") {
  json object = mixtral();
  object["decoder"] = {{"type", "Strip"}, {"content", "a"}, {"start", 2}, {"stop", 4'000'000'000U}};
  const Tokenizer tokenizer = open(object);
  CHECK(tokenizer.decode(Ids{}) == "");
  CHECK(tokenizer.decode(tokenizer.encode("a", false)) == "▁");  // tokens are stripped each by itself
  object["decoder"] = {{"type", "ByteFallback"}};
  object["model"]["vocab"]["<0x\u20ac>"] = 384;  // six bytes, the cut goes through a character
  CHECK(open(object).decode(Ids{384}) == "<0x\u20ac>");
  object["model"]["vocab"]["<0x-1>"] = 385;
  CHECK(open(object).decode(Ids{385}) == "<0x-1>");
}

TEST_CASE("without a decoder spaces stand between the tokens, as the library has it") {
  json object = mixtral();
  object["decoder"] = nullptr;
  const Tokenizer tokenizer = open(object);
  CHECK(tokenizer.decode(Ids{3 + 'a', 3 + 'b'}) == "<0x61> <0x62>");
}

TEST_CASE("an unknown character needs an unk_token that is one") {
  json object;
  for (const json& variant : cases().at("variants")) {
    if (variant.at("name") == "unknown-fused") object = tokenizer_json(variant);
  }
  object["model"]["unk_token"] = "<other>";
  const Tokenizer tokenizer = open(object);
  CHECK(tokenizer.encode("a").size() == 2);
  CHECK(error_of([&] { tokenizer.encode("a\u4e16"); }) ==
        "the tokenizer has no token for `\u4e16`, and its `unk_token` `<other>` is none");
}

TEST_CASE("what is not computed is refused by name") {
  const auto with = [](const std::string& pointer, const std::string& value) {
    json object = mixtral();
    object[json::json_pointer(pointer)] = json::parse(value);
    return error_of([&] { open(object); });
  };
  const std::vector<std::pair<std::string, std::string>> table = {
      {with("/normalizer", R"({"type":"Lowercase"})"), "`Lowercase`"},
      {with("/normalizer", R"({"type":"Prepend"})"), "`prepend` is missing"},
      {with("/normalizer", R"({"type":"Prepend","prepend":3})"), "`prepend` is 3"},
      {with("/normalizer", R"({"type":"Replace","pattern":{"Regex":" +"},"content":"x"})"), "`Regex`"},
      {with("/normalizer", R"({"type":"Replace","pattern":{"String":""},"content":"x"})"), "`String` is empty"},
      {with("/normalizer", R"({"type":"Replace","pattern":" ","content":"x"})"), "`pattern`"},
      {with("/pre_tokenizer", R"({"type":"Metaspace"})"), "`replacement` is missing"},
      {with("/pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})"), "not one character"},
      {with("/pre_tokenizer", R"({"type":"Metaspace","replacement":""})"), "not one character"},
      {with("/pre_tokenizer", R"({"type":"Metaspace","replacement":"_","prepend_scheme":"last"})"), "`last`"},
      {with("/pre_tokenizer", R"({"type":"Metaspace","replacement":"_","prepend_scheme":"first",)"
                              R"("add_prefix_space":false})"),
       "`add_prefix_space` is false"},
      {with("/pre_tokenizer", R"({"type":"Whitespace"})"), "`Whitespace`"},
      {with("/pre_tokenizer", R"({"type":"ByteLevel","add_prefix_space":false})"), "ByteLevel"},
      {with("/decoder", R"({"type":"ByteLevel"})"), "ByteLevel"},
      {with("/decoder", R"({"type":"BPEDecoder"})"), "`BPEDecoder`"},
      {with("/decoder", R"({"type":"Strip","content":"","start":1,"stop":0})"), "not one character"},
      {with("/decoder", R"({"type":"Strip","content":" ","start":-1,"stop":0})"), "`start` is -1"},
      {with("/decoder", R"({"type":"Sequence","decoders":[{"type":"Sequence","decoders":[]}]})"), "Sequence"},
      {with("/post_processor", R"({"type":"RobertaProcessing"})"), "`RobertaProcessing`"},
      {with("/model/dropout", "0.1"), "dropout"},
      {with("/model/unk_token", "7"), "`unk_token` is 7"},
      {with("/model/type", "\"Unigram\""), "`Unigram`"},
      {with("/model/byte_fallback", "1"), "`byte_fallback` is 1"},
      {with("/model/merges", "[\"a b c\"]"), "merge 0"},
      {with("/model/merges", "[[\"a\",\"\"],[\"a\"]]"), "merge 0"},
      {with("/model/continuing_subword_prefix", "\"##\""), "`continuing_subword_prefix`"},
  };
  for (const auto& [message, word] : table) {
    CAPTURE(message);
    CAPTURE(word);
    CHECK(message.find(word) != std::string::npos);
    CHECK(message.starts_with("tokenizer.json: "));
    CHECK(engine_test::is_one_line(message));
  }
}
