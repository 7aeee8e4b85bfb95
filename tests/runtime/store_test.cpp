// SPDX-License-Identifier: Apache-2.0
// The expert store: good models come through byte for byte, bad files are refused with file, tensor and reason.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/runtime/safetensors_files.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

/// A runtime of 2 layers x 3 experts x top-1 without a store.
class Opened {
 public:
  explicit Opened(uint64_t expert_bytes = 0) {
    moe_runtime_config config{};
    config.struct_size = sizeof config;
    config.shape = {sizeof(moe_model_shape), 2, 3, 1, expert_bytes};
    REQUIRE(moe_runtime_create(&config, &runtime) == MOE_OK);
  }
  ~Opened() { moe_runtime_destroy(runtime); }
  moe_runtime* runtime = nullptr;
};

void check_model(moe_runtime* runtime, const std::vector<FileTensor>& tensors) {
  for (const FileTensor& tensor : tensors) {
    moe_tensor_view view{};
    view.struct_size = sizeof view;
    REQUIRE(moe_store_tensor(runtime, tensor.name.c_str(), &view) == MOE_OK);
    CHECK(view.dtype == MOE_F32);
    CHECK(view.rank == tensor.shape.size());
    CHECK(view.shape[0] == tensor.shape[0]);
    CHECK(view.shape[3] == 1);
    CHECK(std::string(static_cast<const char*>(view.data), view.size_bytes) == tensor.bytes);
  }
  moe_expert_part part{};
  part.struct_size = sizeof part;
  REQUIRE(moe_store_part(runtime, 0, &part) == MOE_OK);
  CHECK(std::string(part.name) == "down_proj.weight");
  CHECK(part.offset == 0);
  CHECK(part.size_bytes == 84);
  REQUIRE(moe_store_part(runtime, 1, &part) == MOE_OK);
  CHECK(std::string(part.name) == "up_proj.weight");
  CHECK(part.offset == 128);
  CHECK(part.shape[1] == 7);
  CHECK(moe_store_part(runtime, 2, &part) == MOE_INVALID);
}

/// Every expert in the fast tier is its two tensors at their offsets.
void check_experts(moe_runtime* runtime, const std::vector<FileTensor>& tensors) {
  const moe_model_shape shape{sizeof shape, 2, 3, 1, 0};
  moe_policy* policy = nullptr;
  REQUIRE(moe_policy_resident(&shape, &policy) == MOE_OK);
  REQUIRE(moe_policy_attach(runtime, policy) == MOE_OK);
  moe_policy_destroy(policy);
  auto find = [&](const std::string& name) -> const FileTensor& {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const FileTensor& t) { return t.name == name; });
  };
  for (uint32_t layer = 0; layer < 2; ++layer) {
    for (int32_t expert = 0; expert < 3; ++expert) {
      const std::vector<int32_t> ids{expert};
      moe_dispatch_args args = dispatch_args(lru_params(2, 3, 1, 1), layer, ids);
      moe_plan plan = empty_plan();
      REQUIRE(moe_dispatch(runtime, &args, &plan) == MOE_OK);
      REQUIRE(moe_plan_wait(runtime, &plan, 0, nullptr) == MOE_OK);
      const auto* data = static_cast<const char*>(plan.entries[0].data);
      const auto id = static_cast<uint32_t>(expert);
      CHECK(std::string(data, 84) == find(expert_name(2 * layer + 1, id, "down_proj.weight")).bytes);
      CHECK(std::string(data + 128, 84) == find(expert_name(2 * layer + 1, id, "up_proj.weight")).bytes);
      REQUIRE(moe_plan_release(runtime, &plan, nullptr) == MOE_OK);
    }
  }
}

TEST_CASE("a model in one file") {
  const TempDir dir;
  const auto tensors = small_model(2, 3);
  write_file(dir / "model.safetensors", safetensors(tensors));
  Opened r(168);
  REQUIRE_MESSAGE(moe_store_open(r.runtime, dir.path().c_str()) == MOE_OK, moe_last_error());
  check_model(r.runtime, tensors);
  check_experts(r.runtime, tensors);
  CHECK(moe_store_open(r.runtime, dir.path().c_str()) == MOE_INVALID);
}

