// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/cuda/kernel_checks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "runtime/cuda/functions.h"
#include "runtime/precision/stream.h"

namespace moe::test {
namespace {

using namespace precision;

constexpr moe_dtype kDtypes[] = {MOE_F32, MOE_F16, MOE_BF16};
constexpr Format kFormats[] = {Format::native,    Format::qint8,   Format::qint4,       Format::qint2,
                               Format::f8_e4m3fn, Format::f8_e5m2, Format::f8_e4m3fnuz, Format::hadamard4};

/// Device memory with some bytes in it, and what it takes to get others out.
class DeviceBytes {
 public:
  DeviceBytes(cuda::Driver& driver, void* stream, const std::vector<uint8_t>& bytes)
      : driver_(driver), stream_(stream), size_(bytes.size()) {
    REQUIRE(driver.allocate(&data_, size_) == 0);
    REQUIRE(driver.copy({data_, bytes.data(), size_}, stream) == 0);
    REQUIRE(driver.wait_for_stream(stream) == 0);
  }
  ~DeviceBytes() { CHECK(driver_.release(data_) == 0); }
  DeviceBytes(const DeviceBytes&) = delete;

  uint8_t* data() const { return static_cast<uint8_t*>(data_); }
  std::vector<uint8_t> read() const {
    std::vector<uint8_t> bytes(size_);
    REQUIRE(driver_.copy({bytes.data(), data_, size_}, stream_) == 0);
    REQUIRE(driver_.wait_for_stream(stream_) == 0);
    return bytes;
  }

