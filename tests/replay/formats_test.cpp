// SPDX-License-Identifier: Apache-2.0
// The trace formats as they should be: round trips, every array, every element type, real files.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "replay/load_trace.h"
#include "replay/npy.h"
#include "replay/zip.h"
#include "tests/replay/archives.h"
#include "tests/replay/support.h"

namespace moe::replay {
namespace {

TEST_CASE("binary16: every value there and back, and rounding") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      CHECK(std::isnan(half_to_float(float_to_half(value))));
    } else {
      REQUIRE(float_to_half(value) == half);
    }
  }
  struct Row {
    float value;
    uint16_t half;
  };
  const std::vector<Row> rows{{1.0f, 0x3C00},         {-2.0f, 0xC000}, {0x1.004p0f, 0x3C01},  // exact
                              {0x1.002p0f, 0x3C00},                                           // a tie goes to even
                              {0x1.006p0f, 0x3C02},                                           //
                              {0x1.0021p0f, 0x3C01},                                          // above the tie
                              {65504.0f, 0x7BFF},                                             // the largest
                              {65519.99f, 0x7BFF},                                            //
                              {65520.0f, 0x7C00},                                             // infinity
                              {0x1p-24f, 0x0001},                                             // the smallest
                              {0x1p-25f, 0x0000},                                             // a tie goes to even
                              {0x1.8p-24f, 0x0002},                                           //
                              {0x1.ff8p-15f, 0x03FF},                                         // subnormal
                              {0x1.ffcp-15f, 0x0400}};  // rounds up to a normal number
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(float_to_half(row.value) == row.half);
  }
}

TEST_CASE("CRC-32C: the check value of the catalogue, in one piece and in two") {
  CHECK(crc32c(as_bytes("123456789")) == 0xE3069283);
  CHECK(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))) == 0xE3069283);
  CHECK(crc32c({}) == 0);
}

TEST_CASE(".moet round trips, with every combination of arrays") {
  for (uint32_t seed = 0; seed < 128; ++seed) {
    CAPTURE(seed);
    Trace trace = test::random_trace(seed);
    if ((seed & 1) != 0) trace.weights.clear();
    if ((seed & 2) != 0) trace.requests.clear();
    if ((seed & 4) != 0) trace.steps.clear();
    if ((seed & 8) != 0) trace.phases.clear();
    if ((seed & 16) != 0) trace.lookahead_width = 0, trace.lookahead.clear(), trace.lookahead_probs.clear();
    if ((seed & 32) != 0) trace.dropped.clear();
    if ((seed & 64) != 0) {
      for (float& weight : trace.weights) weight = half_to_float(float_to_half(weight));
    }
    REQUIRE(check(trace).ok());
    const std::string file = write_moet(trace);
    const Result<Trace> read = read_moet(as_bytes(file), {});
    REQUIRE_MESSAGE(read.ok(), read.error().message);
    CHECK(*read == trace);
  }
}

TEST_CASE(".moet: the header's fields are where the format says") {
  const Trace trace = test::random_trace(7);
  const std::string file = write_moet(trace);
  const Bytes bytes = as_bytes(file);
  CHECK(file.substr(0, 4) == "MOET");
  CHECK(read_le<uint16_t>(bytes, 4) == 1);
  CHECK(read_le<uint16_t>(bytes, 6) == (16 | 2 | 4 | 8 | 32 | 64));
  CHECK(read_le<uint32_t>(bytes, 8) == trace.num_layers);
  CHECK(read_le<uint32_t>(bytes, 12) == trace.num_experts);
  CHECK(read_le<uint32_t>(bytes, 16) == trace.top_k);
  CHECK(read_le<uint64_t>(bytes, 20) == trace.num_tokens);
  CHECK(bytes[read_le<uint64_t>(bytes, 28)] == '{');
  CHECK(read_le<uint32_t>(bytes, 36) == crc32c(bytes.first(36)));
  CHECK(read_le<uint16_t>(bytes, 64) == trace.experts[0]);
  CHECK(read_le<uint32_t>(bytes, bytes.size() - 4) == crc32c(bytes.first(bytes.size() - 4)));
}

