// SPDX-License-Identifier: Apache-2.0
// Packing a model as a store: what is in the extents, what comes back, what runs.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "runtime/base/crc32c.h"
#include "runtime/store/extent_store.h"
#include "runtime/store/store.h"
#include "tests/runtime/pack_support.h"

namespace moe::test {
namespace {

using store::Extent;
using store::ExtentStore;

const FileTensor& find(const std::vector<FileTensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const FileTensor& t) { return t.name == name; });
}

/// down_proj at 0, up_proj at 128, each 84 bytes: what an extent of the small model is to hold.
std::string expected_expert(const std::vector<FileTensor>& tensors, uint32_t layer, uint32_t expert) {
  std::string bytes = find(tensors, expert_name(2 * layer + 1, expert, "down_proj.weight")).bytes;
  bytes.resize(128, '\0');
  return bytes + find(tensors, expert_name(2 * layer + 1, expert, "up_proj.weight")).bytes;
}

TEST_CASE("every expert is one aligned extent with its checksum") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  pack::PackOptions options;
  options.order = {5, 0, 4, 1, 3, 2};
  const auto packed = pack_model(model.path(), dir, options);
  REQUIRE_MESSAGE(packed.ok(), packed.error().message);
  CHECK(packed->num_extents == 6);
  CHECK(packed->bytes == 6 * 4096);

  const auto store = ExtentStore::open(dir);
  REQUIRE_MESSAGE(store.ok(), store.error().message);
  const auto tensors = small_model(2, 3);
  for (uint32_t key = 0; key < 6; ++key) {
    const Extent& extent = store->extent(key / 3, key % 3, 0);
    const store::ExtentSource source = store->source(extent);
    CHECK(source.offset_bytes ==
          4096 * (std::find(options.order.begin(), options.order.end(), key) - options.order.begin()));
    CHECK(source.size_bytes == 212);
    CHECK(source.read_bytes == 4096);
    std::string bytes(source.read_bytes, 'x');
    REQUIRE(::pread(source.fd, bytes.data(), bytes.size(), static_cast<off_t>(source.offset_bytes)) == 4096);
    const std::string expected = expected_expert(tensors, key / 3, key % 3);
    CHECK(bytes.substr(0, 212) == expected);
    CHECK(bytes.substr(212) == std::string(4096 - 212, '\0'));
    CHECK(source.crc32c == crc32c(expected.data(), expected.size()));
  }
  CHECK(store->precision("native") == 0);
  CHECK_FALSE(store->precision("int8"));
}

TEST_CASE("an extent can be read past the page cache") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  REQUIRE(pack_model(model.path(), dir).ok());
  const auto store = ExtentStore::open(dir);
  REQUIRE(store.ok());
  const auto direct = store->open_data_file(0, O_DIRECT);
  if (!direct) {
    std::printf("[SKIP] no O_DIRECT here: skipped\n");
    return;
  }
  const Extent& extent = store->extent(1, 2, 0);
  void* memory = std::aligned_alloc(4096, 4096);
  CHECK(::pread(direct->fd(), memory, 4096, static_cast<off_t>(extent.offset_bytes)) == 4096);
  CHECK(std::string(static_cast<char*>(memory), 212) == expected_expert(small_model(2, 3), 1, 2));
  std::free(memory);
}

TEST_CASE("a store is a model folder for the runtime") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  REQUIRE(pack_model(model.path(), dir).ok());
  CHECK(slurp(dir + "/config.json") == slurp(model / "config.json"));
  CHECK_FALSE(std::filesystem::exists(dir + "/notes.bin"));

  const moe_model_shape shape{sizeof shape, 2, 3, 1, 168};
  store::ExpertStore packed(shape, Allocator()), plain(shape, Allocator());
  const auto opened = packed.open(dir);
  REQUIRE_MESSAGE(opened.ok(), opened.error().message);
  REQUIRE(plain.open(model.path()).ok());
  CHECK_FALSE(packed.missing());
  CHECK_FALSE(packed.in_memory());
  for (uint32_t key = 0; key < 6; ++key) CHECK(packed.verify_mapped(key).ok());
  REQUIRE(packed.load().ok());
  CHECK(packed.in_memory());
  for (uint32_t key = 0; key < 6; ++key) {
    CHECK(std::memcmp(packed.expert(key), packed.mapped(key), packed.expert_bytes()) == 0);
  }
  CHECK(packed.expert_bytes() == plain.expert_bytes());
  for (uint32_t key = 0; key < 6; ++key) CHECK(std::memcmp(packed.expert(key), plain.expert(key), 256) == 0);
  for (const FileTensor& tensor : small_model(2, 3)) {
    const store::Tensor* found = packed.find(tensor.name);
    REQUIRE(found);
    CHECK(std::string(found->data, found->size_bytes) == tensor.bytes);
    CHECK(found->shape == tensor.shape);
    const bool is_expert = tensor.name.find(".experts.") != std::string::npos;
    CHECK(packed.key_of(*found).has_value() == is_expert);
  }
  store::ExpertStore other({sizeof shape, 2, 4, 1, 0}, Allocator());
  CHECK(other.open(dir).error().message == dir + ": has 2 MoE layers of 3 experts, the runtime was created for 2 of 4");
}

