// SPDX-License-Identifier: Apache-2.0
// Where experts come from: every expert's bytes in host memory, laid out as they lie in a slot.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/moe.h"
#include "runtime/base/memory.h"
#include "runtime/store/layout.h"
#include "runtime/store/model_files.h"

namespace moe::store {

/// Filled by open() or by add(), then read-only.
///
/// Memory   open() copies the experts out of the files into one allocation, num_keys x slot_bytes: checkpoints
///          keep an expert's parts apart and unaligned, a transfer wants one source, and a device wants it pinned. The
///          files' pages are given back afterwards; other tensors stay mapped. add() copies nothing.
/// Threads  the caller serialises open and add; reading needs none.
class ExpertStore {
 public:
  ExpertStore(const moe_model_shape& shape, const Allocator& allocator) : shape_(shape), allocator_(allocator) {}

  /// A store that `moec pack` wrote (store_index.h), a Hugging Face model folder, or a Chronos cache (chronos.h).
  /// Errors: io, format, unsupported, invalid (another shape, not empty). On an error the store is unchanged.
  Result<void> open(const std::string& dir);
  /// Errors: invalid.
  Result<void> add(uint32_t layer, uint32_t expert, const void* bytes, uint64_t size_bytes);

  /// Why the store cannot serve yet, or nothing.
  std::optional<std::string> missing() const;

  const ExpertLayout& layout() const { return layout_; }
  /// Bytes of an expert to copy: the layout without the padding at its end.
  uint64_t expert_bytes() const { return expert_bytes_; }
  /// Requires !missing().
  const void* expert(uint32_t key) const { return sources_[key]; }

  bool opened() const { return opened_; }
  /// nullptr: no such tensor.
  const Tensor* find(std::string_view name) const;

 private:
  Result<void> check_shape(uint32_t num_layers, uint32_t num_experts, uint64_t weight_bytes,
                           const std::string& dir) const;

  moe_model_shape shape_;
  Allocator allocator_;
  ExpertLayout layout_;
  uint64_t expert_bytes_ = 0;
  ModelFiles model_;
  Block image_;                       ///< the experts that open() assembled
  std::vector<const void*> sources_;  ///< [num_keys]; null: not added yet. Empty: nothing there
  uint32_t num_added_ = 0;
  bool opened_ = false;
};

}  // namespace moe::store
