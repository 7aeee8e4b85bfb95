// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/cuda/driver.h"

namespace moe::cuda {

/// The CUDA runtime. It has no state of its own and lives until the process ends. Any thread.
Driver& cuda_runtime();

/// Loads cuBLASLt and makes what products of the current device need. Errors: unsupported, no_memory, device.
Result<std::unique_ptr<Blas>> open_cublas(Driver& driver);

}  // namespace moe::cuda
