// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/cuda.h>

#include <memory>

#include "examples/engine/matrix.h"
#include "examples/engine/weights.h"

namespace engine {

/// The experts' arithmetic on a CUDA device, from the fast tier where they lie: a stream of its own, and the network of
/// moe/cuda.h on it. Activations are rounded to the weights' dtype, as transformers does for such checkpoints.
class DeviceFfn {
 public:
  /// `runtime` has a policy; it is borrowed. Errors: data (an expert of two dtypes), machine (no cuBLASLt, no memory).
  DeviceFfn(moe_runtime* runtime, const ExpertLayout& layout, uint32_t max_tokens, uint32_t top_k);
  ~DeviceFfn();
  DeviceFfn(const DeviceFfn&) = delete;
  DeviceFfn& operator=(const DeviceFfn&) = delete;

  /// What moe_plan_wait, done and release take.
  void* stream() const { return stream_; }

  /// One layer: begin, expert for each expert on the device, end. Row token * top_k + k is what a selection is about.
  void begin(const Matrix& x);
  void expert(const moe_plan_entry& entry, const uint32_t* selections);
  /// [n * top_k, hidden]; rows of no expert are 0.
  Matrix end();

 private:
  void check(moe_status status, const char* what) const;

  const moe_cuda_functions* cuda_ = nullptr;
  moe_cuda_device* device_ = nullptr;
  void* stream_ = nullptr;
  moe_cuda_ffn* ffn_ = nullptr;
  uint32_t top_k_;
  size_t num_rows_ = 0, num_cols_ = 0;  // of the layer's result
  std::vector<uint32_t> tokens_;        // of the expert in use
};

}  // namespace engine