TEST_CASE("files of every format through load_trace") {
  const test::TemporaryDirectory folder;
  const Trace trace = test::random_trace(3);
  for (const char* name : {"t.moet", "t.moet.zst"}) {
    CAPTURE(name);
    REQUIRE(save_trace(trace, folder.path(name)).ok());
    const Result<Trace> read = load_trace(folder.path(name));
    REQUIRE(read.ok());
    CHECK(*read == trace);
  }
  CHECK_FALSE(save_trace(trace, folder.path("t.npz")).ok());
  CHECK_FALSE(save_trace(trace, folder.path("no/such/folder/t.moet")).ok());
  CHECK(load_trace(folder.path("missing")).error().kind == Error::Kind::io);
  CHECK_FALSE(load_trace(folder.path("")).ok());  // the folder itself

  std::ofstream(folder.path("empty")).flush();
  std::ofstream(folder.path("text")) << "hello";
  std::ofstream(folder.path("t.jsonl")) << "\n {\"l\":0,\"e\":[1]}\n";
  CHECK_FALSE(load_trace(folder.path("empty")).ok());
  CHECK(load_trace(folder.path("text")).error().message.find("offset 0") != std::string::npos);
  CHECK(load_trace(folder.path("t.jsonl")).ok());
}

std::string npz(bool deflated, bool wide) {
  const std::vector<uint16_t> experts{0, 1, 2, 3, 3, 2, 65535, 0};  // [2, 2, 2]
  const std::vector<uint16_t> halves{0x3C00, 0x3800, 0x3400, 0, 0x3C00, 0x3800, 0x7E00, 0};
  return test::zip(
      {{"experts.npy", test::npy("<u2", "(2, 2, 2)", experts), deflated, wide},
       {"weights.npy", test::npy("<f2", "(2, 2, 2)", halves), deflated, wide},
       {"requests.npy", test::npy<uint32_t>("<u4", "(2,)", {7, 8}), deflated, wide},
       {"lookahead.npy", test::npy<uint16_t>("<u2", "(2, 2, 1)", {3, 65535, 1, 0}), deflated, wide},
       {"lookahead_prob.npy", test::npy<float>("<f4", "(2, 2, 1)", {0.5f, 2.0f, 1.0f, 0.0f}), deflated, wide},
       {"num_experts.npy", test::npy<uint32_t>("<u4", "()", {6}), deflated, wide},
       {"domain.npy", "not an array, and not asked for", deflated, wide}},
      wide);
}

TEST_CASE(".npz: stored and deflated, zip and zip64") {
  for (int variant = 0; variant < 4; ++variant) {
    CAPTURE(variant);
    const std::string file = npz((variant & 1) != 0, (variant & 2) != 0);
    const Result<Trace> trace = read_npz(as_bytes(file), {});
    REQUIRE_MESSAGE(trace.ok(), trace.error().message);
    CHECK(trace->num_tokens == 2);
    CHECK(trace->num_layers == 2);
    CHECK(trace->top_k == 2);
    CHECK(trace->num_experts == 6);
    CHECK(trace->experts == std::vector<uint16_t>{0, 1, 2, 3, 3, 2, 65535, 0});
    CHECK(trace->weights[1] == 0.5f);  // the NaN stands beside "no expert"
    CHECK(trace->requests == std::vector<uint32_t>{7, 8});
    CHECK(trace->lookahead_width == 1);
    CHECK(trace->lookahead_probs[0] == 0.5f);
  }
}

TEST_CASE(".npz: number of experts from the option, the file, or the largest id") {
  const auto num_experts = [](const std::string& file, TraceOptions options) -> uint32_t {
    const Result<Trace> trace = read_npz(as_bytes(file), options);
    return trace ? trace->num_experts : 0;
  };
  const std::string without = test::zip({{"experts.npy", test::npy<uint16_t>("<u2", "(1, 1, 2)", {9, 65535})}});
  CHECK(num_experts(without, {}) == 10);
  CHECK(num_experts(without, {.num_experts = 12}) == 12);
  CHECK(num_experts(without, {.num_experts = 9}) == 0);
  CHECK(num_experts(npz(false, false), {.num_experts = 12}) == 12);
}

