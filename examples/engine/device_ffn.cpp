// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/device_ffn.h"

#include <fmt/core.h>

#include "examples/engine/error.h"
#include "examples/engine/runtime.h"

namespace engine {
namespace {

moe_cuda_ffn_config make_config(const ExpertLayout& layout, uint32_t max_tokens, uint32_t top_k) {
  if (layout.gate.dtype != layout.up.dtype || layout.gate.dtype != layout.down.dtype) {
    throw data_error("--backend cuda: the matrices of an expert are of different dtypes");
  }
  auto config = sized<moe_cuda_ffn_config>();
  config.dtype = layout.gate.dtype;
  config.hidden = static_cast<uint32_t>(layout.gate.cols);
  config.width = static_cast<uint32_t>(layout.gate.rows);
  config.gate_offset = layout.gate.offset;
  config.up_offset = layout.up.offset;
  config.down_offset = layout.down.offset;
  config.max_tokens = max_tokens;
  config.max_rows = max_tokens * top_k;
  return config;
}

}  // namespace

DeviceFfn::DeviceFfn(moe_runtime* runtime, const ExpertLayout& layout, uint32_t max_tokens, uint32_t top_k)
    : top_k_(top_k) {
  const moe_cuda_ffn_config config = make_config(layout, max_tokens, top_k);
  const void* functions = nullptr;
  void* device = nullptr;
  engine::check(moe_backend_functions(runtime, MOE_CUDA_FUNCTIONS, &functions, &device), "--backend cuda");
  cuda_ = static_cast<const moe_cuda_functions*>(functions);
  device_ = static_cast<moe_cuda_device*>(device);
  check(cuda_->stream_create(device_, &stream_), "stream");
  if (const moe_status status = cuda_->ffn_create(device_, &config, &ffn_)) {
    const std::string text = cuda_->last_error();
    cuda_->stream_destroy(device_, stream_);
    throw machine_error("experts on the device: " + (text.empty() ? moe_status_text(status) : text));
  }
}

DeviceFfn::~DeviceFfn() {
  cuda_->stream_synchronize(device_, stream_);
  cuda_->ffn_destroy(ffn_);
  cuda_->stream_destroy(device_, stream_);
}

void DeviceFfn::check(moe_status status, const char* what) const {
  if (status != MOE_OK) throw machine_error(fmt::format("{}: {}", what, cuda_->last_error()));
}

void DeviceFfn::begin(const Matrix& x) {
  num_rows_ = x.rows * top_k_;
  num_cols_ = x.cols;
  check(
      cuda_->ffn_begin(ffn_, x.values.data(), static_cast<uint32_t>(x.rows), static_cast<uint32_t>(num_rows_), stream_),
      "layer");
}

void DeviceFfn::expert(const moe_plan_entry& entry, const uint32_t* selections) {
  tokens_.assign(selections, selections + entry.num_selections);
  for (uint32_t& token : tokens_) token /= top_k_;
  check(cuda_->ffn_expert(ffn_, entry.data, tokens_.data(), selections, entry.num_selections, stream_), "expert");
}

Matrix DeviceFfn::end() {
  Matrix result(num_rows_, num_cols_);
  check(cuda_->ffn_end(ffn_, result.values.data(), stream_), "layer");
  return result;
}

}  // namespace engine