std::vector<std::string> tensors_of_file(const std::string& path) {
  const std::string bytes = slurp(path);
  const auto tensors = store::read_safetensors(bytes, path);
  REQUIRE(tensors.ok());
  std::vector<std::string> names;
  for (const store::Tensor& tensor : *tensors) names.push_back(tensor.name);
  return names;
}

void check_round_trip(const std::string& model, const pack::PackOptions& how, const pack::UnpackOptions& back) {
  const TempDir out;
  const std::string dir = (out / "store"), again = (out / "again");
  const auto packed = pack_model(model, dir, how);
  REQUIRE_MESSAGE(packed.ok(), packed.error().message);
  const auto unpacked = pack::unpack(dir, again, back);
  REQUIRE_MESSAGE(unpacked.ok(), unpacked.error().message);
  const auto expected = tensors_of(model);
  CHECK(expected.size() > 10);
  CHECK(tensors_of(again) == expected);
  for (const auto& [name, bytes] : files_of(model)) {
    if (name.ends_with(".json") && name != "model.safetensors.index.json") CHECK(slurp(again + "/" + name) == bytes);
  }
  CHECK_FALSE(std::filesystem::exists(again + ".partial"));
}

/// The model's tensors, dealt out to `count` shards, so that an expert's parts are in different ones.
void write_shards(const std::string& model, const TempDir& to, size_t count) {
  const auto source = store::open_model_files(model);
  REQUIRE(source.ok());
  std::vector<std::vector<FileTensor>> shards(count);
  nlohmann::json map;
  for (size_t i = 0; i < source->tensors.size(); ++i) {
    const store::Tensor& tensor = source->tensors[i];
    shards[i % count].push_back({tensor.name, tensor.dtype_word, tensor.shape, {tensor.data, tensor.size_bytes}});
    map[tensor.name] = "shard-" + std::to_string(i % count) + ".safetensors";
  }
  for (size_t i = 0; i < count; ++i) {
    write_file(to / ("shard-" + std::to_string(i) + ".safetensors"), safetensors(shards[i]));
  }
  write_file(to / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
}

TEST_CASE("unpacking gives identical tensors") {
  for (const char* model :
       {"examples/models/qwen-moe-tiny", "../shared/data/models/qwen-moe-tiny", "../shared/data/models/olmoe-tiny"}) {
    if (!std::filesystem::exists(model)) {
      std::printf("[SKIP] no %s beside the checkout: skipped\n", model);
      continue;
    }
    CAPTURE(model);
    check_round_trip(model, {}, {});
    pack::PackOptions small_files;
    small_files.most_file_bytes = 1'000'000;
    pack::UnpackOptions small_shards;
    small_shards.shard_bytes = 1'500'000;
    const TempDir sharded;
    write_shards(model, sharded, 3);
    check_round_trip(sharded.path(), small_files, small_shards);
  }
}

TEST_CASE("experts that are fused in one tensor") {
  const std::string model = "tests/data/mixtral/fused";
  check_round_trip(model, {}, {});
  pack::UnpackOptions small_shards;
  small_shards.shard_bytes = 2'000;
  check_round_trip(model, {}, small_shards);

  const TempDir out;
  const std::string dir = (out / "store");
  REQUIRE(pack_model(model, dir).ok());
  // The extent of (1, 2): matrix 2 of both of layer 1's tensors, down_proj [16, 12] and behind it gate_up_proj.
  const auto tensors = tensors_of(model);
  const auto matrix = [&](const std::string& part, size_t bytes) {
    const std::string& text = tensors.at("model.layers.1.mlp.experts." + part);
    return text.substr(text.find(':') + 1 + 2 * bytes, bytes);
  };
  const auto store = ExtentStore::open(dir);
  REQUIRE_MESSAGE(store.ok(), store.error().message);
  std::string bytes(384 + 768, 'x');
  REQUIRE(store->index().expert_bytes() == bytes.size());
  REQUIRE(store->read(store->extent(1, 2, 0), std::as_writable_bytes(std::span(bytes))).ok());
  CHECK(bytes == matrix("down_proj", 384) + matrix("gate_up_proj", 768));
  const auto others = tensors_of_file(dir + "/other_tensors.safetensors");
  CHECK(others.size() + 4 == tensors.size());
  for (const std::string& name : others) CHECK(name.find("experts") == std::string::npos);

  // A layer that is half fused could not be put together again from what the index says.
  auto mixed = small_model(1, 2);
  std::erase_if(mixed, [](const FileTensor& tensor) { return tensor.name.ends_with("up_proj.weight"); });
  mixed.push_back(f32("model.layers.1.mlp.experts.up_proj", {2, 3, 7}));
  const TempDir half;
  write_file(half / "model.safetensors", safetensors(mixed));
  CHECK(pack_model(half.path(), (out / "half")).error().message ==
        half.path() +
            ": tensor `model.layers.1.mlp.experts.0.up_proj` is a part of a tensor of all experts, unlike "
            "`model.layers.1.mlp.experts.0.down_proj.weight`");
}

/// Every second byte, upside down.
class HalfEncoder final : public pack::Encoder {
 public:
  std::string_view precision() const override { return "half_test"; }
  std::string encoding(const store::ExpertLayout&) const override { return R"({"kind":"half"})"; }
  uint64_t encoded_bytes(const store::ExpertLayout&) const override { return 106; }
  Result<void> encode(const store::ExpertLayout&, std::span<const std::byte> expert,
                      std::span<std::byte> encoded) const override {
    for (size_t i = 0; i < encoded.size(); ++i) encoded[i] = ~expert[2 * i];
    return {};
  }
};

TEST_CASE("copies at another precision have extents of their own") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  const HalfEncoder encoder;
  pack::PackOptions options;
  options.encoders = {&encoder};
  options.most_file_bytes = 5 * 4096;
  REQUIRE(pack_model(model.path(), dir, options).ok());
  const auto store = ExtentStore::open(dir);
  REQUIRE_MESSAGE(store.ok(), store.error().message);
  CHECK(store->index().files.size() == 3);
  REQUIRE(store->precision("half_test") == 1);
  CHECK(store->index().precisions[1].encoding == R"({"kind":"half"})");
  std::vector<std::byte> bytes(106);
  for (uint32_t key = 0; key < 6; ++key) {
    const Extent& extent = store->extent(key / 3, key % 3, 1);
    CHECK(extent.size_bytes == 106);
    REQUIRE(store->read(extent, bytes).ok());
    const std::string expert = expected_expert(small_model(2, 3), key / 3, key % 3);
    for (size_t i = 0; i < 106; ++i) CHECK(static_cast<char>(~bytes[i]) == expert[2 * i]);
  }
  REQUIRE(pack::unpack(dir, (out / "again"), {}).ok());
  CHECK(tensors_of((out / "again")) == tensors_of(model.path()));
}

