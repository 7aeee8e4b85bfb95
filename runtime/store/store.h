// SPDX-License-Identifier: Apache-2.0
// Where experts come from: each one's bytes, laid out as they lie in a slot, in host memory or in the files of a store.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/moe.h"
#include "runtime/base/memory.h"
#include "runtime/store/extent_store.h"
#include "runtime/store/layout.h"
#include "runtime/store/model_files.h"

namespace moe::store {

/// Filled by open() or by add(), then by load() where experts are to be in memory; then read-only.
///
/// Memory   A checkpoint keeps an expert's parts apart and unaligned, a transfer wants one source, and a device wants
/// it
///          pinned: open() copies its experts into one allocation, num_keys x slot_bytes, and gives the files' pages
///          back. Of a store that `moec pack` wrote, open() reads no expert: load() reads them all, and who streams
///          them from disk does not call it. Other tensors stay mapped. add() copies nothing.
/// Threads  the caller serialises open, add, load and find; reading needs none.
class ExpertStore {
 public:
  ExpertStore(const moe_model_shape& shape, const Allocator& allocator) : shape_(shape), allocator_(allocator) {}

  /// A store that `moec pack` wrote (store_index.h), a Hugging Face model folder, or a Chronos cache (chronos.h).
  /// Errors: io, format, unsupported, invalid (another shape, not empty). On an error the store is unchanged.
  Result<void> open(const std::string& dir);
  /// Errors: invalid.
  Result<void> add(uint32_t layer, uint32_t expert, const void* bytes, uint64_t size_bytes);
  /// Reads every expert into memory and compares it with its checksum, unless they are there. Errors: io, format.
  Result<void> load();
  /// The same for the copies of a packed store in another precision, the store's number of it, not 0.
  Result<void> load_copies(uint32_t precision);

  /// Why the store cannot serve yet, or nothing.
  std::optional<std::string> missing() const;

  const ExpertLayout& layout() const { return layout_; }
  /// Bytes of an expert to copy: the layout without the padding at its end.
  uint64_t expert_bytes() const { return expert_bytes_; }
  /// Whether expert() may be asked.
  bool in_memory() const { return packed_ == nullptr || packed_->image.data() != nullptr; }
  /// Requires !missing() and in_memory().
  const void* expert(uint32_t key) const { return sources_[key]; }
  /// Requires load_copies(precision).
  const void* copy(uint32_t key, uint32_t precision) const {
    const Copies& copies = packed_->copies[precision];
    return copies.image.bytes() + key * copies.stride_bytes;
  }

  /// The files to stream from; null: the store was not packed.
  const ExtentStore* extents() const { return packed_ ? &packed_->store : nullptr; }
  /// Where an expert of a packed store is mapped; reading it reads the file, unless the page cache has it.
  const void* mapped(uint32_t key) const { return packed_->mapped[key]; }
  /// Compares it with its checksum, the first time. Any thread. Errors: format.
  Result<void> verify_mapped(uint32_t key) const;

  bool opened() const { return opened_; }
  /// nullptr: no such tensor. Of a packed store's expert: verify with key_of() before use.
  const Tensor* find(std::string_view name) const;
  /// Whose the tensor is; nullopt: no expert's of a packed store.
  std::optional<uint32_t> key_of(const Tensor& tensor) const;

 private:
  struct Copies {
    Block image;  ///< empty before load_copies
    uint64_t stride_bytes = 0;
  };
  struct Packed {
    ExtentStore store;
    std::vector<MappedFile> files;
    std::vector<const std::byte*> mapped;           ///< [num_keys]
    std::vector<uint32_t> by_address;               ///< keys, in the order of `mapped`
    std::unique_ptr<std::atomic<bool>[]> verified;  ///< [num_keys]
    Block image;                                    ///< after load()
    std::vector<Copies> copies;                     ///< [precisions of the store]; the first is never filled
  };
  Result<void> check_shape(uint32_t num_layers, uint32_t num_experts, uint64_t weight_bytes,
                           const std::string& dir) const;
  Result<void> open_packed(const std::string& dir);
  Result<void> open_checkpoint(const std::string& dir);
  size_t num_keys() const { return size_t{shape_.num_layers} * shape_.num_experts; }

  moe_model_shape shape_;
  Allocator allocator_;
  ExpertLayout layout_;
  uint64_t expert_bytes_ = 0;
  ModelFiles model_;
  std::unique_ptr<Packed> packed_;
  Block image_;                       ///< the experts that open() assembled from a checkpoint
  std::vector<const void*> sources_;  ///< [num_keys]; null: not there yet. Empty: nothing there
  uint32_t num_added_ = 0;
  bool opened_ = false;
};

}  // namespace moe::store
