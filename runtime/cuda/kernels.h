// SPDX-License-Identifier: Apache-2.0
// Launches of the kernels; see Driver for what they compute. Inside of cudart.cpp.
#pragma once
#include "runtime/cuda/driver.h"

namespace moe::cuda {

Code launch_write_address(uint64_t* to, uint64_t address, Stream stream);
Code launch_dequantize(const precision::CodedRows& rows, moe_dtype dtype, void* out, Stream stream);
Code launch_gather(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, moe_dtype dtype, void* out,
                   Stream stream);
Code launch_silu_product(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out, Stream stream);
Code launch_scatter(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, float* y, Stream stream);

}  // namespace moe::cuda
