// SPDX-License-Identifier: Apache-2.0
// .moeprof: what is written reads back equal; what nobody should have written is refused with its place.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "ir/profile.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

namespace moe::ir::test {
namespace {

Profile small_profile() {
  Profile profile{2, 3, 2, "chat \"α\".npz", {}, {}, {}};
  profile.frequency = {{0.5, 1.0 / 3, 1 - 0.5 - 1.0 / 3}, {0, 0, 0}};
  profile.affinity = {{{{1, 0.1}, {2, 1.0}}, {}, {{0, 1e-300}}}, {{}, {}, {}}};
  profile.learned = {{-0.0, 1e308}, {0.1, -5e-324}};
  return profile;
}

std::string error_of(const std::string& text) {
  const Result<Profile> profile = parse_profile(text);
  return profile.ok() ? "" : profile.error().message;
}

/// A profile of one layer and two experts, one of whose parts is `what`.
std::string with(const std::string& key, const std::string& what) {
  std::string text = "{\"format\":" + std::string(key == "format" ? what : "\"moeprof\"");
  text += ",\"version\":" + (key == "version" ? what : "1") + ",\"layers\":" + (key == "layers" ? what : "1");
  text += ",\"experts\":" + (key == "experts" ? what : "2") + ",\"top_k\":" + (key == "top_k" ? what : "1");
  text += ",\"frequency\":" + (key == "frequency" ? what : "[[0.25,0.75]]");
  text += ",\"affinity\":" + (key == "affinity" ? what : "[[[0,1,0.5]]]");
  if (key == "learned" || key == "trace") text += ",\"" + key + "\":" + what;
  return text + (key == "more" ? what : "") + "}";
}

TEST_CASE("round trip, to the bit") {
  const Profile profile = small_profile();
  const Result<Profile> again = parse_profile(print_profile(profile));
  REQUIRE(again.ok());
  CHECK(*again == profile);
  CHECK(std::signbit(again->learned[0][0]));
  Profile bare = profile;
  bare.learned.clear();
  CHECK(parse_profile(print_profile(bare)).value() == bare);
}

TEST_CASE("what the text says") {
  CHECK(print_profile({1, 2, 1, "t", {{0.25, 0.75}}, {{{{1, 0.5}}, {}}}, {}}) ==
        "{\n  \"format\": \"moeprof\",\n  \"version\": 1,\n  \"layers\": 1,\n  \"experts\": 2,\n  \"top_k\": 1,\n"
        "  \"trace\": \"t\",\n  \"frequency\": [\n    [0.25, 0.75]],\n  \"affinity\": [\n    [[0, 1, 0.5]]]\n}\n");
  CHECK(error_of(with("", "")).empty());
}

TEST_CASE("a place that is wrong is named") {
  CHECK(error_of("") == "profile: not JSON at byte 1");
  CHECK(error_of("[]") == "profile: not a JSON object");
  CHECK(error_of("{}") == "profile: `format` is not \"moeprof\": not a file of `moec profile`");
  CHECK(error_of(with("version", "2")).starts_with("profile: version 2 is not 1"));
  CHECK(error_of(with("layers", "0")) == "profile: `layers` is not a whole number from 1 to 4096");
  CHECK(error_of(with("layers", "1.0")) == "profile: `layers` is not a whole number from 1 to 4096");
  CHECK(error_of(with("layers", "2")) == "profile: `frequency` is not a list of 2 layers");
  CHECK(error_of(with("experts", "3")) == "profile: `frequency`, layer 0: not 3 numbers");
  CHECK(error_of(with("top_k", "3")) == "profile: `top_k` is not a whole number from 1 to 2");
  CHECK(error_of(with("frequency", "[[0.25,0.5]]")) == "profile: `frequency`, layer 0: the shares do not add up to 1");
  CHECK(error_of(with("frequency", "[[2,-1]]")) == "profile: `frequency`, layer 0: a share is not in 0..1");
  CHECK(error_of(with("affinity", "[[[0,2,1]]]")) == "profile: `affinity`, layer 0: an expert is out of range");
  CHECK(error_of(with("affinity", "[[[0,-1,1]]]")) == "profile: `affinity`, layer 0: an expert is out of range");
  CHECK(error_of(with("affinity", "[[[0,1]]]")) == "profile: `affinity`, layer 0: not [expert, expert, share]");
  CHECK(error_of(with("affinity", "[[[0,1,1],[0,1,1]]]")) == "profile: `affinity`, layer 0: a pair is there twice");
  CHECK(error_of(with("affinity", "[[[0,1,null]]]")) == "profile: `affinity`, layer 0: a share is not in 0..1");
  CHECK(error_of(with("learned", "[[1,\"x\"]]")) == "profile: `learned`, layer 0: a weight is not a finite number");
  CHECK(error_of(with("learned", "[[1e999]]")) == "profile: has a number that no machine can hold");
  CHECK(error_of(with("trace", "7")) == "profile: `trace` is not a text");
  CHECK(error_of(with("more", ",\"layers\":1")) == "profile: \"layers\" is there twice");
}

TEST_CASE("hostile text ends in an error") {
  CHECK(error_of(std::string(1 << 20, '[')) != "");
  CHECK(error_of("{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}") ==
        "profile: nested deeper than a profile is");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK(error_of(objects) != "");
  // A shape that would take gigabytes, in a few bytes.
  std::string huge = with("experts", "65536");
  huge.replace(huge.find("\"layers\":1"), 10, "\"layers\":4096");
  CHECK(error_of(huge) == "profile: `frequency` is too short for the shape");
  const std::string whole = print_profile(small_profile());
  for (size_t size = 0; size + 2 < whole.size(); ++size) CHECK(error_of(whole.substr(0, size)) != "");
}

}  // namespace
}  // namespace moe::ir::test
