// SPDX-License-Identifier: Apache-2.0
// Checkpoints that keep a part of all experts of a layer in one tensor, as transformers 5 does in memory.
#pragma once
#include <string>
#include <vector>

#include "runtime/store/safetensors.h"

namespace moe::store {

/// Cuts every tensor `...layers.L. ... .experts.PART` of shape [experts, rows, cols], where PART is one word and no
/// number, along its first dimension: into tensors `....experts.E.PART` of shape [rows, cols], which point into it.
/// Errors: format: no expert, too many, or bytes that are no multiple of them.
Result<std::vector<Tensor>> cut_fused(const std::vector<Tensor>& tensors, const std::string& model);

}  // namespace moe::store
