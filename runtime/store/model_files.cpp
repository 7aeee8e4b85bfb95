// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/model_files.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "runtime/store/file_name.h"
#include "runtime/store/json.h"

namespace moe::store {
namespace {

constexpr size_t kMaxIndexBytes = 100'000'000;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

/// Shard name -> names of its tensors, both ascending.
Result<std::map<std::string, std::vector<std::string>>> read_index(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  if (file->size_bytes() > kMaxIndexBytes) {
    return Error{Error::Kind::format, path + ": " + std::to_string(file->size_bytes()) + " bytes is too long an index"};
  }
  Result<nlohmann::json> index = parse_object(file->text(), path);
  if (!index) return index.error();
  const auto map = index->find("weight_map");
  if (map == index->end() || !map->is_object()) return Error{Error::Kind::format, path + ": no `weight_map` object"};
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      return Error{Error::Kind::format, path + ": tensor `" + tensor + "`: `" +
                                            (shard.is_string() ? shard.get<std::string>() : shard.dump()) +
                                            "` is not the name of a file in this folder"};
    }
    shards[shard.get<std::string>()].push_back(tensor);
  }
  return shards;
}

Result<ModelFiles> open_shards(const std::filesystem::path& dir, const std::string& index_path) {
  auto shards = read_index(index_path);
  if (!shards) return shards.error();
  ModelFiles model;
  for (const auto& [shard, names] : *shards) {
    const std::string path = (dir / shard).string();
    Result<std::vector<Tensor>> tensors = add_model_file(dir.string(), shard, model);
    if (!tensors) return tensors.error();
    for (const std::string& name : names) {
      const auto found = std::lower_bound(tensors->begin(), tensors->end(), name,
                                          [](const Tensor& t, const std::string& wanted) { return t.name < wanted; });
      if (found == tensors->end() || found->name != name) {
        return Error{Error::Kind::format,
                     path + ": tensor `" + name + "` is missing; " + index_path + " says it is here"};
      }
      model.tensors.push_back(*found);
    }
  }
  std::sort(model.tensors.begin(), model.tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  model.names.emplace_back(kIndex);
  return model;
}

}  // namespace

bool is_model_folder(const std::string& dir) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::path(dir) / kSingle, ignored) ||
         std::filesystem::exists(std::filesystem::path(dir) / kIndex, ignored);
}

Result<std::vector<Tensor>> add_model_file(const std::string& dir, const std::string& name, ModelFiles& into) {
  const std::string path = (std::filesystem::path(dir) / name).string();
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<std::vector<Tensor>> tensors = read_safetensors(file->text(), path);
  if (!tensors) return tensors;
  into.files.push_back(std::move(*file));
  into.names.push_back(name);
  return tensors;
}

Result<ModelFiles> open_model_files(const std::string& dir) {
  const std::filesystem::path folder(dir);
  std::error_code ignored;
  if (std::filesystem::exists(folder / kSingle, ignored)) {
    ModelFiles model;
    Result<std::vector<Tensor>> tensors = add_model_file(dir, kSingle, model);
    if (!tensors) return tensors.error();
    model.tensors = std::move(*tensors);
    return model;
  }
  if (std::filesystem::exists(folder / kIndex, ignored)) return open_shards(folder, (folder / kIndex).string());
  return Error{Error::Kind::io, dir + ": has neither model.safetensors nor model.safetensors.index.json"};
}

}  // namespace moe::store
