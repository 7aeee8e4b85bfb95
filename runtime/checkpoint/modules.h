// SPDX-License-Identifier: Apache-2.0
// Which tensors of a model are weights that can be quantized, by name and shape.
#pragma once
#include <string>
#include <vector>

#include "runtime/store/safetensors.h"

namespace moe::checkpoint {

/// The module's name: the tensor's without `.weight`. Requires that ending.
std::string module_of(const store::Tensor& tensor);

/// What quantize_model.h says. `excluded` are patterns as fnmatch(3) takes them, of module names.
bool is_quantizable(const store::Tensor& tensor, bool experts_only, const std::vector<std::string>& excluded);

}  // namespace moe::checkpoint
