// SPDX-License-Identifier: Apache-2.0
// What says why there is no device; page-locked memory; batches of copies.
#include <doctest/doctest.h>

#include <cstring>

#include "runtime/cuda/staging.h"
#include "tests/runtime/cuda/fake_driver.h"

namespace moe::test {
namespace {

using cuda::PinnedPool;

std::string why_not(const FakeDriver::Options& options, uint32_t device = 0) {
  FakeDriver driver(options);
  const Result<void> usable = cuda::probe(driver, device);
  if (usable) return "";
  CHECK(usable.error().kind == Error::Kind::device);
  return usable.error().message;
}

TEST_CASE("why there is no device") {
  CHECK(why_not({}) == "");
  CHECK(why_not({.num_devices = 4}, 3) == "");
  CHECK(why_not({.driver_version = 0}) == "no CUDA device: no driver is installed");
  CHECK(why_not({.driver_version = 12040}) ==
        "no CUDA device: the driver is for CUDA 12.4, and 13.0 is needed: install a newer one");
  CHECK(why_not({.num_devices = 0}) == "no CUDA device: the machine has none");
  CHECK(why_not({.num_devices = 2}, 2) == "no CUDA device: there is no device 2, the machine has 2");
  CHECK(why_not({.major = 7}) == "no CUDA device: device 0 (Fake) has compute capability 7.0, 8.0 is the least");
}

TEST_CASE("page-locked memory: what is asked for, or what the system gives") {
  const auto size = [](size_t limit, size_t asked) -> size_t {
    FakeDriver driver({.host_limit_bytes = limit});
    PinnedPool pool(driver);
    const Result<void> made = pool.allocate(asked);
    if (made) return pool.size_bytes();
    CHECK(made.error().kind == Error::Kind::no_memory);
    return 0;
  };
  constexpr size_t kMiB = size_t{1} << 20;
  CHECK(size(SIZE_MAX, 0) == 16 * kMiB);
  CHECK(size(SIZE_MAX, 64 * kMiB) == 64 * kMiB);
  CHECK(size(SIZE_MAX, 5) == 2 * kMiB);
  CHECK(size(10 * kMiB, 64 * kMiB) == 8 * kMiB);
  CHECK(size(2 * kMiB, 0) == 2 * kMiB);
  CHECK(size(2 * kMiB - 1, 0) == 0);
}

TEST_CASE("neighbours are one copy; others go together where there are batches") {
  for (const bool batches : {true, false}) {
    FakeDriver driver({.batches = batches});
    void* stream = nullptr;
    void* memory = nullptr;
    void* host = nullptr;
    REQUIRE(driver.create_stream(&stream, 0) == 0);
    REQUIRE(driver.allocate(&memory, 1000) == 0);
    REQUIRE(driver.allocate_host(&host, 1000) == 0);
    auto* const to = static_cast<std::byte*>(memory);
    auto* const from = static_cast<std::byte*>(host);
    for (int i = 0; i < 1000; ++i) from[i] = static_cast<std::byte>(i * 7);
    cuda::CopyBatch batch(driver);
    batch.add({to, from, 10});
    batch.add({to + 10, from + 10, 20});  // goes on
    CHECK(batch.num_moves() == 1);
    batch.add({to + 30, from + 40, 10});  // another source
    batch.add({to + 50, from + 50, 10});  // another target
    CHECK(batch.num_moves() == 3);
    REQUIRE(batch.submit(stream).ok());
    CHECK(batch.empty());
    CHECK(driver.calls("copy_batch") == (batches ? 1 : 0));
    CHECK(driver.calls("copy") == (batches ? 0 : 3));
    REQUIRE(driver.wait_for_stream(stream) == 0);
    CHECK(std::memcmp(to, from, 30) == 0);
    CHECK(std::memcmp(to + 30, from + 40, 10) == 0);
    CHECK(std::memcmp(to + 50, from + 50, 10) == 0);
    batch.add({to + 100, from, 1});  // one is no batch
    REQUIRE(batch.submit(stream).ok());
    CHECK(driver.calls("copy") == (batches ? 1 : 4));
    batch.add({to, from, 1});
    driver.fail("copy", 700);
    CHECK_FALSE(batch.submit(stream).ok());
    CHECK(batch.empty());  // whatever came of it
    driver.destroy(stream);
    driver.release(memory);
    driver.release_host(host);
  }
}

}  // namespace
}  // namespace moe::test
