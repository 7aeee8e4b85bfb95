// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "moe/moe.h"
#include "runtime/core/runtime.h"

namespace moe::abi {

/// What makes the backend that `config` asks for; opens its library. What is wrong with the rest of `config`, or with
/// its size, is left to core::create_runtime. Errors: unsupported, device.
Result<core::BackendFactory> choose_backend(const moe_runtime_config* config);

}  // namespace moe::abi
