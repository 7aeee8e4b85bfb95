// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "moe/cuda.h"
#include "runtime/cuda/cuda_backend.h"

namespace moe::cuda {

/// The table of moe/cuda.h. Its moe_cuda_device is a CudaBackend.
const moe_cuda_functions& functions();

}  // namespace moe::cuda