TEST_CASE(".npy: element types") {
  const auto experts = [](const std::string& array) {
    const std::string file = test::zip({{"experts.npy", array}});
    const Result<Trace> trace = read_npz(as_bytes(file), {});
    REQUIRE_MESSAGE(trace.ok(), trace.error().message);
    return trace->experts;
  };
  const std::vector<uint16_t> expected{5, 1, 0};
  CHECK(experts(test::npy<uint8_t>("|u1", "(1, 1, 3)", {5, 1, 0})) == expected);
  CHECK(experts(test::npy<int8_t>("|i1", "(1, 1, 3)", {5, 1, 0})) == expected);
  CHECK(experts(test::npy<int16_t>("<i2", "(1, 1, 3)", {5, 1, 0})) == expected);
  CHECK(experts(test::npy<int32_t>("<i4", "(1, 1, 3)", {5, 1, 0})) == expected);
  CHECK(experts(test::npy<int64_t>("<i8", "(1, 1, 3)", {5, 1, 0}, 2)) == expected);
  CHECK(experts(test::npy<uint64_t>("<u8", "(1, 1, 3)", {5, 1, 0}, 3)) == expected);

  const std::string doubles = test::npy<double>("<f8", "(2,)", {0.5, 0.1});
  const Result<NpyArray> array = parse_npy(as_bytes(doubles));
  REQUIRE(array.ok());
  CHECK(to_floats(*array) == std::vector<float>{0.5f, 0.1f});
}

TEST_CASE("JSON Lines: tokens begin where the layer falls back; what is missing is no expert") {
  const std::string text =
      "{\"l\":0,\"e\":[1,2],\"s\":[0.5,0.25]}\n"
      "{\"l\":2,\"e\":[3],\"s\":[1]}\r\n"
      "\n"
      "{\"l\":1,\"e\":[],\"s\":[]}\n"
      "{\"l\":1,\"e\":[0,5],\"s\":[0,1e-3]}";
  const Result<Trace> trace = read_jsonl(as_bytes(text), {});
  REQUIRE_MESSAGE(trace.ok(), trace.error().message);
  const uint16_t none = kNoExpert;
  CHECK(trace->num_layers == 3);
  CHECK(trace->num_experts == 6);
  CHECK(trace->num_tokens == 3);
  CHECK(trace->experts == std::vector<uint16_t>{1, 2, none, none, 3, none, none, none, none, none, none, none, none,
                                                none, 0, 5, none, none});
  CHECK(trace->weights[1] == 0.25f);
  CHECK(trace->weights[15] == 1e-3f);
}

TEST_CASE("real traces, when they are there") {
  struct Row {
    const char* path;
    uint64_t tokens;
    uint32_t layers, experts, top_k, lookahead;
  };
  for (const Row& row :
       {Row{"decisions-1.4.2/trace.npz", 500, 24, 32, 4, 0}, Row{"models/olmoe-tiny/routing.npz", 11648, 8, 32, 4, 8},
        Row{"models/qwen-moe-tiny/routing.npz", 11648, 4, 16, 4, 8}}) {
    CAPTURE(row.path);
    const auto path = test::shared_data(row.path);
    if (!path) continue;
    const Result<Trace> trace = load_trace(*path);
    REQUIRE_MESSAGE(trace.ok(), trace.error().message);
    CHECK(trace->num_tokens == row.tokens);
    CHECK(trace->num_layers == row.layers);
    CHECK(trace->num_experts == row.experts);
    CHECK(trace->top_k == row.top_k);
    CHECK(trace->lookahead_width == row.lookahead);
    const std::string file = write_moet(*trace);
    const Result<Trace> again = read_moet(as_bytes(file), {});
    REQUIRE(again.ok());
    CHECK(*again == *trace);
  }
}

}  // namespace
}  // namespace moe::replay
