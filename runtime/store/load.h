// SPDX-License-Identifier: Apache-2.0
// Loads every expert of a folder into one block of memory, and maps the rest.
#pragma once
#include <functional>
#include <string>

#include "runtime/base/memory.h"
#include "runtime/store/layout.h"
#include "runtime/store/model_files.h"

namespace moe::store {

struct Loaded {
  ExpertLayout layout;
  ModelFiles model;  ///< its tensors have every tensor of the folder; the experts' of a packed store point into `image`
  Block image;       ///< the experts: [num_layers * num_experts] times layout.slot_bytes
};

/// Called with MoE layers, experts in each, and an expert's bytes, before anything is allocated; an error ends the
/// load.
using CheckShape = std::function<Result<void>(uint32_t num_layers, uint32_t num_experts, uint64_t weight_bytes)>;

/// From a store that `moec pack` wrote: each extent is read to its place and its checksum compared.
Result<Loaded> load_packed(const std::string& dir, const CheckShape& check, const Allocator& allocator);

/// From a checkpoint (checkpoint.h): each part is copied to its place.
Result<Loaded> load_checkpoint(const std::string& dir, const CheckShape& check, const Allocator& allocator);

}  // namespace moe::store
