// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/model_files.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "runtime/store/json.h"

namespace moe::store {
namespace {

constexpr size_t kMaxIndexBytes = 100'000'000;

/// Reads one file's tensors into `into` and keeps the mapping.
Result<std::vector<Tensor>> add_file(const std::string& path, ModelFiles& into) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<std::vector<Tensor>> tensors = read_safetensors(file->text(), path);
  if (tensors) into.files.push_back(std::move(*file));
  return tensors;
}

/// Shards lie in the folder itself: anything that looks like a path could lead out of it.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\\\0", 3)) == name.npos;
}

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
    Result<std::vector<Tensor>> tensors = add_file(path, model);
    if (!tensors) return tensors.error();
    model.file_names.push_back(shard);
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
  return model;
}

}  // namespace

Result<ModelFiles> open_model_files(const std::string& dir) {
  const std::filesystem::path folder(dir);
  const std::string single = (folder / "model.safetensors").string();
  const std::string index = (folder / "model.safetensors.index.json").string();
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    ModelFiles model;
    Result<std::vector<Tensor>> tensors = add_file(single, model);
    if (!tensors) return tensors.error();
    model.tensors = std::move(*tensors);
    model.file_names.push_back("model.safetensors");
    return model;
  }
  if (std::filesystem::exists(index, ignored)) return open_shards(folder, index);
  return Error{Error::Kind::io, dir + ": has neither model.safetensors nor model.safetensors.index.json"};
}

}  // namespace moe::store
