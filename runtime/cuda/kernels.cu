// SPDX-License-Identifier: Apache-2.0
// The kernels, and what launches them. Compiled without contraction of a * b + c: see arithmetic.h.
#include "runtime/cuda/kernels.h"

#include <cuda_runtime.h>

#include "runtime/cuda/arithmetic.h"

namespace moe::cuda {
namespace {

using precision::CodedRows;

constexpr unsigned kThreads = 256;
constexpr uint64_t kMostBlocks = 65535;  // threads go on in steps of the grid

unsigned blocks_for(uint64_t count) {
  const uint64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < kMostBlocks ? (blocks == 0 ? 1 : blocks) : kMostBlocks);
}

__device__ uint64_t first_index() { return uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ uint64_t step() { return uint64_t{gridDim.x} * blockDim.x; }

__global__ void write_address_kernel(uint64_t* to, uint64_t address) { *to = address; }

/// A block of threads to a row, so that no number needs a division to find its row.
__global__ void decode_kernel(CodedRows rows, moe_dtype dtype, void* out) {
  for (uint64_t r = blockIdx.x; r < rows.rows; r += gridDim.x) {
    for (uint64_t c = threadIdx.x; c < rows.cols; c += blockDim.x) {
      precision::store(dtype, out, r * rows.cols + c, precision::decode_one(rows, r, c));
    }
  }
}

/// A thread to a number of a rotated block; blockDim.x is the rotation's length.
__global__ void decode_rotated_kernel(CodedRows rows, moe_dtype dtype, void* out) {
  __shared__ float values[precision::kHadamardBlock];
  const uint32_t block = blockDim.x;
  const uint32_t i = threadIdx.x;
  const uint64_t blocks_per_row = rows.cols / block;
  for (uint64_t b = blockIdx.x; b < rows.rows * blocks_per_row; b += gridDim.x) {
    const uint64_t r = b / blocks_per_row;
    const uint64_t c = b % blocks_per_row * block + i;
    values[i] = precision::decode_rotated_one(rows, r, c);
    __syncthreads();
    for (uint32_t stride = 1; stride < block; stride *= 2) {
      const float value = precision::butterfly(values, i, stride);
      __syncthreads();
      values[i] = value;
      __syncthreads();
    }
    const float back = precision::rotated_back(values[i], i, block);
    precision::store(dtype, out, r * rows.cols + c, precision::round_to(rows.dtype, back));
    __syncthreads();  // the next block's codes go where these values are
  }
}

__global__ void gather_kernel(const float* x, const uint32_t* rows, uint32_t cols, moe_dtype dtype, void* out) {
  const float* const from = x + uint64_t{rows[blockIdx.x]} * cols;
  const uint64_t first = uint64_t{blockIdx.x} * cols;
  for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) precision::store(dtype, out, first + c, from[c]);
}

__global__ void silu_product_kernel(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out) {
  for (uint64_t i = first_index(); i < count; i += step()) {
    precision::store(dtype, out, i, silu_product(gate[i], up[i]));
  }
}

__global__ void scatter_kernel(const float* x, const uint32_t* rows, uint32_t cols, float* y) {
  const float* const from = x + uint64_t{blockIdx.x} * cols;
  float* const to = y + uint64_t{rows[blockIdx.x]} * cols;
  for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) to[c] = from[c];
}

cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

Code launch_write_address(uint64_t* to, uint64_t address, Stream stream) {
  write_address_kernel<<<1, 1, 0, of(stream)>>>(to, address);
  return cudaGetLastError();
}

Code launch_dequantize(const CodedRows& rows, moe_dtype dtype, void* out, Stream stream) {
  if (rows.format == precision::Format::hadamard4) {
    const uint32_t block = precision::hadamard_block(rows.cols);
    const uint64_t blocks = rows.rows * (rows.cols / block);
    const auto grid = static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
    decode_rotated_kernel<<<grid, block, 0, of(stream)>>>(rows, dtype, out);
  } else {
    const auto grid = static_cast<unsigned>(rows.rows < kMostBlocks ? rows.rows : kMostBlocks);
    decode_kernel<<<grid, kThreads, 0, of(stream)>>>(rows, dtype, out);
  }
  return cudaGetLastError();
}

Code launch_gather(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, moe_dtype dtype, void* out,
                   Stream stream) {
  gather_kernel<<<count, kThreads, 0, of(stream)>>>(x, rows, cols, dtype, out);
  return cudaGetLastError();
}

Code launch_silu_product(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out,
                         Stream stream) {
  silu_product_kernel<<<blocks_for(count), kThreads, 0, of(stream)>>>(gate, up, count, dtype, out);
  return cudaGetLastError();
}

Code launch_scatter(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, float* y, Stream stream) {
  scatter_kernel<<<count, kThreads, 0, of(stream)>>>(x, rows, cols, y);
  return cudaGetLastError();
}

}  // namespace moe::cuda
