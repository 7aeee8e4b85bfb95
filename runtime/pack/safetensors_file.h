// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/pack/files.h"
#include "runtime/store/safetensors.h"

namespace moe::pack {

/// Where the bytes of a tensor are: valid until the next call.
using Fetch = std::function<Result<const char*>(const store::Tensor& tensor)>;

/// Writes tensors as a safetensors file, in the order given, and syncs it. What it holds.
Result<store::FileMark> write_safetensors(const std::string& dir, const std::string& name,
                                          std::span<const store::Tensor> tensors, const Fetch& fetch,
                                          const Count& count);

}  // namespace moe::pack
