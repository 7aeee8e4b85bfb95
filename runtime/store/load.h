// SPDX-License-Identifier: Apache-2.0
// Loads every expert of a checkpoint into one block of memory, and maps the rest.
#pragma once
#include <functional>
#include <string>

#include "runtime/base/memory.h"
#include "runtime/store/layout.h"
#include "runtime/store/model_files.h"

namespace moe::store {

struct Loaded {
  ExpertLayout layout;
  ModelFiles model;  ///< its tensors have every tensor of the folder
  Block image;       ///< the experts: [num_layers * num_experts] times layout.slot_bytes
};

/// Called with MoE layers, experts in each, and an expert's bytes, before anything is allocated; an error ends the
/// load.
using CheckShape = std::function<Result<void>(uint32_t num_layers, uint32_t num_experts, uint64_t weight_bytes)>;

/// Room for that many slots, without contents. Throws std::bad_alloc.
Block make_image(uint64_t num_keys, uint64_t slot_bytes, const Allocator& allocator);

/// From a checkpoint (checkpoint.h): each part is copied to its place.
Result<Loaded> load_checkpoint(const std::string& dir, const CheckShape& check, const Allocator& allocator);

}  // namespace moe::store