TEST_CASE("what cannot be packed or unpacked") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  REQUIRE(pack_model(model.path(), dir).ok());
  CHECK(pack_model(dir, (out / "x")).error().message == "`" + dir + "` is a store already; name the model's folder");
  CHECK(pack_model(model.path(), model.path()).error().message ==
        "`" + model.path() + "` is there and is no store; choose another name");
  CHECK(pack::unpack(dir, model.path(), {}).error().message ==
        "`" + model.path() + "` is there already; choose another name");
  CHECK(pack::unpack(model.path(), (out / "x"), {}).error().message ==
        "`" + model.path() + "` is no store: it has no moe_store.json");
  std::filesystem::create_directory(out / "y.partial");
  write_file(out / "y.partial/thesis.txt", "mine");
  const auto refused = pack_model(model.path(), (out / "y"));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("is in the way and no partial store; move it away") != std::string::npos);
  CHECK(slurp(out / "y.partial/thesis.txt") == "mine");

  auto tensors = small_model(1, 2);
  for (FileTensor& tensor : tensors) {
    if (tensor.name == expert_name(1, 1, "up_proj.weight"))
      tensor.name = "model.layers.1.mlp.experts.01.up_proj.weight";
  }
  const TempDir odd;
  write_file(odd / "model.safetensors", safetensors(tensors));
  CHECK(pack_model(odd.path(), (out / "z")).error().message ==
        odd.path() +
            ": tensor `model.layers.1.mlp.experts.01.up_proj.weight` is not named like its siblings, "
            "`model.layers.1.mlp.experts.1.up_proj.weight`");
}

}  // namespace
}  // namespace moe::test
