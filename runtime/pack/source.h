// SPDX-License-Identifier: Apache-2.0
// What is packed: a checkpoint, how its experts' tensors are named, and the small files beside it.
#pragma once
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/store/checkpoint.h"
#include "runtime/store/store_index.h"

namespace moe::pack {

struct Source {
  std::string dir;
  store::Checkpoint checkpoint;
  std::vector<store::ExpertNaming> naming;  ///< [num_layers]
  std::vector<store::Tensor> others;        ///< tensors of no expert, ascending by name
  std::vector<std::string> side_files;      ///< ascending; see is_side_file()

  const store::Experts& experts() const { return checkpoint.experts; }
  size_t num_keys() const { return size_t{experts().num_layers} * experts().num_experts; }
  uint64_t expert_bytes() const {
    return experts().layout.parts.back().offset_bytes + experts().layout.parts.back().size_bytes;
  }
};

/// Opens a Hugging Face model folder or a Chronos cache.
/// Errors: io, format; unsupported: tensors of experts that are not named alike within a layer.
Result<Source> open_source(const std::string& dir);

/// Whether a file of a model folder is copied: configuration, tokenizer, licence. Known by its name's ending (.json,
/// .txt, .model, .jinja, .tiktoken, .md) or begin (LICENSE, NOTICE); never an index of shards, nor what the store
/// itself has.
bool is_side_file(const std::string& name);

}  // namespace moe::pack
