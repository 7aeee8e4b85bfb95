// SPDX-License-Identifier: Apache-2.0
// The kernels of FakeDriver: kernels.cu's threads one after the other, by the same functions for one number.
#include <algorithm>
#include <cmath>

#include "runtime/cuda/arithmetic.h"
#include "tests/runtime/cuda/fake_driver.h"

namespace moe::test {

using cuda::Code;
using cuda::Stream;
using precision::CodedRows;

namespace {

/// All threads of a block take each step before the next one begins, as __syncthreads has it.
void decode_rotated(const CodedRows& rows, moe_dtype dtype, void* out) {
  const uint32_t block = precision::hadamard_block(rows.cols);
  std::vector<float> values(block);
  std::vector<float> next(block);
  for (uint64_t r = 0; r < rows.rows; ++r) {
    for (uint64_t begin = 0; begin < rows.cols; begin += block) {
      for (uint32_t i = 0; i < block; ++i) values[i] = precision::decode_rotated_one(rows, r, begin + i);
      for (uint32_t stride = 1; stride < block; stride *= 2) {
        for (uint32_t i = 0; i < block; ++i) next[i] = precision::butterfly(values.data(), i, stride);
        values.swap(next);
      }
      for (uint32_t i = 0; i < block; ++i) {
        const float back = precision::rotated_back(values[i], i, block);
        precision::store(dtype, out, r * rows.cols + begin + i, precision::round_to(rows.dtype, back));
      }
    }
  }
}

void decode(const CodedRows& rows, moe_dtype dtype, void* out) {
  for (uint64_t r = 0; r < rows.rows; ++r) {
    for (uint64_t c = 0; c < rows.cols; ++c) {
      precision::store(dtype, out, r * rows.cols + c, precision::decode_one(rows, r, c));
    }
  }
}

/// Sums in binary64, as the tests' own reference does not.
class FakeBlas final : public cuda::Blas {
 public:
  explicit FakeBlas(FakeDriver& driver) : driver_(driver) {}
  Result<void> multiply(const cuda::Product& p, Stream stream) override {
    const Code code = driver_.launch(stream, [p] {
      for (uint64_t i = 0; i < p.n; ++i) {
        for (uint64_t o = 0; o < p.outputs; ++o) {
          double sum = 0;
          for (uint64_t j = 0; j < p.inputs; ++j) {
            sum += static_cast<double>(precision::load(p.dtype, p.w, o * p.inputs + j)) *
                   static_cast<double>(precision::load(p.dtype, p.x, i * p.inputs + j));
          }
          p.y[i * p.outputs + o] = static_cast<float>(sum);
        }
      }
    });
    return cuda::check(driver_, code, "multiply matrices");
  }

 private:
  FakeDriver& driver_;
};

}  // namespace

Code FakeDriver::dequantize(const CodedRows& rows, moe_dtype dtype, void* out, Stream stream) {
  return launch(stream, [=] {
    rows.format == precision::Format::hadamard4 ? decode_rotated(rows, dtype, out) : decode(rows, dtype, out);
  });
}

Code FakeDriver::gather(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, moe_dtype dtype, void* out,
                        Stream stream) {
  return launch(stream, [=] {
    for (uint64_t i = 0; i < uint64_t{count} * cols; ++i) {
      precision::store(dtype, out, i, x[uint64_t{rows[i / cols]} * cols + i % cols]);
    }
  });
}

Code FakeDriver::silu_product(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out,
                              Stream stream) {
  return launch(stream, [=] {
    for (uint64_t i = 0; i < count; ++i) precision::store(dtype, out, i, cuda::silu_product(gate[i], up[i]));
  });
}

Code FakeDriver::scatter(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, float* y, Stream stream) {
  return launch(stream, [=] {
    for (uint64_t i = 0; i < uint64_t{count} * cols; ++i) y[uint64_t{rows[i / cols]} * cols + i % cols] = x[i];
  });
}

Result<std::unique_ptr<cuda::Blas>> FakeDriver::open_blas() {
  if (!options_.blas) return Error{Error::Kind::unsupported, "CUDA: cuBLASLt cannot be loaded: not on this machine"};
  return std::unique_ptr<cuda::Blas>(std::make_unique<FakeBlas>(*this));
}

}  // namespace moe::test
