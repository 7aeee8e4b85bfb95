// SPDX-License-Identifier: Apache-2.0
// ExpertStore over a store that `moec pack` wrote: experts stay in its files until load() or a transfer reads them.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/store/load.h"
#include "runtime/store/store.h"

namespace moe::store {

Result<void> ExpertStore::open_packed(const std::string& dir) {
  Result<ExtentStore> opened = ExtentStore::open(dir);
  if (!opened) return opened.error();
  const StoreIndex& index = opened->index();
  if (Result<void> fits = check_shape(index.num_layers, index.num_experts, index.layout.weight_bytes, dir); !fits) {
    return fits;
  }
  ModelFiles model;
  Result<std::optional<MappedFile>> others = opened->map_tensors();
  if (!others) return others.error();
  if (*others) {
    Result<std::vector<Tensor>> tensors = read_safetensors((*others)->text(), opened->path_of(index.tensors[0].name));
    if (!tensors) return tensors.error();
    model.tensors = std::move(*tensors);
    model.files.push_back(std::move(**others));
    model.names.push_back(index.tensors[0].name);
  }
  std::vector<MappedFile> files;
  for (uint32_t file = 0; file < index.files.size(); ++file) {
    Result<MappedFile> mapped = opened->map_data_file(file);
    if (!mapped) return mapped.error();
    files.push_back(std::move(*mapped));
  }
  std::vector<const std::byte*> mapped(num_keys());
  for (size_t key = 0; key < num_keys(); ++key) {
    const Extent& extent = opened->native(key);
    mapped[key] = reinterpret_cast<const std::byte*>(files[extent.file].data()) + extent.offset_bytes;
  }
  std::vector<Tensor> of_experts = expert_tensors(index);
  const size_t num_parts = index.layout.parts.size();
  for (size_t i = 0; i < of_experts.size(); ++i) {
    const std::byte* part = mapped[i / num_parts] + index.layout.parts[i % num_parts].offset_bytes;
    of_experts[i].data = reinterpret_cast<const char*>(part);
  }
  model.tensors.insert(model.tensors.end(), of_experts.begin(), of_experts.end());
  if (Result<void> good = check_unique(model.tensors, dir); !good) return good;
  std::sort(model.tensors.begin(), model.tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  std::vector<uint32_t> by_address(num_keys());
  std::iota(by_address.begin(), by_address.end(), 0u);
  std::sort(by_address.begin(), by_address.end(), [&](uint32_t a, uint32_t b) { return mapped[a] < mapped[b]; });

  layout_ = index.layout;
  expert_bytes_ = index.expert_bytes();
  model_ = std::move(model);
  auto verified = std::make_unique<std::atomic<bool>[]>(num_keys());
  std::vector<Copies> copies(index.precisions.size());
  packed_ = std::make_unique<Packed>(std::move(*opened), std::move(files), std::move(mapped), std::move(by_address),
                                     std::move(verified), Block(), std::move(copies));
  sources_.assign(num_keys(), nullptr);
  num_added_ = static_cast<uint32_t>(num_keys());
  opened_ = true;
  return {};
}

Result<void> ExpertStore::load() {
  if (in_memory()) return {};
  const uint64_t slot_bytes = layout_.slot_bytes;
  Block image = make_image(num_keys(), slot_bytes, allocator_);
  for (size_t key = 0; key < num_keys(); ++key) {
    const std::span<std::byte> slot(image.bytes() + key * slot_bytes, slot_bytes);
    if (Result<void> read = packed_->store.read(packed_->store.native(key), slot); !read) return read;
    std::memset(slot.data() + expert_bytes_, 0, slot_bytes - expert_bytes_);
    sources_[key] = slot.data();
  }
  packed_->image = std::move(image);
  return {};
}

Result<void> ExpertStore::load_copies(uint32_t precision) {
  Copies& copies = packed_->copies[precision];
  if (copies.image.data() != nullptr) return {};
  const StoreIndex& index = packed_->store.index();
  const auto extent = [&](size_t key) -> const Extent& { return index.extents[precision * num_keys() + key]; };
  uint64_t stride = 0;
  for (size_t key = 0; key < num_keys(); ++key) stride = std::max(stride, extent(key).size_bytes);
  stride = (stride + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
  Block image = make_image(num_keys(), stride, allocator_);
  for (size_t key = 0; key < num_keys(); ++key) {
    const std::span<std::byte> place(image.bytes() + key * stride, stride);
    if (Result<void> read = packed_->store.read(extent(key), place); !read) return read;
  }
  copies.stride_bytes = stride;
  copies.image = std::move(image);
  return {};
}

Result<void> ExpertStore::verify_mapped(uint32_t key) const {
  std::atomic<bool>& verified = packed_->verified[key];
  if (verified.load(std::memory_order_relaxed)) return {};
  const Extent& extent = packed_->store.native(key);
  if (Result<void> same = packed_->store.compare(extent, packed_->mapped[key]); !same) return same;
  verified.store(true, std::memory_order_relaxed);
  return {};
}

std::optional<uint32_t> ExpertStore::key_of(const Tensor& tensor) const {
  if (!packed_) return std::nullopt;
  const auto* data = reinterpret_cast<const std::byte*>(tensor.data);
  const std::vector<uint32_t>& keys = packed_->by_address;
  const auto behind = std::upper_bound(keys.begin(), keys.end(), data, [&](const std::byte* wanted, uint32_t key) {
    return std::less<>()(wanted, packed_->mapped[key]);
  });
  if (behind == keys.begin()) return std::nullopt;
  const uint32_t key = *(behind - 1);
  if (!std::less<>()(data, packed_->mapped[key] + expert_bytes_)) return std::nullopt;
  return key;
}

}  // namespace moe::store