TEST_CASE("a model in shards, an expert across two of them") {
  const TempDir dir;
  const auto tensors = small_model(2, 3);
  std::vector<FileTensor> shards[3];
  nlohmann::json map;
  for (size_t i = 0; i < tensors.size(); ++i) {
    shards[i % 3].push_back(tensors[i]);
    map[tensors[i].name] = "model-0000" + std::to_string(i % 3) + ".safetensors";
  }
  for (int i = 0; i < 3; ++i) {
    // A tensor that the index does not know is nobody's business.
    shards[i].push_back(f32("unlisted", {1}));
    write_file(dir / ("model-0000" + std::to_string(i) + ".safetensors"), safetensors(shards[i]));
  }
  write_file(dir / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  Opened r;
  REQUIRE_MESSAGE(moe_store_open(r.runtime, dir.path().c_str()) == MOE_OK, moe_last_error());
  check_model(r.runtime, tensors);
  check_experts(r.runtime, tensors);
  moe_tensor_view view{};
  view.struct_size = sizeof view;
  CHECK(moe_store_tensor(r.runtime, "unlisted", &view) == MOE_INVALID);
}

TEST_CASE("a part of all experts in one tensor") {
  const auto tensors = small_model(2, 3);
  std::vector<FileTensor> fused;
  for (const FileTensor& tensor : tensors) {
    const size_t expert = tensor.name.find(".experts.");
    if (expert == std::string::npos) continue;
    // model.layers.L.mlp.experts.E.up_proj.weight -> model.layers.L.mlp.experts.up_proj
    const size_t number = expert + 9, part = number + 2;
    const std::string name = tensor.name.substr(0, number) + tensor.name.substr(part, tensor.name.rfind('.') - part);
    auto found = std::find_if(fused.begin(), fused.end(), [&](const FileTensor& t) { return t.name == name; });
    if (found == fused.end())
      found = fused.insert(fused.end(), {name, "F32", {0, tensor.shape[0], tensor.shape[1]}, ""});
    ++found->shape[0];
    found->bytes += tensor.bytes;
  }
  REQUIRE(fused.size() == 4);
  const TempDir dir;
  write_file(dir / "model.safetensors", safetensors(fused));
  {
    Opened r(168);
    REQUIRE_MESSAGE(moe_store_open(r.runtime, dir.path().c_str()) == MOE_OK, moe_last_error());
    moe_expert_part part{};
    part.struct_size = sizeof part;
    REQUIRE(moe_store_part(r.runtime, 1, &part) == MOE_OK);
    CHECK(std::string(part.name) == "up_proj");
    CHECK(part.rank == 2);
    CHECK(part.shape[0] == 3);
    CHECK(part.shape[1] == 7);
    check_experts(r.runtime, tensors);
  }
  // An expert that is there both ways.
  fused.push_back(f32("model.layers.1.mlp.experts.2.up_proj", {3, 7}));
  write_file(dir / "model.safetensors", safetensors(fused));
  Opened r;
  CHECK(moe_store_open(r.runtime, dir.path().c_str()) == MOE_FORMAT);
  CHECK(std::string(moe_last_error()).find("are the same part") != std::string::npos);
}

TEST_CASE("tensors that no view can show are refused one by one") {
  const TempDir dir;
  auto tensors = small_model(2, 3);
  tensors.push_back(f32("five", {1, 1, 2, 1, 1}));
  tensors.push_back({"tomorrow", "F3", {9}, "abc"});
  tensors.push_back({"bytes", "U8", {3}, "abc"});
  tensors.push_back(f32("scalar", {}));
  tensors.push_back(f32("empty", {0, 18446744073709551615u, 18446744073709551615u}));
  write_file(dir / "model.safetensors", safetensors(tensors));
  Opened r;
  REQUIRE_MESSAGE(moe_store_open(r.runtime, dir.path().c_str()) == MOE_OK, moe_last_error());
  moe_tensor_view view{};
  view.struct_size = sizeof view;
  CHECK(moe_store_tensor(r.runtime, "five", &view) == MOE_UNSUPPORTED);
  REQUIRE(moe_store_tensor(r.runtime, "tomorrow", &view) == MOE_OK);
  CHECK(view.dtype == MOE_OTHER);
  CHECK(view.size_bytes == 3);
  REQUIRE(moe_store_tensor(r.runtime, "scalar", &view) == MOE_OK);
  CHECK(view.rank == 0);
  REQUIRE(moe_store_tensor(r.runtime, "empty", &view) == MOE_OK);
  CHECK(view.size_bytes == 0);
}

struct BadFile {
  const char* what;
  std::string bytes;
  const char* reason;  ///< in the message
};

std::string header_only(const std::string& header, size_t data_bytes) {
  return with_header(header, std::string(data_bytes, 'x'));
}

std::vector<BadFile> bad_files() {
  auto one = [](const std::string& entry, size_t data) { return header_only("{\"t\":" + entry + "}", data); };
  std::string huge(8, '\xFF');
  std::string beyond = with_header("{}", "");
  beyond[0] = 100;
  const std::string good = safetensors(small_model(2, 3));
  return {
      {"empty", "", "only 0 bytes long"},
      {"seven bytes", "1234567", "only 7 bytes long"},
      {"huge header", huge + "{}", "over the limit"},
      {"header beyond the end", beyond, "goes beyond the file's 10 bytes"},
      {"truncated", good.substr(0, good.size() - 1), "go beyond"},
      {"trailing bytes", good + "x", "the tensors end at data byte"},
      {"no JSON", header_only("{\"a\":", 0), "not JSON at byte"},
      {"not UTF-8", header_only("{\"\xff\":1}", 0), "not JSON at byte"},
      {"an array", header_only("[]", 0), "not a JSON object"},
      {"a number too large", header_only("{\"a\":1e999}", 0), "number"},
      {"deep nesting", header_only(std::string(100000, '['), 0), "not JSON"},
      {"twice",
       header_only("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                   "\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                   1),
       "`t` is there twice"},
      {"dtype twice", one("{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1]}", 1), "twice"},
      {"no object", one("7", 0), "not an object"},
      {"no dtype", one("{\"shape\":[1],\"data_offsets\":[0,1]}", 1), "no `dtype`"},
      {"dtype a number", one("{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,1]}", 1), "no `dtype`"},
      {"no shape", one("{\"dtype\":\"U8\",\"data_offsets\":[0,1]}", 1), "no `shape`"},
      {"negative shape", one("{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}", 1), "whole numbers"},
      {"fractional shape", one("{\"dtype\":\"U8\",\"shape\":[1.5],\"data_offsets\":[0,1]}", 1), "whole numbers"},
      {"no offsets", one("{\"dtype\":\"U8\",\"shape\":[1]}", 1), "data_offsets"},
      {"one offset", one("{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}", 1), "data_offsets"},
      {"negative offset", one("{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}", 1), "data_offsets"},
      {"backwards", one("{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}", 1), "run backwards"},
      {"beyond", one("{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}", 1), "go beyond the 1 bytes"},
      {"far beyond", one("{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,18446744073709551615]}", 1), "go beyond"},
      {"size", one("{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}", 4), "need 8"},
      {"overflow", one("{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}", 4), "overflows"},
      {"overflow by dtype", one("{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]}", 4),
       "overflows"},
      {"a hole", one("{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}", 2), "after a hole"},
      {"overlap",
       header_only("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                   "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
                   3),
       "tensor `b`: begins at data byte 1, inside another"},
  };
}

TEST_CASE("hostile files are refused, with the reason") {
  for (const BadFile& bad : bad_files()) {
    CAPTURE(bad.what);
    const TempDir dir;
    write_file(dir / "model.safetensors", bad.bytes);
    Opened r;
    CHECK(moe_store_open(r.runtime, dir.path().c_str()) == MOE_FORMAT);
    const std::string message = moe_last_error();
    CHECK_MESSAGE(message.find("model.safetensors: ") != std::string::npos, message);
    CHECK_MESSAGE(message.find(bad.reason) != std::string::npos, message);
    CHECK(message.find('\n') == std::string::npos);
    // Nothing is left behind: a good model can still be opened.
    write_file(dir / "model.safetensors", safetensors(small_model(2, 3)));
    CHECK(moe_store_open(r.runtime, dir.path().c_str()) == MOE_OK);
  }
}

TEST_CASE("experts that do not make a model are refused") {
  struct Case {
    const char* what;
    std::function<void(std::vector<FileTensor>&)> spoil;
    moe_status status;
    const char* reason;
  };
  const Case cases[] = {
      {"no experts", [](auto& t) { t.resize(1); }, MOE_FORMAT, "no tensor is named like"},
      {"another number of layers", [](auto& t) { t = small_model(3, 3); }, MOE_INVALID, "has 3 MoE layers of 3"},
      {"another number of experts", [](auto& t) { t = small_model(2, 4); }, MOE_INVALID, "has 2 MoE layers of 4"},
      {"an uneven layer",
       [](auto& t) {
         t.push_back(f32(expert_name(1, 3, "up_proj.weight"), {3, 7}));
         t.push_back(f32(expert_name(1, 3, "down_proj.weight"), {7, 3}));
       },
       MOE_FORMAT, "layer 3 has 3 experts, layer 1 has 4"},
      {"a gap",
       [](auto& t) {
         for (auto& one : t)
           if (one.name.find("1.mlp.experts.1") != one.name.npos) one.name += ".x";
       },
       MOE_FORMAT, "has no sibling"},
      {"a missing part", [](auto& t) { t.erase(t.begin() + 4); }, MOE_FORMAT, "has no sibling"},
      {"an extra part", [](auto& t) { t.push_back(f32(expert_name(3, 2, "gate_proj.weight"), {1})); }, MOE_FORMAT,
       "has no counterpart"},
      {"another shape", [](auto& t) { t[3] = f32(t[3].name, {7, 3}); }, MOE_FORMAT, "differ in shape or dtype"},
      {"another dtype", [](auto& t) { t[3].dtype = "U32"; }, MOE_FORMAT, "differ in shape or dtype"},
      {"the same part twice", [](auto& t) { t.push_back(f32("other.layers.1.experts.00.up_proj.weight", {3, 7})); },
       MOE_FORMAT, "are the same part"},
      {"a part of rank 5",
       [](auto& t) {
         for (auto& one : t)
           if (one.name.find("up_proj") != one.name.npos && one.name.find(".experts") != one.name.npos)
             one = f32(one.name, {1, 1, 1, 3, 7});
       },
       MOE_FORMAT, "at most 4 dimensions"},
      {"an absurd number", [](auto& t) { t.push_back(f32(expert_name(1, 70000, "up_proj.weight"), {1})); }, MOE_FORMAT,
       "too large"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    const TempDir dir;
    auto tensors = small_model(2, 3);
    one.spoil(tensors);
    write_file(dir / "model.safetensors", safetensors(tensors));
    Opened r;
    CHECK(moe_store_open(r.runtime, dir.path().c_str()) == one.status);
    CHECK_MESSAGE(std::string(moe_last_error()).find(one.reason) != std::string::npos, moe_last_error());
  }
  const TempDir dir;
  write_file(dir / "model.safetensors", safetensors(small_model(2, 3)));
  Opened r(169);
  CHECK(moe_store_open(r.runtime, dir.path().c_str()) == MOE_INVALID);
  CHECK(std::string(moe_last_error()).find("has 168 bytes") != std::string::npos);
}

TEST_CASE("an index leads to files of its own folder only") {
  struct Case {
    std::string index;
    moe_status status;
    const char* reason;
  };
  auto map = [](const std::string& file) { return "{\"weight_map\":{\"t\":" + file + "}}"; };
  const Case cases[] = {
      {"", MOE_FORMAT, "not JSON"},
      {"{}", MOE_FORMAT, "no `weight_map`"},
      {"{\"weight_map\":[]}", MOE_FORMAT, "no `weight_map`"},
      {map("7"), MOE_FORMAT, "not the name of a file"},
      {map("\"\""), MOE_FORMAT, "not the name of a file"},
      {map("\"..\""), MOE_FORMAT, "not the name of a file"},
      {map("\"../x.safetensors\""), MOE_FORMAT, "not the name of a file"},
      {map("\"/etc/passwd\""), MOE_FORMAT, "not the name of a file"},
      {map("\"a\\u0000b\""), MOE_FORMAT, "not the name of a file"},
      {map("\"gone.safetensors\""), MOE_IO, "gone.safetensors: cannot open"},
      {map("\"folder\""), MOE_IO, "not a regular file"},
      {map("\"real.safetensors\""), MOE_FORMAT, "tensor `t` is missing"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.index);
    const TempDir dir;
    write_file(dir / "model.safetensors.index.json", one.index);
    write_file(dir / "real.safetensors", safetensors(small_model(2, 3)));
    std::filesystem::create_directory(dir / "folder");
    Opened r;
    CHECK(moe_store_open(r.runtime, dir.path().c_str()) == one.status);
    CHECK_MESSAGE(std::string(moe_last_error()).find(one.reason) != std::string::npos, moe_last_error());
  }
  Opened r;
  CHECK(moe_store_open(r.runtime, "/nowhere/at/all") == MOE_IO);
}

TEST_CASE("experts from memory") {
  Opened r(4);
  const char bytes[8] = "expert!";
  CHECK(moe_store_add(r.runtime, 2, 0, bytes, 4) == MOE_INVALID);
  CHECK(moe_store_add(r.runtime, 0, 3, bytes, 4) == MOE_INVALID);
  CHECK(moe_store_add(r.runtime, 0, 0, nullptr, 4) == MOE_INVALID);
  CHECK(moe_store_add(r.runtime, 0, 0, bytes, 0) == MOE_INVALID);
  CHECK(moe_store_add(r.runtime, 0, 0, bytes, 5) == MOE_INVALID);
  REQUIRE(moe_store_add(r.runtime, 0, 0, bytes, 4) == MOE_OK);
  CHECK(moe_store_add(r.runtime, 0, 0, bytes, 4) == MOE_INVALID);
  CHECK(moe_store_open(r.runtime, ".") == MOE_INVALID);
  const moe_model_shape shape{sizeof shape, 2, 3, 1, 0};
  moe_policy* policy = nullptr;
  REQUIRE(moe_policy_resident(&shape, &policy) == MOE_OK);
  CHECK(moe_policy_attach(r.runtime, policy) == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "layer 0 expert 1 was not added to the store");
  for (uint32_t key = 1; key < 6; ++key) REQUIRE(moe_store_add(r.runtime, key / 3, key % 3, bytes, 4) == MOE_OK);
  CHECK(moe_policy_attach(r.runtime, policy) == MOE_OK);
  CHECK(moe_store_add(r.runtime, 0, 0, bytes, 4) == MOE_INVALID);
  moe_expert_part part{};
  part.struct_size = sizeof part;
  REQUIRE(moe_store_part(r.runtime, 0, &part) == MOE_OK);
  CHECK(part.size_bytes == 4);
  CHECK(part.dtype == MOE_OTHER);
  CHECK(moe_store_part(r.runtime, 1, &part) == MOE_INVALID);
  moe_tensor_view view{};
  view.struct_size = sizeof view;
  CHECK(moe_store_tensor(r.runtime, "x", &view) == MOE_INVALID);
  moe_policy_destroy(policy);
}

}  // namespace
}  // namespace moe::test
