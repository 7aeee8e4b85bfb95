// SPDX-License-Identifier: Apache-2.0
// Files that lie. Readers must refuse them with a place and a reason, or read something that holds; never crash, hang
// or take memory that the file does not justify.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "replay/formats.h"
#include "tests/replay/archives.h"
#include "tests/replay/support.h"

namespace moe::replay {
namespace {

using Reader = Result<Trace> (*)(Bytes, const TraceOptions&);

// Copied to the heap at its exact size, so that a sanitizer sees a read beyond the end.
Result<Trace> read(Reader reader, std::string_view file) {
  const std::vector<uint8_t> bytes(file.begin(), file.end());
  Result<Trace> trace = reader(bytes, {});
  if (trace) CHECK(check(*trace).ok());
  if (!trace) CHECK_FALSE(trace.error().message.empty());
  return trace;
}

// Gives a .moet file the CRCs that its bytes need, so that the checks behind them are reached.
void seal(std::string& file) {
  const auto patch = [&](size_t offset, uint32_t value) { std::memcpy(file.data() + offset, &value, sizeof value); };
  patch(36, crc32c(as_bytes(file).first(36)));
  patch(file.size() - 4, crc32c(as_bytes(file).first(file.size() - 4)));
}

std::string small_npz(bool deflated) {
  return test::zip({{"experts.npy", test::npy<uint16_t>("<u2", "(2, 1, 2)", {0, 1, 2, 3}), deflated, true},
                    {"weights.npy", test::npy<float>("<f4", "(2, 1, 2)", {1, 0, 0.5f, 0.5f}), deflated},
                    {"num_experts.npy", test::npy<uint32_t>("<u4", "()", {4}), deflated}},
                   deflated);
}

std::string zstd_of(const std::string& contents) { return compress_zstd(as_bytes(contents)); }

Result<Trace> read_zstd_moet(Bytes file, const TraceOptions& options) {
  Result<std::vector<uint8_t>> contents = decompress_zstd(file, 1 << 20);
  if (!contents) return contents.error();
  return read_moet(*contents, options);
}

struct Sample {
  std::string name;
  Reader reader;
  std::string file;
  bool sealed = false;  ///< has CRCs to mend after a change
};

std::vector<Sample> samples() {
  const std::string moet = write_moet(test::random_trace(11));
  return {{"moet", read_moet, moet, true},
          {"zst", read_zstd_moet, zstd_of(moet)},
          {"npz stored", read_npz, small_npz(false)},
          {"npz deflated", read_npz, small_npz(true)},
          {"jsonl", read_jsonl, "{\"l\":0,\"e\":[1,2],\"s\":[0.5,0.25]}\n{\"l\":1,\"e\":[3],\"s\":[1]}\n"}};
}

TEST_CASE("every sample is right before it is spoilt") {
  for (const Sample& sample : samples()) {
    CAPTURE(sample.name);
    const Result<Trace> trace = read(sample.reader, sample.file);
    CHECK_MESSAGE(trace.ok(), trace.error().message);
  }
}

TEST_CASE("cut off at every byte") {
  for (const Sample& sample : samples()) {
    CAPTURE(sample.name);
    for (size_t size = 0; size < sample.file.size(); ++size) {
      CAPTURE(size);
      std::string file = sample.file.substr(0, size);
      const bool ok = read(sample.reader, file).ok();
      if (sample.name != "jsonl") CHECK_FALSE(ok);
      if (sample.sealed && size >= 68) {
        seal(file);
        CHECK_FALSE(read(sample.reader, file).ok());
      }
    }
  }
}

TEST_CASE("flipped bytes") {
  for (const Sample& sample : samples()) {
    CAPTURE(sample.name);
    for (uint32_t seed = 0; seed < 3000; ++seed) {
      CAPTURE(seed);
      std::mt19937 random(seed);
      std::string file = sample.file;
      for (uint32_t i = 0, n = 1 + random() % 4; i < n; ++i) {
        char& byte = file[random() % file.size()];
        byte = static_cast<char>(random() % 3 == 0 ? random() : byte ^ (1u << random() % 8));
      }
      if (sample.sealed) {
        if (file != sample.file) CHECK_FALSE(read(sample.reader, file).ok());
        seal(file);
      }
      (void)read(sample.reader, file);
    }
  }
}

TEST_CASE("bytes put in and taken out") {
  for (const Sample& sample : samples()) {
    CAPTURE(sample.name);
    for (uint32_t seed = 0; seed < 500; ++seed) {
      std::mt19937 random(seed);
      std::string file = sample.file;
      const size_t at = random() % file.size();
      if (seed % 2 == 0) {
        file.insert(at, 1 + random() % 9, static_cast<char>(random()));
      } else {
        file.erase(at, 1 + random() % 9);
      }
      if (sample.sealed && file.size() >= 68) seal(file);
      (void)read(sample.reader, file);
    }
  }
}

template <class T>
void put(std::string& file, size_t offset, T value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
}

TEST_CASE(".moet: headers that lie") {
  struct Row {
    const char* what;
    std::function<void(std::string&)> spoil;
    const char* reason;
  };
  const std::vector<Row> rows{
      {"magic", [](std::string& f) { f[0] = 'X'; }, "offset 0: not a .moet file"},
      {"version", [](std::string& f) { put<uint16_t>(f, 4, 2); }, "offset 4: version 2"},
      {"flags", [](std::string& f) { put<uint16_t>(f, 6, 128); }, "offset 6: unknown flags"},
      {"two kinds of weights", [](std::string& f) { put<uint16_t>(f, 6, 17); }, "both f16 and f32"},
      {"layers", [](std::string& f) { put<uint32_t>(f, 8, UINT32_MAX); }, "`experts` needs"},
      {"experts", [](std::string& f) { put<uint32_t>(f, 12, 65535); }, "1 to 65534 experts, not 65535"},
      {"top_k", [](std::string& f) { put<uint32_t>(f, 16, UINT32_MAX); }, "`experts` needs"},
      {"tokens", [](std::string& f) { put<uint64_t>(f, 20, UINT64_MAX); }, "`experts` needs"},
      {"tokens whose product overflows", [](std::string& f) { put<uint64_t>(f, 20, uint64_t{1} << 62); },
       "`experts` needs"},
      {"no tokens", [](std::string& f) { put<uint64_t>(f, 20, 0); }, "events"},
      {"trailer in the header", [](std::string& f) { put<uint64_t>(f, 28, 10); }, "offset 28: the trailer"},
      {"trailer beyond the end", [](std::string& f) { put<uint64_t>(f, 28, UINT64_MAX); }, "offset 28: the trailer"},
      {"trailer at a section", [](std::string& f) { put<uint64_t>(f, 28, 64); }, "not a JSON object"},
      {"padding", [](std::string& f) { f[50] = 1; }, "padding"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    std::string file = write_moet(test::random_trace(11));
    row.spoil(file);
    seal(file);
    const Result<Trace> trace = read(read_moet, file);
    if (std::string_view(row.what) == "no tokens") continue;  // an empty trace may hold
    REQUIRE_FALSE(trace.ok());
    CHECK_MESSAGE(trace.error().message.find(row.reason) != std::string::npos, trace.error().message);
  }
}

TEST_CASE(".moet: trailers that lie") {
  const std::string good = write_moet(test::random_trace(11));
  const auto trailer_offset = read_le<uint64_t>(as_bytes(good), 28);
  const auto good_trailer = nlohmann::json::parse(good.substr(trailer_offset, good.size() - 4 - trailer_offset));
  struct Row {
    const char* what;
    std::function<void(nlohmann::json&)> spoil;
    const char* reason;
  };
  const std::vector<Row> rows{
      {"no offsets", [](auto& t) { t.erase("offsets"); }, "no offset of `weights`"},
      {"offsets of another kind", [](auto& t) { t["offsets"] = 3; }, "`offsets` is not an object"},
      {"offset of another kind", [](auto& t) { t["offsets"]["weights"] = "64"; }, "no offset of `weights`"},
      {"negative", [](auto& t) { t["offsets"]["weights"] = -64; }, "no offset of `weights`"},
      {"not aligned", [](auto& t) { t["offsets"]["weights"] = 65 + t["offsets"]["weights"].template get<int>(); },
       "aligned"},
      {"overlap", [](auto& t) { t["offsets"]["requests"] = 64; }, "overlaps the section before"},
      {"same place", [](auto& t) { t["offsets"]["requests"] = t["offsets"]["weights"]; },
       "overlaps the section before"},
      {"beyond the trailer", [](auto& t) { t["offsets"]["lookahead"] = 1 << 20; }, "lies outside the file"},
      {"huge", [](auto& t) { t["offsets"]["lookahead"] = UINT64_MAX - 63; }, "lies outside the file"},
      {"no events", [](auto& t) { t.erase("events"); }, "`events` is not an array"},
      {"events of another kind", [](auto& t) { t["events"] = {{1, 2}}; }, "`events` is not an array"},
      {"event of another kind", [](auto& t) { t["events"] = {{0, 0, -1}}; }, "`events` is not an array"},
      {"event with a huge layer", [](auto& t) { t["events"] = {{0, uint64_t{1} << 40, 0}}; },
       "`events` is not an array"},
      {"event beyond the model", [](auto& t) { t["events"] = {{0, 0, 60000}}; }, "out of range"},
      {"events out of order", [](auto& t) { t["events"] = {{9, 0, 0}, {1, 0, 0}}; }, "out of order"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    nlohmann::json trailer = good_trailer;
    row.spoil(trailer);
    std::string file = good.substr(0, trailer_offset) + trailer.dump() + "    ";
    seal(file);
    const Result<Trace> trace = read(read_moet, file);
    REQUIRE_FALSE(trace.ok());
    CHECK_MESSAGE(trace.error().message.find(row.reason) != std::string::npos, trace.error().message);
  }
}

TEST_CASE("contents that lie") {
  struct Row {
    const char* what;
    std::function<void(Trace&)> spoil;
  };
  const std::vector<Row> rows{
      {"id beyond the experts", [](Trace& t) { t.experts[0] = 60000; }},
      {"id twice", [](Trace& t) { t.experts[0] = t.experts[1] = 1; }},
      {"negative weight", [](Trace& t) { t.experts[0] = 0, t.experts[1] = 1, t.weights[0] = -1; }},
      {"lookahead id", [](Trace& t) { t.lookahead[0] = 60000; }},
      {"probability", [](Trace& t) { t.lookahead[0] = 0, t.lookahead_probs[0] = 1.5f; }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Trace trace = test::random_trace(12);
    REQUIRE(trace.top_k >= 2);
    row.spoil(trace);
    const Result<Trace> read_back = read(read_moet, write_moet(trace));
    REQUIRE_FALSE(read_back.ok());
    CHECK(read_back.error().message.find("token 0, layer 0") != std::string::npos);
  }
}

TEST_CASE(".npy: headers that lie") {
  const std::vector<std::string> headers{
      "",
      "{",
      "{}",
      "{'descr': '<u2'}",
      "{'descr': '>u2', 'fortran_order': False, 'shape': (1, 1, 2), }",
      "{'descr': '<u3', 'fortran_order': False, 'shape': (1, 1, 2), }",
      "{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1, 2), }",
      "{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 2), }",
      "{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (1, 1, 2), }",
      "{'descr': '<u2', 'fortran_order': True, 'shape': (1, 1, 2), }",
      "{'descr': '<u2', 'fortran_order': Maybe, 'shape': (1, 1, 2), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (1, 1, 3), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (-1, 1, 2), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (1, 1, 2, }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (9223372036854775808, 4, 2), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (18446744073709551616, 1, 2), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (0, 18446744073709551615, 2), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (1, 1, 2), 'x': 1}",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (1, 1, 2), } x",
      "{'descr: '<u2', 'fortran_order': False, 'shape': (1, 1, 2), }",
      "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }",
  };
  for (const std::string& header : headers) {
    CAPTURE(header);
    CHECK_FALSE(read(read_npz, test::zip({{"experts.npy", test::npy_with_header(header, std::string(4, '\1'))}})).ok());
  }
  std::string many = "{'descr': '<u2', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < 1000; ++i) many += "1, ";
  CHECK_FALSE(read(read_npz, test::zip({{"experts.npy", test::npy_with_header(many + "), }", "ab")}})).ok());
}

TEST_CASE(".npz: arrays that do not go together") {
  const std::string experts = test::npy<uint16_t>("<u2", "(1, 1, 2)", {0, 1});
  const std::vector<std::vector<test::Member>> archives{
      {},
      {{"other.npy", experts}},
      {{"experts.npy", test::npy<float>("<f4", "(1, 1, 2)", {0, 1})}},
      {{"experts.npy", test::npy<int32_t>("<i4", "(1, 1, 2)", {0, -1})}},
      {{"experts.npy", test::npy<int32_t>("<i4", "(1, 1, 2)", {0, 65536})}},
      {{"experts.npy", experts}, {"weights.npy", test::npy<float>("<f4", "(1, 2, 1)", {0, 1})}},
      {{"experts.npy", experts}, {"weights.npy", test::npy<float>("<f4", "(1, 1, 2)", {0, -1})}},
      {{"experts.npy", experts}, {"requests.npy", test::npy<uint32_t>("<u4", "(2,)", {0, 1})}},
      {{"experts.npy", experts}, {"phase.npy", test::npy<uint32_t>("<u4", "(1,)", {256})}},
      {{"experts.npy", experts}, {"lookahead.npy", test::npy<uint16_t>("<u2", "(1, 1, 1)", {0})}},
      {{"experts.npy", experts}, {"num_experts.npy", test::npy<uint32_t>("<u4", "(2,)", {2, 2})}},
      {{"experts.npy", experts}, {"num_experts.npy", test::npy<uint32_t>("<u4", "()", {1})}},
      {{"experts.npy", experts}, {"num_experts.npy", test::npy<uint32_t>("<u4", "()", {65535})}},
      {{"experts.npy", test::npy<uint16_t>("<u2", "(0, 4097, 1)", {})}},
  };
  for (const auto& members : archives) {
    CAPTURE(&members - archives.data());
    CHECK_FALSE(read(read_npz, test::zip(members)).ok());
  }
}

TEST_CASE("zip: members that lie") {
  // Offsets within the one directory entry, which begins after the local header, its name, its extra field and the
  // data.
  const std::string experts = test::npy<uint16_t>("<u2", "(1, 1, 2)", {0, 1});
  const size_t entry = 30 + 11 + 20 + experts.size();
  struct Row {
    const char* what;
    std::function<void(std::string&)> spoil;
  };
  const std::vector<Row> rows{
      {"encrypted", [&](std::string& f) { put<uint16_t>(f, entry + 8, 1); }},
      {"method", [&](std::string& f) { put<uint16_t>(f, entry + 10, 12); }},
      {"CRC", [&](std::string& f) { put<uint32_t>(f, entry + 16, 1); }},
      {"stored with two sizes", [&](std::string& f) { put<uint32_t>(f, entry + 24, 1 << 30); }},
      {"size beyond the file",
       [&](std::string& f) { put<uint32_t>(f, entry + 20, 1 << 30), put<uint32_t>(f, entry + 24, 1 << 30); }},
      {"deflated to 4 GB",
       [&](std::string& f) { put<uint16_t>(f, entry + 10, 8), put<uint32_t>(f, entry + 24, 4000000000); }},
      {"zip64 sizes that are missing", [&](std::string& f) { put<uint32_t>(f, entry + 24, UINT32_MAX); }},
      {"local header elsewhere", [&](std::string& f) { put<uint32_t>(f, entry + 42, 7); }},
      {"local header beyond", [&](std::string& f) { put<uint32_t>(f, entry + 42, 1 << 30); }},
      {"long name", [&](std::string& f) { put<uint16_t>(f, entry + 28, 60000); }},
      {"many members", [&](std::string& f) { put<uint16_t>(f, f.size() - 12, 60000); }},
      {"directory beyond", [&](std::string& f) { put<uint32_t>(f, f.size() - 6, 1 << 30); }},
      {"split", [&](std::string& f) { put<uint16_t>(f, f.size() - 18, 1); }},
      {"zip64 without locator", [&](std::string& f) { put<uint16_t>(f, f.size() - 12, 0xFFFF); }},
  };
  const std::string good = test::zip({{"experts.npy", experts}});
  REQUIRE(read(read_npz, good).ok());
  for (const Row& row : rows) {
    CAPTURE(row.what);
    std::string file = good;
    row.spoil(file);
    const Result<Trace> trace = read(read_npz, file);
    REQUIRE_FALSE(trace.ok());
    CHECK_MESSAGE(trace.error().message.find("offset") != std::string::npos, trace.error().message);
  }
}

TEST_CASE("zip: members that overlap") {
  const std::string experts = test::npy<uint16_t>("<u2", "(1, 1, 2)", {0, 1});
  std::string file = test::zip({{"experts.npy", experts}, {"weights.npy", experts}});
  const size_t entry_of_weights = file.rfind("weights.npy") - 46;
  put<uint32_t>(file, entry_of_weights + 42, 0);  // the same local header
  const Result<Trace> trace = read(read_npz, file);
  REQUIRE_FALSE(trace.ok());
  CHECK(trace.error().message.find("overlap") != std::string::npos);
}

TEST_CASE("JSON Lines that lie") {
  for (const char* text : {"",
                           "\n\n",
                           "{",
                           "[]",
                           "{}",
                           "{\"l\":0}",
                           "{\"e\":[1]}",
                           "{\"l\":-1,\"e\":[1]}",
                           "{\"l\":4096,\"e\":[1]}",
                           "{\"l\":0.5,\"e\":[1]}",
                           "{\"l\":0,\"e\":1}",
                           "{\"l\":0,\"e\":[-1]}",
                           "{\"l\":0,\"e\":[65534]}",
                           "{\"l\":0,\"e\":[1.5]}",
                           "{\"l\":0,\"e\":[1,1]}",
                           "{\"l\":0,\"e\":[1],\"s\":[]}",
                           "{\"l\":0,\"e\":[1],\"s\":[\"a\"]}",
                           "{\"l\":0,\"e\":[1],\"s\":[-1]}",
                           "{\"l\":0,\"e\":[1],\"s\":[1e99]}",
                           "{\"l\":0,\"e\":[1],\"s\":[1]}\n{\"l\":0,\"e\":[1]}",
                           "{\"l\":0,\"e\":[]}"}) {
    CAPTURE(text);
    CHECK_FALSE(read(read_jsonl, text).ok());
  }
  CHECK_FALSE(read(read_jsonl, std::string(1'000'000, '[')).ok());
  std::string wide = "{\"l\":4095,\"e\":[0";
  for (int id = 1; id < 60000; ++id) wide += fmt::format(",{}", id);
  wide += "]}\n";
  for (int i = 0; i < 100; ++i) wide += "{\"l\":0,\"e\":[1]}\n";
  const Result<Trace> trace = read(read_jsonl, wide);
  REQUIRE_FALSE(trace.ok());
  CHECK(trace.error().message.find("far more than the lines fill") != std::string::npos);
}

TEST_CASE("zstd: a bomb stops at the limit") {
  const std::string bomb = zstd_of(std::string(3 << 20, '\0'));
  CHECK_FALSE(decompress_zstd(as_bytes(bomb), 1 << 20).ok());
  CHECK(decompress_zstd(as_bytes(bomb), 3 << 20).ok());
  CHECK_FALSE(decompress_zstd(as_bytes(bomb).first(bomb.size() - 1), 3 << 20).ok());
}

}  // namespace
}  // namespace moe::replay
