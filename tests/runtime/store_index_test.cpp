// SPDX-License-Identifier: Apache-2.0
// Stores that somebody damaged or made to do harm: an error that says where, never a read outside of a file.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <random>

#include "runtime/base/crc32c.h"
#include "runtime/store/extent_store.h"
#include "runtime/store/store.h"
#include "tests/runtime/pack_support.h"

namespace moe::test {
namespace {

using nlohmann::json;
using store::ExtentStore;

/// The index with a checksum that is right, as a forger would leave it.
std::string sealed(json index) {
  index.erase("index_crc32c");
  const std::string plain = index.dump(-1, ' ', false, json::error_handler_t::replace);
  index["index_crc32c"] = crc32c(plain.data(), plain.size());
  return index.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// A store of 2 layers of 3 experts whose index a test rewrites.
class Packed {
 public:
  Packed() {
    write_small_model(model_);
    REQUIRE(pack_model(model_.path(), dir()).ok());
    index = json::parse(slurp(dir() + "/moe_store.json"));
  }
  std::string dir() const { return out_ / "store"; }
  void put(const std::string& text) const { write_file(dir() + "/moe_store.json", text); }
  /// What opening says with this index; "" when it opens.
  std::string says(const json& changed) const {
    put(sealed(changed));
    return says();
  }
  std::string says() const {
    const auto opened = ExtentStore::open(dir());
    return opened ? "" : opened.error().message;
  }
  json index;

 private:
  TempDir model_, out_;
};

/// The extent of a layer and expert in the index's list, which is in order of offset.
json& extent_of(json& index, int layer, int expert) {
  for (json& extent : index["extents"]) {
    if (extent["layer"] == layer && extent["expert"] == expert) return extent;
  }
  throw std::runtime_error("no such extent");
}

TEST_CASE("an index is checked against itself") {
  const Packed store;
  REQUIRE(store.says(store.index) == "");
  struct Case {
    const char* says;
    std::function<void(json&)> change;
  };
  const Case cases[] = {
      {"`format` is not \"moe-store\"", [](json& i) { i["format"] = "other"; }},
      {"a store of version 2, this build reads version 1", [](json& i) { i["version"] = 2; }},
      {"a store of version \"1\", this", [](json& i) { i["version"] = "1"; }},
      {"`num_layers` is 0, not 1 to 4096", [](json& i) { i["num_layers"] = 0; }},
      {"`num_experts` is not a whole number", [](json& i) { i["num_experts"] = -3; }},
      {"`extents` has 6 entries, the shape makes it 131068", [](json& i) { i["num_experts"] = 65534; }},
      {"`layers` has 2 entries, `num_layers` is 3", [](json& i) { i["num_layers"] = 3; }},
      {"layers[1]: `after` is not a text", [](json& i) { i["layers"][1].erase("after"); }},
      {"layers[1]: `fused` is neither true nor false", [](json& i) { i["layers"][1]["fused"] = 1; }},
      {"parts[1]: names are not ascending", [](json& i) { i["parts"][1]["name"] = "a"; }},
      {"parts[0]: shape, dtype and size disagree", [](json& i) { i["parts"][0]["shape"][0] = 8; }},
      {"parts[0]: shape, dtype and size disagree",
       [](json& i) { i["parts"][0]["shape"] = {4294967296u, 4294967296u, 21}; }},
      {"parts[0]: `size` is 18446744073709551615, not", [](json& i) { i["parts"][0]["size"] = UINT64_MAX; }},
      {"parts[1]: `offset` is 64, the parts before it make it 128", [](json& i) { i["parts"][1]["offset"] = 64; }},
      {"`parts` make an empty expert", [](json& i) { i["parts"] = json::array(); }},
      {"parts[0]: `shape` has 5 entries", [](json& i) { i["parts"][0]["shape"] = {1, 1, 1, 1, 21}; }},
      {"the first of `precisions` is not \"native\"", [](json& i) { i["precisions"][0]["name"] = "int8"; }},
      {"precisions[1]: `native` is there twice", [](json& i) { i["precisions"].push_back(i["precisions"][0]); }},
      {"precisions[0]: `name` is not a word", [](json& i) { i["precisions"][0]["name"] = "na tive"; }},
      {"files[0]: `../experts-00000.bin` is not the name of a file in this folder",
       [](json& i) { i["files"][0]["name"] = "../experts-00000.bin"; }},
      {"files[0]: `/etc/passwd` is not the name", [](json& i) { i["files"][0]["name"] = "/etc/passwd"; }},
      {"files[0]: `..` is not the name", [](json& i) { i["files"][0]["name"] = ".."; }},
      {"files[0]: `size` is not a multiple of 4096", [](json& i) { i["files"][0]["size"] = 24577; }},
      {"the file `config.json` is named twice",
       [](json& i) { i["files"].push_back({{"name", "config.json"}, {"size", 0}}); }},
      {"the file `moe_store.json` is named twice", [](json& i) { i["side_files"][0]["name"] = "moe_store.json"; }},
      {"tensors: `a/b` is not the name", [](json& i) { i["tensors"]["name"] = "a/b"; }},
      {"`extents` has 5 entries", [](json& i) { i["extents"].erase(2); }},
      {"extents[1]: layer, expert and precision are those of an extent before it",
       [](json& i) { i["extents"][1]["expert"] = i["extents"][0]["expert"]; }},
      {"extents[0]: `layer` is 2, not 0 to 1", [](json& i) { i["extents"][0]["layer"] = 2; }},
      {"extents[0]: `expert` is 3, not 0 to 2", [](json& i) { i["extents"][0]["expert"] = 3; }},
      {"extents[0]: `precision` is 1, not 0 to 0", [](json& i) { i["extents"][0]["precision"] = 1; }},
      {"extents[0]: `file` is 1, not 0 to 0", [](json& i) { i["extents"][0]["file"] = 1; }},
      {"extents[0]: there are no files", [](json& i) { i["files"] = json::array(); }},
      {"extents[0]: `offset` is not a multiple of 4096", [](json& i) { i["extents"][0]["offset"] = 1; }},
      {"it ends beyond its file, `experts-00000.bin`", [](json& i) { i["extents"][0]["offset"] = 6 * 4096; }},
      {"it ends beyond its file, `experts-00000.bin`",
       [](json& i) { i["extents"][0]["offset"] = 9223372036854771712u; }},
      {"extents[0]: `offset` is 18446744073709547520, not",
       [](json& i) { i["extents"][0]["offset"] = 18446744073709547520u; }},
      {"extents[0]: `size` is 211, the parts make it 212", [](json& i) { i["extents"][0]["size"] = 211; }},
      {"overlap in `experts-00000.bin`", [](json& i) { i["extents"][0]["offset"] = 4096; }},
      {"`crc32c` is not a whole number", [](json& i) { i["extents"][0]["crc32c"] = "x"; }},
      {"`order` is not an object", [](json& i) { i["order"] = 1; }},
      {"extents[3]: `layer` is not a whole number", [](json& i) { i["extents"][3] = 7; }},
  };
  for (const Case& one : cases) {
    json changed = store.index;
    one.change(changed);
    const std::string said = store.says(changed);
    CHECK_MESSAGE(said.find(one.says) != std::string::npos, one.says << " in: " << said);
    CHECK(said.starts_with(store.dir() + "/moe_store.json: "));
  }
}

TEST_CASE("an index that is damaged by chance, deep, cut or no JSON") {
  const Packed store;
  json changed = store.index;
  changed["order"]["method"] = "ie";
  store.put(changed.dump());
  CHECK(store.says().find("the index is damaged (`index_crc32c`); pack the model again") != std::string::npos);
  store.put("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}");
  CHECK(store.says().find("nested more than 64 deep") != std::string::npos);
  store.put("");
  CHECK(store.says().find("not JSON at byte") != std::string::npos);
  store.put("[]");
  CHECK(store.says().find("not a JSON object") != std::string::npos);
}

TEST_CASE("an index is checked against the files") {
  const Packed store;
  const std::string data = store.dir() + "/experts-00000.bin", bytes = slurp(data);
  write_file(data, bytes.substr(1));
  CHECK(store.says() ==
        data + ": has 24575 bytes, the index says 24576; copy the store again, or pack the model again");
  std::filesystem::remove(data);
  CHECK(store.says() == data + ": cannot open: No such file or directory");
  std::filesystem::create_directory(data);
  CHECK(store.says() == data + ": not a regular file");
  std::filesystem::remove(data);
  const TempDir elsewhere;
  write_file(elsewhere / "data", bytes);
  std::filesystem::create_symlink(elsewhere / "data", data);
  CHECK(store.says() == data + ": cannot open: it is a symbolic link; the files of a store lie in its folder");
}

TEST_CASE("what was read is compared with its checksum") {
  Packed store;
  const std::string data = store.dir() + "/experts-00000.bin", good = slurp(data);
  const auto offset = extent_of(store.index, 1, 2)["offset"].get<size_t>();
  std::string bytes = good;
  bytes[offset + 211] ^= 4;
  write_file(data, bytes);
  store::ExpertStore experts({sizeof(moe_model_shape), 2, 3, 1, 0}, Allocator());
  REQUIRE(experts.open(store.dir()).ok());
  CHECK(experts.verify_mapped(4).ok());
  CHECK(experts.verify_mapped(5).error().message ==
        data + ": layer 1 expert 2 (native) at byte " + std::to_string(offset) +
            ": its checksum is not the index's; copy the store again, or pack the model again");
  const auto opened = experts.load();
  REQUIRE_FALSE(opened.ok());
  CHECK_FALSE(experts.in_memory());
  CHECK(opened.error().message ==
        data + ": layer 1 expert 2 (native) at byte " + std::to_string(offset) +
            ": its checksum is not the index's, read twice; copy the store again, or pack the "
            "model again");
  CHECK(opened.error().kind == Error::Kind::format);
  // Bytes behind the expert are nobody's.
  bytes = good;
  bytes[offset + 212] ^= 4;
  write_file(data, bytes);
  CHECK(experts.load().ok());
  CHECK(experts.verify_mapped(5).ok());

  const std::string tensors = store.dir() + "/other_tensors.safetensors";
  bytes = slurp(tensors);
  bytes.back() ^= 1;
  write_file(tensors, bytes);
  store::ExpertStore again({sizeof(moe_model_shape), 2, 3, 1, 0}, Allocator());
  CHECK(again.open(store.dir()).error().message.find("its checksum is not the index's; copy") != std::string::npos);
}

TEST_CASE("two tensors of one name are found when the store is loaded") {
  Packed store;
  store.index["layers"][1] = store.index["layers"][0];
  REQUIRE(store.says(store.index) == "");
  store::ExpertStore experts({sizeof(moe_model_shape), 2, 3, 1, 0}, Allocator());
  CHECK(experts.open(store.dir()).error().message.find("two tensors have the name `model.layers.1.mlp.experts.0.") !=
        std::string::npos);
}

/// One thing in the index becomes another, at random.
void mutate(json& value, std::mt19937_64& random) {
  if ((value.is_object() || value.is_array()) && !value.empty() && random() % 8 != 0) {
    auto at = value.begin();
    std::advance(at, random() % value.size());
    if (random() % 12 == 0) {
      value.erase(at);
    } else if (value.is_array() && random() % 12 == 0) {
      value.push_back(json(*at));
    } else {
      mutate(*at, random);
    }
    return;
  }
  const json others[] = {0,
                         1,
                         2,
                         63,
                         64,
                         4096,
                         8192,
                         -1,
                         1e300,
                         UINT64_MAX,
                         INT64_MAX,
                         uint64_t{1} << 62,
                         "",
                         "native",
                         "experts-00000.bin",
                         "..",
                         "F64",
                         "BOGUS",
                         nullptr,
                         true,
                         json::array(),
                         json::object()};
  value = others[random() % std::size(others)];
}

TEST_CASE("mutated indexes never lead outside of the files") {
  const Packed store;
  const std::string text = slurp(store.dir() + "/moe_store.json");
  const uint64_t size = std::filesystem::file_size(store.dir() + "/experts-00000.bin");
  const char* rounds_text = std::getenv("MOE_TEST_ROUNDS");
  const int rounds = 3000 * (rounds_text ? std::atoi(rounds_text) : 1);
  int opened = 0, refused = 0;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    std::mt19937_64 random(static_cast<uint64_t>(round));
    if (random() % 3 == 0) {  // bytes
      std::string changed = text;
      for (uint64_t n = 1 + random() % 4; n > 0; --n) changed[random() % changed.size()] = static_cast<char>(random());
      if (random() % 4 == 0) changed.resize(random() % changed.size());
      const bool other = !(json::parse(changed, nullptr, /*allow_exceptions=*/false) == store.index);
      CHECK(store::read_store_index(changed, "x").ok() == !other);
      continue;
    }
    json changed = store.index;
    for (uint64_t n = 1 + random() % 2; n > 0; --n) mutate(changed, random);
    if (!changed.is_object()) continue;
    store.put(sealed(changed));
    const auto there = ExtentStore::open(store.dir());
    ++(there ? opened : refused);
    if (!there) continue;
    for (const store::Extent& extent : there->index().extents) {
      CHECK(extent.offset_bytes + store::padded(extent.size_bytes) <= size);
      std::vector<std::byte> bytes(extent.size_bytes);
      (void)there->read(extent, bytes);
    }
    store::ExpertStore experts({sizeof(moe_model_shape), 2, 3, 1, 0}, Allocator());
    if (experts.open(store.dir()).ok()) (void)experts.load();
  }
  CHECK(opened > rounds / 50);
  CHECK(refused > rounds / 4);
}

}  // namespace
}  // namespace moe::test
