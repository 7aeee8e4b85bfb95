// SPDX-License-Identifier: Apache-2.0
// moe/cuda.h: what its kernels compute, by the functions that they are made of; and misuse.
#include "runtime/cuda/functions.h"

#include <doctest/doctest.h>

#include <functional>

#include "tests/runtime/cuda/fake_driver.h"
#include "tests/runtime/cuda/kernel_checks.h"
#include "tests/runtime/cuda/subjects.h"

namespace moe::test {
namespace {

constexpr moe_backend_settings kSettings{0, 10, 0};

/// A device with a fast tier of one slot, and a stream.
struct Device {
  explicit Device(const FakeDriver::Options& options)
      : driver(options), peers(driver), subject(cuda_subject(driver, peers, kSettings)) {
    REQUIRE(subject.backend->allocate(1, 64).ok());
    handle = static_cast<moe_cuda_device*>(subject.backend->functions(MOE_CUDA_FUNCTIONS).device);
    REQUIRE(table.stream_create(handle, &stream) == MOE_OK);
  }
  ~Device() { CHECK(table.stream_destroy(handle, stream) == MOE_OK); }

  const moe_cuda_functions& table = cuda::functions();
  FakeDriver driver;
  cuda::Peers peers;
  Subject subject;
  moe_cuda_device* handle = nullptr;
  void* stream = nullptr;
};

TEST_CASE("dequantization: every format and dtype, the bits of the CPU's codecs") {
  Device device({.seed = 5});
  check_dequantize(device.driver, device.subject);
}

TEST_CASE("the feed-forward network") {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Device device({.seed = seed});
    check_ffn(device.driver, device.subject);
  }
}

TEST_CASE("rows that cannot be decoded") {
  Device device({});
  const char memory[64] = {};
  const moe_cuda_coded_rows good{sizeof good, MOE_BF16, "qint4", 2, 64, 32, 32, memory, memory, memory};
  const auto status = [&](const std::function<void(moe_cuda_coded_rows&)>& spoil, uint32_t dtype = MOE_F16) {
    moe_cuda_coded_rows rows = good;
    spoil(rows);
    char out[1];
    return device.table.dequantize(device.handle, &rows, dtype, out, device.stream);
  };
  CHECK(status([](auto& r) { r.struct_size = 8; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.dtype = MOE_OTHER; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.format = nullptr; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.format = "qint5"; }) == MOE_INVALID);
  CHECK(std::string(device.table.last_error()) == "there is no format `qint5`");
  CHECK(status([](auto& r) { r.rows = 0; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.cols = 0; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.cols = UINT64_MAX; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.row_bytes = 31; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.group = 0; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.group = 24; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.scales = nullptr; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.shifts = nullptr; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.codes = nullptr; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.format = "hadamard4", r.cols = 48, r.group = 48; }) == MOE_INVALID);
  CHECK(status([](auto& r) { r.format = "hadamard4", r.group = 64; }) == MOE_INVALID);
  CHECK(status([](auto&) {}, 7) == MOE_INVALID);
  CHECK(device.table.dequantize(device.handle, nullptr, MOE_F16, device.stream, device.stream) == MOE_INVALID);
  CHECK(device.table.dequantize(device.handle, &good, MOE_F16, nullptr, device.stream) == MOE_INVALID);
}

TEST_CASE("networks that cannot be, and uses beyond one") {
  Device device({});
  const moe_cuda_functions& table = device.table;
  const moe_cuda_ffn_config good{sizeof good, MOE_F16, 32, 16, 0, 1024, 2048, 4, 8};
  const auto status = [&](const std::function<void(moe_cuda_ffn_config&)>& spoil) {
    moe_cuda_ffn_config config = good;
    spoil(config);
    moe_cuda_ffn* ffn = nullptr;
    const moe_status made = table.ffn_create(device.handle, &config, &ffn);
    CHECK((ffn != nullptr) == (made == MOE_OK));
    table.ffn_destroy(ffn);
    return made;
  };
  CHECK(status([](auto&) {}) == MOE_OK);
  CHECK(status([](auto& c) { c.struct_size = 12; }) == MOE_INVALID);
  CHECK(status([](auto& c) { c.dtype = MOE_OTHER; }) == MOE_INVALID);
  CHECK(status([](auto& c) { c.hidden = 0; }) == MOE_INVALID);
  CHECK(status([](auto& c) { c.width = 0; }) == MOE_INVALID);
  CHECK(status([](auto& c) { c.max_tokens = 0; }) == MOE_INVALID);
  CHECK(status([](auto& c) { c.max_rows = 0; }) == MOE_INVALID);
  CHECK(status([](auto& c) { c.up_offset = 1030; }) == MOE_INVALID);
  device.driver.fail("allocate", cuda::kOutOfMemory, 1, 3);
  CHECK(status([](auto&) {}) == MOE_NO_MEMORY);

  moe_cuda_ffn* ffn = nullptr;
  REQUIRE(table.ffn_create(device.handle, &good, &ffn) == MOE_OK);
  const std::vector<float> x(4 * 32);
  const std::vector<char> expert(3072);
  const uint32_t tokens[] = {0, 1, 2, 3, 4};
  const uint32_t rows[] = {0, 1, 2, 3, 8};
  const auto use = [&](const uint32_t* t, const uint32_t* r, uint32_t count) {
    return table.ffn_expert(ffn, expert.data(), t, r, count, device.stream);
  };
  CHECK(table.ffn_begin(ffn, x.data(), 5, 8, device.stream) == MOE_INVALID);
  CHECK(table.ffn_begin(ffn, x.data(), 4, 9, device.stream) == MOE_INVALID);
  CHECK(table.ffn_begin(ffn, nullptr, 4, 8, device.stream) == MOE_INVALID);
  CHECK(use(tokens, rows, 1) == MOE_INVALID);  // nothing was begun
  REQUIRE(table.ffn_begin(ffn, x.data(), 4, 8, device.stream) == MOE_OK);
  CHECK(use(tokens, rows, 0) == MOE_INVALID);
  CHECK(use(tokens, rows, 5) == MOE_INVALID);
  CHECK(use(tokens + 4, rows, 1) == MOE_INVALID);
  CHECK(use(tokens, rows + 4, 1) == MOE_INVALID);
  CHECK(use(nullptr, rows, 1) == MOE_INVALID);
  CHECK(use(tokens, rows, 4) == MOE_OK);
  CHECK(use(tokens, rows, 4) == MOE_OK);
  CHECK(use(tokens, rows, 1) == MOE_INVALID);  // all rows are used
  std::vector<float> out(8 * 32);
  CHECK(table.ffn_end(ffn, nullptr, device.stream) == MOE_INVALID);
  CHECK(table.ffn_end(ffn, out.data(), device.stream) == MOE_OK);
  table.ffn_destroy(ffn);
}

TEST_CASE("no cuBLASLt: no network, and all else") {
  Device device({.blas = false});
  const moe_cuda_ffn_config config{sizeof config, MOE_F16, 32, 16, 0, 1024, 2048, 4, 8};
  moe_cuda_ffn* ffn = nullptr;
  CHECK(device.table.ffn_create(device.handle, &config, &ffn) == MOE_UNSUPPORTED);
  CHECK(std::string(device.table.last_error()) == "CUDA: cuBLASLt cannot be loaded: not on this machine");
  CHECK(device.table.stream_synchronize(device.handle, device.stream) == MOE_OK);
}

TEST_CASE("NULL for what is needed") {
  Device device({});
  const moe_cuda_functions& table = device.table;
  CHECK(table.stream_create(nullptr, &device.stream) == MOE_INVALID);
  CHECK(table.stream_create(device.handle, nullptr) == MOE_INVALID);
  CHECK(table.stream_destroy(device.handle, nullptr) == MOE_INVALID);
  CHECK(table.stream_synchronize(device.handle, nullptr) == MOE_INVALID);
  CHECK(table.slot_table(device.handle, nullptr) == MOE_INVALID);
  uint32_t path = 9;
  CHECK(table.peer_path(device.handle, nullptr, &path) == MOE_INVALID);
  CHECK(table.copy_between(device.handle, nullptr, device.handle, &path, 4, device.stream) == MOE_INVALID);
  CHECK(std::string(table.last_error()) == "an argument is NULL");
  CHECK(table.peer_path(device.handle, device.handle, &path) == MOE_OK);
  CHECK(path == MOE_CUDA_PATH_PEER);
  CHECK(table.struct_size == sizeof table);
}

}  // namespace
}  // namespace moe::test
