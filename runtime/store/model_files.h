// SPDX-License-Identifier: Apache-2.0
// A Hugging Face model folder: model.safetensors, or the shards that model.safetensors.index.json names.
#pragma once
#include <string>
#include <vector>

#include "runtime/store/mapped_file.h"
#include "runtime/store/safetensors.h"

namespace moe::store {

struct ModelFiles {
  std::vector<MappedFile> files;
  /// Of `files`, in their order; behind them the index or manifest that names them, when the folder has one.
  std::vector<std::string> names;
  std::vector<Tensor> tensors;  ///< ascending by name; their data lies in `files`
};

/// Whether the folder has model.safetensors or its index.
bool is_model_folder(const std::string& dir);

/// Maps one safetensors file of the folder, adds it to `into` and returns its tensors. Errors: io, format.
Result<std::vector<Tensor>> add_model_file(const std::string& dir, const std::string& name, ModelFiles& into);

/// Maps the folder's files. Tensors that a shard has and the index does not name are left out.
/// Errors: io; format, also for an index that leads out of the folder or names a tensor that its shard lacks.
Result<ModelFiles> open_model_files(const std::string& dir);

}  // namespace moe::store
