// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/pack/folder.h"
#include "runtime/pack/pack.h"
#include "runtime/pack/safetensors_file.h"

namespace moe::pack {
namespace {

using store::ExtentStore;
using store::Part;
using store::StoreIndex;
using store::Tensor;

/// Finds a tensor's bytes: in the mapped file, or in the expert that was read last.
class Bytes {
 public:
  /// The first `num_expert_tensors` of `tensors` are store::expert_tensors().
  Bytes(const ExtentStore& store, const std::vector<Tensor>& tensors, size_t num_expert_tensors)
      : store_(store), tensors_(tensors), num_expert_tensors_(num_expert_tensors) {}

  Result<const char*> find(const Tensor& tensor) {
    const auto at = static_cast<size_t>(&tensor - tensors_.data());
    if (at >= num_expert_tensors_) return tensor.data;
    const auto& parts = store_.index().layout.parts;
    const size_t key = at / parts.size();
    if (key != key_) {
      expert_.resize(store_.index().expert_bytes());
      if (Result<void> read = store_.read(store_.index().extents[key], expert_); !read) return read.error();
      key_ = key;
    }
    return reinterpret_cast<const char*>(expert_.data() + parts[at % parts.size()].offset_bytes);
  }

 private:
  const ExtentStore& store_;
  const std::vector<Tensor>& tensors_;
  size_t num_expert_tensors_;
  size_t key_ = SIZE_MAX;
  std::vector<std::byte> expert_;
};

/// Ends of the shards that the tensors make: one when all fit.
std::vector<size_t> shard_ends(const std::vector<Tensor>& tensors, uint64_t most_bytes) {
  std::vector<size_t> ends;
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (bytes > 0 && bytes + tensors[i].size_bytes > most_bytes) ends.push_back(i), bytes = 0;
    bytes += tensors[i].size_bytes;
  }
  ends.push_back(tensors.size());
  return ends;
}

std::string shard_name(size_t shard, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count);
  return name;
}

Result<void> write_tensors(const ExtentStore& store, const std::vector<Tensor>& tensors, size_t num_expert_tensors,
                           const std::string& dir, const UnpackOptions& options) {
  uint64_t total = 0;
  for (const Tensor& tensor : tensors) total += tensor.size_bytes;
  uint64_t done = 0;
  const Count count = [&](uint64_t bytes) {
    done += bytes;
    if (options.progress) options.progress(done, total);
  };
  Bytes bytes(store, tensors, num_expert_tensors);
  const Fetch fetch = [&](const Tensor& tensor) { return bytes.find(tensor); };
  const std::vector<size_t> ends = shard_ends(tensors, options.shard_bytes);
  nlohmann::json map = nlohmann::json::object();
  for (size_t shard = 0, begin = 0; shard < ends.size(); begin = ends[shard++]) {
    const std::span<const Tensor> these(tensors.data() + begin, ends[shard] - begin);
    const std::string name = shard_name(shard, ends.size());
    const Result<store::FileMark> written = write_safetensors(dir, name, these, fetch, count);
    if (!written) return written.error();
    for (const Tensor& tensor : these) map[tensor.name] = name;
  }
  if (ends.size() == 1) return {};
  const nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  return write_whole(dir + "/model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace

Result<void> unpack(const std::string& store_dir, const std::string& dir, const UnpackOptions& options) {
  if (!store::is_store(store_dir)) {
    return Error{Error::Kind::format, "`" + store_dir + "` is no store: it has no " + std::string(store::kIndexName)};
  }
  Result<ExtentStore> store = ExtentStore::open(store_dir);
  if (!store) return store.error();
  const std::string place = plain_path(dir);
  if (look_at(place) != Place::free) {
    return Error{Error::Kind::invalid, "`" + place + "` is there already; choose another name"};
  }
  Result<PartialFolder> folder = PartialFolder::open(place);
  if (!folder) return folder.error();
  if (Result<void> cleared = folder->clear(); !cleared) return cleared;
  // Marks the folder as ours, so that the next run may clear it.
  const std::string mark = folder->path() + "/" + kPlanName;
  if (Result<void> marked = write_whole(mark, "{}\n"); !marked) return marked;

  std::vector<Tensor> tensors = store::expert_tensors(store->index());
  const size_t num_expert_tensors = tensors.size();
  Result<std::optional<store::MappedFile>> others = store->map_tensors();
  if (!others) return others.error();
  if (*others) {
    const std::string path = store->path_of(store->index().tensors[0].name);
    Result<std::vector<Tensor>> read = store::read_safetensors((*others)->text(), path);
    if (!read) return read.error();
    tensors.insert(tensors.end(), read->begin(), read->end());
  }
  if (Result<void> good = store::check_unique(tensors, store_dir); !good) return good;
  if (Result<void> done = write_tensors(*store, tensors, num_expert_tensors, folder->path(), options); !done)
    return done;
  for (const store::FileMark& side : store->index().side_files) {
    const Result<store::FileMark> copied = copy_file(store_dir, folder->path(), side.name);
    if (!copied) return copied.error();
    if (copied->crc32c != side.crc32c || copied->size_bytes != side.size_bytes) {
      return Error{Error::Kind::format, "`" + store->path_of(side.name) + "`: its checksum is not the index's"};
    }
  }
  std::remove(mark.c_str());
  if (Result<void> synced = sync_folder(folder->path()); !synced) return synced;
  return folder->publish();
}

}  // namespace moe::pack