 private:
  cuda::Driver& driver_;
  void* stream_;
  void* data_ = nullptr;
  size_t size_;
};

moe_cuda_device* device_of(Subject& subject) {
  const auto found = subject.backend->functions(MOE_CUDA_FUNCTIONS);
  REQUIRE(found.table == &cuda::functions());
  return static_cast<moe_cuda_device*>(found.device);
}

/// A normal distribution; rows of zeros, of tiny numbers and with outliers.
std::vector<uint8_t> weights(std::mt19937& random, const PartShape& shape) {
  std::normal_distribution<float> normal;
  std::vector<uint8_t> bytes(shape.rows * shape.cols * size_of(shape.dtype));
  for (uint64_t r = 0; r < shape.rows; ++r) {
    for (uint64_t c = 0; c < shape.cols; ++c) {
      float value = normal(random);
      if (r % 7 == 1) value = 0;
      if (r % 7 == 2) value *= 1e-7F;
      if (r % 7 == 3 && random() % 50 == 0) value *= 40;
      if (r % 7 == 4 && shape.dtype != MOE_F16) value *= 1e-39F;
      store(shape.dtype, bytes.data(), r * shape.cols + c, value);
    }
  }
  return bytes;
}

/// Equal bits, or NaNs both: which one, only the CPU promises.
bool same(moe_dtype dtype, const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  const size_t size = size_of(dtype);
  for (size_t i = 0; i < a.size() / size; ++i) {
    if (std::memcmp(a.data() + i * size, b.data() + i * size, size) == 0) continue;
    if (!std::isnan(load(dtype, a.data(), i)) || !std::isnan(load(dtype, b.data(), i))) return false;
  }
  return a.size() == b.size();
}

struct Case {
  Format format;
  moe_dtype dtype;
  uint64_t cols;
  bool any_bytes;  ///< codes and scales that no encoder writes
};

void check_case(cuda::Driver& driver, Subject& subject, void* stream, const Case& c, uint32_t seed) {
  std::mt19937 random(seed);
  const PartShape shape{c.dtype, 19, c.cols, true};
  const auto plan = ExpertStream::plan({shape}, {c.format});
  REQUIRE(plan.ok());
  std::vector<uint8_t> extent(plan->size_bytes());
  if (c.any_bytes) {
    for (uint8_t& byte : extent) byte = static_cast<uint8_t>(random());
  } else {
    const std::vector<uint8_t> data = weights(random, shape);
    REQUIRE(plan->encode({data.data()}, extent.data()).ok());
  }
  const PartExtent& part = plan->parts()[0];
  const DeviceBytes on_device(driver, stream, extent);
  moe_cuda_coded_rows rows{};
  rows.struct_size = sizeof rows;
  rows.dtype = c.dtype;
  rows.format = info(c.format).name.data();
  rows.rows = shape.rows;
  rows.cols = shape.cols;
  rows.group = part.group;
  rows.row_bytes = part.row_bytes;
  rows.scales = on_device.data() + part.scales_offset;
  rows.shifts = on_device.data() + part.shifts_offset;
  rows.codes = on_device.data() + part.codes_offset;
  for (const moe_dtype out : kDtypes) {
    CAPTURE(info(c.format).name);
    CAPTURE(static_cast<int>(c.dtype));
    CAPTURE(static_cast<int>(out));
    CAPTURE(c.cols);
    std::vector<uint8_t> wanted(shape.rows * shape.cols * size_of(out));
    plan->decode_rows(extent.data(), 0, 0, shape.rows, out, wanted.data());
    const DeviceBytes decoded(driver, stream, std::vector<uint8_t>(wanted.size(), 0xEE));
    const moe_status status = cuda::functions().dequantize(device_of(subject), &rows, out, decoded.data(), stream);
    REQUIRE_MESSAGE(status == MOE_OK, cuda::functions().last_error());
    CHECK(same(out, decoded.read(), wanted));
  }
}

/// down(silu(gate(x)) * up(x)) in binary64, rounded where the network rounds.
std::vector<double> reference(const std::vector<float>& x, const std::vector<uint8_t>& expert,
                              const moe_cuda_ffn_config& config) {
  const auto dtype = static_cast<moe_dtype>(config.dtype);
  const auto product = [&](uint64_t offset, uint32_t outputs, const std::vector<float>& in) {
    std::vector<double> out(outputs);
    for (size_t o = 0; o < outputs; ++o) {
      for (size_t i = 0; i < in.size(); ++i) {
        out[o] += double{load(dtype, expert.data() + offset, o * in.size() + i)} * double{in[i]};
      }
    }
    return out;
  };
  std::vector<float> rounded = x;
  for (float& value : rounded) value = round_to(dtype, value);
  const std::vector<double> gate = product(config.gate_offset, config.width, rounded);
  const std::vector<double> up = product(config.up_offset, config.width, rounded);
  std::vector<float> act(config.width);
  for (size_t i = 0; i < act.size(); ++i) {
    act[i] = round_to(dtype, static_cast<float>(gate[i] / (1 + std::exp(-gate[i])) * up[i]));
  }
  return product(config.down_offset, config.hidden, act);
}

void check_ffn_of(cuda::Driver& driver, Subject& subject, void* stream, moe_dtype dtype) {
  constexpr uint32_t kHidden = 96, kWidth = 80, kTokens = 9, kTopK = 2;
  const moe_cuda_functions& cuda = cuda::functions();
  moe_cuda_ffn_config config{sizeof(moe_cuda_ffn_config), dtype, kHidden, kWidth, 0, 0, 0, kTokens, kTokens * kTopK};
  const uint64_t part_bytes = uint64_t{kHidden} * kWidth * size_of(dtype);
  config.up_offset = part_bytes;
  config.down_offset = 2 * part_bytes;
  moe_cuda_ffn* ffn = nullptr;
  const moe_status made = cuda.ffn_create(device_of(subject), &config, &ffn);
  REQUIRE_MESSAGE(made == MOE_OK, cuda.last_error());
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<uint8_t> experts[3];
  std::vector<std::unique_ptr<DeviceBytes>> on_device;
  for (std::vector<uint8_t>& expert : experts) {
    expert.resize(3 * part_bytes);
    for (size_t i = 0; i < expert.size() / size_of(dtype); ++i) store(dtype, expert.data(), i, normal(random) * 0.2F);
    on_device.push_back(std::make_unique<DeviceBytes>(driver, stream, expert));
  }
  for (int layer = 0; layer < 3; ++layer) {
    std::vector<float> x(size_t{kTokens} * kHidden);
    for (float& value : x) value = normal(random);
    // Expert e has every token that 3 does not divide e apart from it, in either place; some rows are nobody's.
    REQUIRE(cuda.ffn_begin(ffn, x.data(), kTokens, kTokens * kTopK, stream) == MOE_OK);
    std::vector<int> owner(size_t{kTokens} * kTopK, -1);
    for (uint32_t e = 0; e < 3; ++e) {
      std::vector<uint32_t> tokens, rows;
      for (uint32_t t = 0; t < kTokens; ++t) {
        if ((t + e) % 3 == 2) continue;
        const uint32_t row = t * kTopK + (t + e) % 3;
        tokens.push_back(t);
        rows.push_back(row);
        owner[row] = static_cast<int>(e);
      }
      owner[rows.back()] = -1;
      tokens.pop_back();
      rows.pop_back();
      const auto count = static_cast<uint32_t>(rows.size());
      REQUIRE(cuda.ffn_expert(ffn, on_device[e]->data(), tokens.data(), rows.data(), count, stream) == MOE_OK);
    }
    std::vector<float> out(owner.size() * kHidden, -1);
    REQUIRE(cuda.ffn_end(ffn, out.data(), stream) == MOE_OK);
    double largest = 0;
    double error = 0;
    for (size_t row = 0; row < owner.size(); ++row) {
      const auto first = x.begin() + static_cast<ptrdiff_t>(row / kTopK * kHidden);
      const std::vector<double> wanted = owner[row] < 0
                                             ? std::vector<double>(kHidden)
                                             : reference({first, first + kHidden}, experts[owner[row]], config);
      for (size_t c = 0; c < kHidden; ++c) {
        largest = std::fmax(largest, std::fabs(wanted[c]));
        error = std::fmax(error, std::fabs(wanted[c] - double{out[row * kHidden + c]}));
      }
    }
    CAPTURE(static_cast<int>(dtype));
    CHECK(largest > 1);
    // Sums of a hundred numbers in binary32; and an activation that is rounded the other way.
    CHECK(error <= (dtype == MOE_F32 ? 1e-5 : 3e-3) * largest);
  }
  cuda.ffn_destroy(ffn);
}

}  // namespace

void check_dequantize(cuda::Driver& driver, Subject& subject) {
  void* const stream = subject.make_stream();
  uint32_t seed = 0;
  for (const Format format : kFormats) {
    for (const moe_dtype dtype : kDtypes) {
      for (const uint64_t cols : {UINT64_C(32), UINT64_C(320), UINT64_C(896), UINT64_C(77)}) {
        if (format == Format::hadamard4 && cols % 32 != 0) continue;
        check_case(driver, subject, stream, {format, dtype, cols, false}, ++seed);
        check_case(driver, subject, stream, {format, dtype, cols, true}, ++seed);
      }
    }
  }
  subject.destroy_stream(stream);
}

void check_ffn(cuda::Driver& driver, Subject& subject) {
  void* const stream = subject.make_stream();
  for (const moe_dtype dtype : kDtypes) check_ffn_of(driver, subject, stream, dtype);
  subject.destroy_stream(stream);
}

}  // namespace moe::test
