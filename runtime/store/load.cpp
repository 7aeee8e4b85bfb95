// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/load.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "runtime/store/checkpoint.h"
#include "runtime/store/extent_store.h"

namespace moe::store {
namespace {

Block make_image(uint64_t num_keys, uint64_t slot_bytes, const Allocator& allocator) {
  if (slot_bytes > std::numeric_limits<size_t>::max() / num_keys) throw std::bad_alloc();
  return Block(allocator, num_keys * slot_bytes);
}

Block assemble(const Experts& experts, const Allocator& allocator) {
  const uint64_t slot_bytes = experts.layout.slot_bytes;
  const size_t num_keys = size_t{experts.num_layers} * experts.num_experts;
  Block image = make_image(num_keys, slot_bytes, allocator);
  for (size_t key = 0; key < num_keys; ++key) {
    copy_expert(experts, key, image.bytes() + key * slot_bytes);
  }
  return image;
}

}  // namespace

Result<Loaded> load_packed(const std::string& dir, const CheckShape& check, const Allocator& allocator) {
  Result<ExtentStore> store = ExtentStore::open(dir);
  if (!store) return store.error();
  const StoreIndex& index = store->index();
  if (Result<void> fits = check(index.num_layers, index.num_experts, index.layout.weight_bytes); !fits) {
    return fits.error();
  }
  Loaded loaded;
  Result<std::optional<MappedFile>> mapped = store->map_tensors();
  if (!mapped) return mapped.error();
  if (*mapped) {
    Result<std::vector<Tensor>> tensors = read_safetensors((*mapped)->text(), store->path_of(index.tensors[0].name));
    if (!tensors) return tensors.error();
    loaded.model.tensors = std::move(*tensors);
    loaded.model.files.push_back(std::move(**mapped));
    loaded.model.names.push_back(index.tensors[0].name);
  }
  const uint64_t slot_bytes = index.layout.slot_bytes;
  loaded.image = make_image(index.num_keys(), slot_bytes, allocator);
  for (size_t key = 0; key < index.num_keys(); ++key) {
    const std::span<std::byte> slot(loaded.image.bytes() + key * slot_bytes, slot_bytes);
    if (Result<void> read = store->read(index.extents[key], slot); !read) return read.error();
    std::memset(slot.data() + index.expert_bytes(), 0, slot_bytes - index.expert_bytes());
  }
  std::vector<Tensor> of_experts = expert_tensors(index);
  for (size_t i = 0; i < of_experts.size(); ++i) {
    const size_t num_parts = index.layout.parts.size();
    const std::byte* slot = loaded.image.bytes() + i / num_parts * slot_bytes;
    of_experts[i].data = reinterpret_cast<const char*>(slot + index.layout.parts[i % num_parts].offset_bytes);
  }
  loaded.model.tensors.insert(loaded.model.tensors.end(), of_experts.begin(), of_experts.end());
  if (Result<void> good = check_unique(loaded.model.tensors, dir); !good) return good.error();
  std::sort(loaded.model.tensors.begin(), loaded.model.tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  loaded.layout = index.layout;
  return loaded;
}

Result<Loaded> load_checkpoint(const std::string& dir, const CheckShape& check, const Allocator& allocator) {
  Result<Checkpoint> checkpoint = open_checkpoint(dir);
  if (!checkpoint) return checkpoint.error();
  const Experts& experts = checkpoint->experts;
  if (Result<void> fits = check(experts.num_layers, experts.num_experts, experts.layout.weight_bytes); !fits) {
    return fits.error();
  }
  Loaded loaded;
  loaded.image = assemble(experts, allocator);
  loaded.layout = std::move(checkpoint->experts.layout);
  loaded.model = std::move(checkpoint->model);
  for (const MappedFile& file : loaded.model.files) file.drop_pages();
  return loaded;
}

}  // namespace moe::store
