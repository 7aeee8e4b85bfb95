// SPDX-License-Identifier: Apache-2.0
// Chronos expert caches: one that Chronos wrote, and manifests that are not what they should be.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>

#include "runtime/store/chronos.h"
#include "runtime/store/store.h"
#include "tests/runtime/pack_support.h"

namespace moe::test {
namespace {

using nlohmann::json;

constexpr const char* kCache = "../shared/data/chronos/tiny_cache";
const moe_model_shape kShape{sizeof kShape, 2, 4, 2, 0};

TEST_CASE("a cache that Chronos wrote is served, packed and unpacked") {
  if (!std::filesystem::exists(kCache)) {
    std::printf("[SKIP] no chronos/tiny_cache beside the checkout: skipped\n");
    return;
  }
  store::ExpertStore experts(kShape, Allocator());
  const auto opened = experts.open(kCache);
  REQUIRE_MESSAGE(opened.ok(), opened.error().message);
  CHECK(experts.layout().weight_bytes == 3 * 192);
  // Read once more by the safetensors format alone: 8 bytes of length, the header, tensors at their offsets.
  const json manifest = json::parse(slurp(std::string(kCache) + "/cluster_manifest.json"));
  size_t compared = 0;
  for (const json& cluster : manifest["clusters"]) {
    const std::string file = slurp(std::string(kCache) + "/" + cluster["file"].get<std::string>());
    uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    const json header = json::parse(file.substr(8, length));
    for (uint32_t layer = 0; layer < 2; ++layer) {
      for (const uint32_t expert : cluster["experts"]) {
        size_t at = 0;
        for (const char* part : {"down_proj.weight", "gate_proj.weight", "up_proj.weight"}) {
          const std::string name = "l" + std::to_string(layer) + "_e" + std::to_string(expert) + "__" + part;
          const std::string bytes = file.substr(8 + length + header[name]["data_offsets"][0].get<size_t>(), 192);
          CHECK(std::string(static_cast<const char*>(experts.expert(layer * 4 + expert)) + at, 192) == bytes);
          at += 192;
          ++compared;
        }
      }
    }
  }
  CHECK(compared == 24);

  const TempDir out;
  const auto packed = pack_model(kCache, out / "store");
  REQUIRE_MESSAGE(packed.ok(), packed.error().message);
  REQUIRE(pack::unpack(out / "store", out / "again", {}).ok());
  const auto model = store::open_chronos_cache(kCache);
  const auto again = tensors_of(out / "again");
  REQUIRE(again.size() == model->tensors.size());
  for (const store::Tensor& tensor : model->tensors) {
    CHECK(again.at(tensor.name) == "F16 " + std::to_string(tensor.shape[0]) + " " + std::to_string(tensor.shape[1]) +
                                       ":" + std::string(tensor.data, tensor.size_bytes));
  }
}

/// A cache of 2 layers and 4 experts in clusters {0, 2} and {1, 3}, as Chronos lays it out.
class Cache {
 public:
  Cache() {
    for (uint32_t cluster = 0; cluster < 2; ++cluster) {
      std::vector<FileTensor> tensors;
      for (uint32_t layer = 0; layer < 2; ++layer) {
        for (const uint32_t expert : {cluster, cluster + 2}) {
          tensors.push_back(
              f32("l" + std::to_string(layer) + "_e" + std::to_string(expert) + "__up_proj.weight", {3, 5}));
        }
      }
      write_file(dir / ("cluster_" + std::to_string(cluster) + ".ctsr"), safetensors(tensors));
    }
    manifest = json::parse(R"({"version":1,"num_experts":4,"num_layers":2,"storage_format":"safetensors",
      "clusters":[{"cluster_id":0,"file":"cluster_0.ctsr","experts":[0,2]},
                  {"cluster_id":1,"file":"cluster_1.ctsr","experts":[1,3]}],
      "expert_to_cluster":{"0":0,"2":0,"1":1,"3":1}})");
  }
  std::string says(const json& changed) const {
    write_file(dir / "cluster_manifest.json", changed.dump());
    store::ExpertStore experts(kShape, Allocator());
    const auto opened = experts.open(dir.path());
    return opened ? "" : opened.error().message;
  }
  TempDir dir;
  json manifest;
};

TEST_CASE("a manifest is checked") {
  const Cache cache;
  REQUIRE(cache.says(cache.manifest) == "");
  struct Case {
    const char* says;
    std::function<void(json&)> change;
  };
  const Case cases[] = {
      {"a cache of version 2; version 1 is what can be read", [](json& m) { m["version"] = 2; }},
      {"`storage_format` is not \"safetensors\"", [](json& m) { m["storage_format"] = "pt"; }},
      {"`num_layers` is not a whole number from 1 to 4096", [](json& m) { m["num_layers"] = 1e9; }},
      {"`num_experts` is not a whole number from 1 to 65534", [](json& m) { m["num_experts"] = 65535; }},
      {"clusters[1]: `file` is not the name of a file in this folder",
       [](json& m) { m["clusters"][1]["file"] = "../cluster_1.ctsr"; }},
      {"clusters[1]: `cluster_0.ctsr` is the file of a cluster before it",
       [](json& m) { m["clusters"][1]["file"] = "cluster_0.ctsr"; }},
      {"clusters[0]: `4` is not an expert below 4", [](json& m) { m["clusters"][0]["experts"][0] = 4; }},
      {"clusters[0]: `-1` is not an expert below 4", [](json& m) { m["clusters"][0]["experts"][0] = -1; }},
      {"clusters[1]: expert 2 is in a cluster before it", [](json& m) { m["clusters"][1]["experts"][0] = 2; }},
      {"3 of 4 experts are in a cluster", [](json& m) { m["clusters"][1]["experts"] = {1}; }},
      {"disagree about expert 2", [](json& m) { m["expert_to_cluster"]["2"] = 1; }},
      {"has experts that no cluster has", [](json& m) { m["expert_to_cluster"]["7"] = 1; }},
      {"has tensors of 4 experts, the manifest makes it 6", [](json& m) { m["num_layers"] = 3; }},
      {"`l1_e0__up_proj.weight` is not of this cluster", [](json& m) { m["num_layers"] = 1; }},
      {"clusters[0]: `experts` is not a list",
       [](json& m) { m["clusters"][0] = json::object({{"file", "x"}, {"cluster_id", 0}}); }},
      {"gone.ctsr: cannot open", [](json& m) { m["clusters"][0]["file"] = "gone.ctsr"; }},
      {"x.pt: a pickle, which is code", [](json& m) { m["clusters"][0]["file"] = "x.pt"; }},
  };
  for (const Case& one : cases) {
    json changed = cache.manifest;
    one.change(changed);
    const std::string said = cache.says(changed);
    CHECK_MESSAGE(said.find(one.says) != std::string::npos, one.says << " in: " << said);
  }
  write_file(cache.dir / "cluster_0.ctsr", safetensors({f32("somebody", {2})}));
  CHECK(cache.says(cache.manifest).find("`somebody` is not named like `l0_e0__PART`") != std::string::npos);
}

}  // namespace
}  // namespace moe::test
