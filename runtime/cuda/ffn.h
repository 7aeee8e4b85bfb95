// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "moe/cuda.h"
#include "runtime/cuda/memory.h"

namespace moe::cuda {

/// The feed-forward network of moe/cuda.h: tokens of an expert are gathered and rounded in one kernel, silu(gate) * up
/// in another, and the rows of the result are put in their places in a third; matrix products are the Blas' own.
///
/// Threads  one at a time.
/// Memory   about (5 hidden + 3 width) * max_tokens numbers of 4 bytes, and the result, on the device.
class Ffn {
 public:
  /// `config` is whole: of this version's size. Errors: invalid, no_memory, unsupported, device.
  static Result<std::unique_ptr<Ffn>> create(Driver& driver, int device, const moe_cuda_ffn_config& config);
  ~Ffn();

  /// Errors: invalid (more than the config says), device.
  Result<void> begin(const float* x, uint32_t num_tokens, uint32_t num_rows, Stream stream);
  Result<void> expert(const void* weights, const uint32_t* tokens, const uint32_t* rows, uint32_t count, Stream stream);
  Result<void> end(float* out, Stream stream);

 private:
  using Words = Memory<uint32_t>;
  using Floats = Memory<float>;

  Ffn(Driver& driver, int device, const moe_cuda_ffn_config& config)
      : driver_(driver), device_(device), config_(config) {}
  Result<void> allocate();
  Result<void> check_lists(const uint32_t* tokens, const uint32_t* rows, uint32_t count) const;
  Result<void> upload_lists(const uint32_t* tokens, const uint32_t* rows, uint32_t count, Stream stream);
  Result<void> compute(const std::byte* weights, const uint32_t* lists, uint32_t count, Stream stream);
  moe_dtype dtype() const { return static_cast<moe_dtype>(config_.dtype); }

  Driver& driver_;
  const int device_;
  const moe_cuda_ffn_config config_;
  std::unique_ptr<Blas> blas_;
  uint32_t num_tokens_ = 0;
  uint32_t num_rows_ = 0;    ///< of the result of this layer
  uint32_t num_listed_ = 0;  ///< rows that experts of this layer have got
  Words host_lists_;         ///< [2 * max_rows]; each expert's tokens, then its rows
  Words lists_;              ///< the same, on the device
  Floats x_;                 ///< [max_tokens][hidden]
  Memory<std::byte> in_;     ///< [max_tokens][hidden] of dtype: an expert's tokens
  Floats gate_, up_;         ///< [max_tokens][width]
  Memory<std::byte> act_;    ///< [max_tokens][width] of dtype
  Floats down_;              ///< [max_tokens][hidden]
  Floats result_;            ///< [max_rows][hidden]
};

}  // namespace moe::cuda
