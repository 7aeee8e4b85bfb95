// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/pack/files.h"
#include "runtime/pack/folder.h"
#include "runtime/pack/pack.h"
#include "runtime/store/safetensors_write.h"

namespace moe::pack {
namespace {

using store::ExtentStore;
using store::Part;
using store::StoreIndex;
using store::Tensor;

/// A tensor of the model to be. Its bytes: `tensor.data`, or where that is null the part `part` of `num_experts`
/// experts, one behind the other.
struct Item {
  Tensor tensor;
  size_t first_key = 0;
  size_t num_experts = 0;
  size_t part = 0;
};

Item make_item(const StoreIndex& index, uint32_t layer, uint32_t expert, size_t part) {
  const store::ExpertNaming& naming = index.naming[layer];
  const Part& of = index.layout.parts[part];
  Item item{{}, size_t{layer} * index.num_experts + expert, naming.fused ? index.num_experts : 1u, part};
  item.tensor.name = naming.fused ? naming.before + of.name : naming.name_of(expert, of.name);
  item.tensor.dtype_word = of.dtype_word;
  if (naming.fused) item.tensor.shape.push_back(index.num_experts);
  item.tensor.shape.insert(item.tensor.shape.end(), of.shape.begin(), of.shape.begin() + of.rank);
  item.tensor.size_bytes = of.size_bytes * item.num_experts;
  return item;
}

/// The experts' tensors by layer, expert and part, as the model had them.
std::vector<Item> expert_items(const StoreIndex& index) {
  std::vector<Item> items;
  for (uint32_t layer = 0; layer < index.num_layers; ++layer) {
    const uint32_t count = index.naming[layer].fused ? 1 : index.num_experts;
    for (uint32_t expert = 0; expert < count; ++expert) {
      for (size_t part = 0; part < index.layout.parts.size(); ++part) {
        items.push_back(make_item(index, layer, expert, part));
      }
    }
  }
  return items;
}

/// Ends of the shards that the tensors make: one when all fit.
std::vector<size_t> shard_ends(const std::vector<Item>& items, uint64_t most_bytes) {
  std::vector<size_t> ends;
  uint64_t bytes = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (bytes > 0 && bytes + items[i].tensor.size_bytes > most_bytes) ends.push_back(i), bytes = 0;
    bytes += items[i].tensor.size_bytes;
  }
  ends.push_back(items.size());
  return ends;
}

/// Writes one file of the model.
class Shard {
 public:
  Shard(const ExtentStore& store, std::span<const Item> items, const Count& count)
      : store_(store), items_(items), count_(count) {}

  Result<void> write(const std::string& path) {
    std::vector<store::TensorSpec> specs;
    for (const Item& item : items_) {
      specs.push_back({item.tensor.name, item.tensor.dtype_word, item.tensor.shape, item.tensor.size_bytes});
    }
    auto writer = store::SafetensorsWriter::create(path, std::move(specs), {{"format", "pt"}});
    if (!writer) return writer.error();
    if (Result<void> written = write_experts(*writer); !written) return written;
    for (const Item& item : items_) {
      if (item.num_experts > 0) continue;
      if (Result<void> written = put(*writer, item, item.tensor.data, item.tensor.size_bytes); !written) return written;
    }
    return writer->finish();
  }

 private:
  /// Goes through the experts, not the tensors, so that each is read once.
  Result<void> write_experts(store::SafetensorsWriter& writer) {
    std::vector<std::pair<size_t, const Item*>> pieces;  // key, where it goes
    for (const Item& item : items_) {
      for (size_t i = 0; i < item.num_experts; ++i) pieces.emplace_back(item.first_key + i, &item);
    }
    std::sort(pieces.begin(), pieces.end());
    const StoreIndex& index = store_.index();
    std::vector<std::byte> expert(index.expert_bytes());
    for (size_t i = 0; i < pieces.size(); ++i) {
      const auto& [key, item] = pieces[i];
      if (i == 0 || key != pieces[i - 1].first) {
        if (Result<void> read = store_.read(index.extents[key], expert); !read) return read;
      }
      const Part& part = index.layout.parts[item->part];
      Result<void> written = put(writer, *item, expert.data() + part.offset_bytes, part.size_bytes);
      if (!written) return written;
    }
    return {};
  }

  Result<void> put(store::SafetensorsWriter& writer, const Item& item, const void* bytes, uint64_t size_bytes) {
    if (Result<void> written = writer.append(item.tensor.name, bytes, size_bytes); !written) return written;
    count_(size_bytes);
    return {};
  }

  const ExtentStore& store_;
  std::span<const Item> items_;
  const Count& count_;
};

Result<void> check_unique(const std::vector<Item>& items, const std::string& where) {
  std::vector<Tensor> tensors;
  for (const Item& item : items) tensors.push_back(item.tensor);
  return store::check_unique(tensors, where);
}

std::string shard_name(size_t shard, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count);
  return name;
}

Result<void> write_tensors(const ExtentStore& store, const std::vector<Item>& items, const std::string& dir,
                           const UnpackOptions& options) {
  uint64_t total = 0;
  for (const Item& item : items) total += item.tensor.size_bytes;
  uint64_t done = 0;
  const Count count = [&](uint64_t bytes) {
    done += bytes;
    if (options.progress) options.progress(done, total);
  };
  const std::vector<size_t> ends = shard_ends(items, options.shard_bytes);
  nlohmann::json map = nlohmann::json::object();
  for (size_t shard = 0, begin = 0; shard < ends.size(); begin = ends[shard++]) {
    const std::span<const Item> these(items.data() + begin, ends[shard] - begin);
    const std::string name = shard_name(shard, ends.size());
    if (Result<void> written = Shard(store, these, count).write(dir + "/" + name); !written) return written;
    for (const Item& item : these) map[item.tensor.name] = name;
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

  std::vector<Item> items = expert_items(store->index());
  Result<std::optional<store::MappedFile>> others = store->map_tensors();
  if (!others) return others.error();
  if (*others) {
    const std::string path = store->path_of(store->index().tensors[0].name);
    Result<std::vector<Tensor>> read = store::read_safetensors((*others)->text(), path);
    if (!read) return read.error();
    for (Tensor& tensor : *read) items.push_back({std::move(tensor)});
  }
  if (Result<void> good = check_unique(items, store_dir); !good) return good;
  if (Result<void> done = write_tensors(*store, items, folder->path(), options); !done) return done;
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
