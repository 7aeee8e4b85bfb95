// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/ffn.h"

#include <algorithm>
#include <cstring>

namespace moe::cuda {
namespace {

Error invalid(std::string why) { return {Error::Kind::invalid, std::move(why)}; }

Result<void> check_config(const moe_cuda_ffn_config& config) {
  if (config.dtype != MOE_F32 && config.dtype != MOE_F16 && config.dtype != MOE_BF16) {
    return invalid("`dtype` is not MOE_F32, MOE_F16 or MOE_BF16");
  }
  if (config.hidden == 0 || config.width == 0) return invalid("`hidden` and `width` are at least 1");
  if (config.max_tokens == 0 || config.max_rows == 0) return invalid("`max_tokens` and `max_rows` are at least 1");
  if ((config.gate_offset | config.up_offset | config.down_offset) % 16 != 0) {
    return invalid("offsets of an expert's matrices are multiples of 16");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Ffn>> Ffn::create(Driver& driver, int device, const moe_cuda_ffn_config& config) {
  if (Result<void> good = check_config(config); !good) return good.error();
  const DeviceScope scope(driver, device);
  if (!scope.entered()) return scope.entered().error();
  std::unique_ptr<Ffn> ffn(new Ffn(driver, device, config));
  Result<std::unique_ptr<Blas>> blas = driver.open_blas();
  if (!blas) return blas.error();
  ffn->blas_ = std::move(blas).value();
  if (Result<void> ready = ffn->allocate(); !ready) return ready.error();
  return ffn;
}

Ffn::~Ffn() {
  const DeviceScope scope(driver_, device_);
  blas_.reset();
}

Result<void> Ffn::allocate() {
  const size_t hidden = size_t{config_.max_tokens} * config_.hidden;
  const size_t width = size_t{config_.max_tokens} * config_.width;
  Result<void> good;
  const auto make = [&]<class T>(Memory<T>& memory, size_t count, typename Memory<T>::Where where) {
    if (!good) return;
    Result<Memory<T>> made = Memory<T>::allocate(driver_, count, where);
    if (made) {
      memory = std::move(made).value();
    } else {
      good = made.error();
    }
  };
  make(host_lists_, 2 * size_t{config_.max_rows}, Words::Where::host);
  make(lists_, 2 * size_t{config_.max_rows}, Words::Where::device);
  make(x_, hidden, Floats::Where::device);
  make(in_, hidden * precision::size_of(dtype()), Memory<std::byte>::Where::device);
  make(gate_, width, Floats::Where::device);
  make(up_, width, Floats::Where::device);
  make(act_, width * precision::size_of(dtype()), Memory<std::byte>::Where::device);
  make(down_, hidden, Floats::Where::device);
  make(result_, size_t{config_.max_rows} * config_.hidden, Floats::Where::device);
  return good;
}

Result<void> Ffn::begin(const float* x, uint32_t num_tokens, uint32_t num_rows, Stream stream) {
  if (num_tokens > config_.max_tokens || num_rows > config_.max_rows) {
    return invalid("more tokens or rows than the network was made for");
  }
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  num_tokens_ = num_tokens;
  num_rows_ = num_rows;
  num_listed_ = 0;
  const size_t row_bytes = config_.hidden * sizeof(float);
  // The lists of an earlier layer that never came to its end may still be read.
  Code code = driver_.wait_for_stream(stream);
  if (code == kSuccess) code = driver_.copy({x_.data(), x, num_tokens * row_bytes}, stream);
  if (code == kSuccess) code = driver_.fill(result_.data(), 0, num_rows * row_bytes, stream);
  return check(driver_, code, "begin a layer");
}

Result<void> Ffn::check_lists(const uint32_t* tokens, const uint32_t* rows, uint32_t count) const {
  if (count == 0 || count > num_tokens_) return invalid("an expert has at least one token and at most all");
  if (count > config_.max_rows - num_listed_) return invalid("more rows than the network was made for");
  const bool good = std::all_of(tokens, tokens + count, [&](uint32_t t) { return t < num_tokens_; }) &&
                    std::all_of(rows, rows + count, [&](uint32_t r) { return r < num_rows_; });
  if (!good) return invalid("a token or row that is not there");
  return {};
}

Result<void> Ffn::expert(const void* weights, const uint32_t* tokens, const uint32_t* rows, uint32_t count,
                         Stream stream) {
  if (Result<void> good = check_lists(tokens, rows, count); !good) return good;
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  const uint32_t* const lists = lists_.data() + 2 * size_t{num_listed_};
  if (Result<void> there = upload_lists(tokens, rows, count, stream); !there) return there;
  return compute(static_cast<const std::byte*>(weights), lists, count, stream);
}

Result<void> Ffn::upload_lists(const uint32_t* tokens, const uint32_t* rows, uint32_t count, Stream stream) {
  const size_t at = 2 * size_t{num_listed_};
  uint32_t* const host = host_lists_.data() + at;
  std::copy_n(tokens, count, host);
  std::copy_n(rows, count, host + count);
  num_listed_ += count;
  const Move move{lists_.data() + at, host, 2 * size_t{count} * sizeof(uint32_t)};
  return check(driver_, driver_.copy(move, stream), "copy an expert's tokens");
}

Result<void> Ffn::compute(const std::byte* weights, const uint32_t* lists, uint32_t count, Stream stream) {
  const uint32_t hidden = config_.hidden;
  const uint32_t width = config_.width;
  const auto product = [&](uint64_t offset, uint32_t outputs, uint32_t inputs, const void* x, float* y) {
    return blas_->multiply({dtype(), count, outputs, inputs, weights + offset, x, y}, stream);
  };
  Code code = driver_.gather(x_.data(), lists, count, hidden, dtype(), in_.data(), stream);
  if (code != kSuccess) return error_of(driver_, code, "gather an expert's tokens");
  if (Result<void> queued = product(config_.gate_offset, width, hidden, in_.data(), gate_.data()); !queued) {
    return queued;
  }
  if (Result<void> queued = product(config_.up_offset, width, hidden, in_.data(), up_.data()); !queued) return queued;
  code = driver_.silu_product(gate_.data(), up_.data(), uint64_t{count} * width, dtype(), act_.data(), stream);
  if (code != kSuccess) return error_of(driver_, code, "activate an expert");
  if (Result<void> queued = product(config_.down_offset, hidden, width, act_.data(), down_.data()); !queued) {
    return queued;
  }
  code = driver_.scatter(down_.data(), lists + count, count, hidden, result_.data(), stream);
  return check(driver_, code, "place an expert's rows");
}

Result<void> Ffn::end(float* out, Stream stream) {
  const DeviceScope scope(driver_, device_);
  if (!scope.entered()) return scope.entered();
  const size_t size_bytes = size_t{num_rows_} * config_.hidden * sizeof(float);
  Code code = driver_.copy({out, result_.data(), size_bytes}, stream);
  if (code == kSuccess) code = driver_.wait_for_stream(stream);
  return check(driver_, code, "compute a layer");
}

}  // namespace moe::cuda
