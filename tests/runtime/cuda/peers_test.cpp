// SPDX-License-Identifier: Apache-2.0
// Copies between devices, on machines that harm them and on machines that do not.
#include "runtime/cuda/peers.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/runtime/cuda/fake_driver.h"

namespace moe::test {
namespace {

using cuda::Peers;
using Path = Peers::Path;

/// A machine that is asked for the way from device 0 to device 1.
Path path_of(const FakeDriver::Options& options) {
  FakeDriver driver(options);
  Path path{};
  {
    Peers peers(driver);
    const Result<Path> found = peers.path(1, 0);
    REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
    path = *found;
    const int tests = driver.calls("copy_peer");
    CHECK(*peers.path(1, 0) == path);
    CHECK(driver.calls("copy_peer") == tests);  // once for a pair
  }
  CHECK(driver.num_live() == 0);
  return path;
}

TEST_CASE("peer copies are used when they arrive as they left, and not otherwise") {
  CHECK(path_of({.num_devices = 2}) == Path::peer);
  CHECK(path_of({.num_devices = 2, .peer_access = false}) == Path::staged);
  // All zero, as an IOMMU that translates wrongly gives; one bit of one byte, in copies of any size; large ones only.
  const auto zeros = [](void* to, size_t size) { std::memset(to, 0, size); };
  CHECK(path_of({.num_devices = 2, .harm_peer_copy = zeros}) == Path::staged);
  for (const size_t least : {size_t{1}, size_t{100}, size_t{5000}, size_t{100000}, size_t{1} << 20, size_t{4000000}}) {
    const auto flip_last = [least](void* to, size_t size) {
      if (size >= least) static_cast<uint8_t*>(to)[size - 1] ^= 0x10;
    };
    CHECK(path_of({.num_devices = 2, .harm_peer_copy = flip_last}) == Path::staged);
    const auto flip_beyond = [least](void* to, size_t size) {  // a byte that the copy should have left alone
      if (size >= least && size < 4000000) static_cast<uint8_t*>(to)[size] ^= 0x01;
    };
    if (least < 4000000) CHECK(path_of({.num_devices = 2, .harm_peer_copy = flip_beyond}) == Path::staged);
  }
  // Once in a while: the fifth copy only.
  const auto count = std::make_shared<int>(0);
  const auto fifth = [count](void* to, size_t) {
    if (++*count == 5) static_cast<uint8_t*>(to)[0] ^= 0xFF;
  };
  CHECK(path_of({.num_devices = 2, .harm_peer_copy = fifth}) == Path::staged);
}

TEST_CASE("either way, the bytes arrive, in the order of the stream") {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    const bool harmed = seed % 2 == 0;
    FakeDriver::Options options{.num_devices = 3, .seed = seed};
    if (harmed) options.harm_peer_copy = [](void* to, size_t) { static_cast<uint8_t*>(to)[0] ^= 1; };
    FakeDriver driver(options);
    Peers peers(driver);
    constexpr size_t kSize = (5 << 20) / 2 + 3;
    void* stream = nullptr;
    void* source = nullptr;
    void* target = nullptr;
    void* back = nullptr;
    REQUIRE(driver.set_device(2) == 0);
    REQUIRE(driver.allocate(&target, kSize) == 0);
    REQUIRE(driver.set_device(1) == 0);
    REQUIRE(driver.create_stream(&stream, 0) == 0);
    REQUIRE(driver.allocate(&source, kSize) == 0);
    REQUIRE(driver.allocate_host(&back, 3 * kSize) == 0);
    REQUIRE(*peers.path(2, 1) == (harmed ? Path::staged : Path::peer));
    // The source changes on the stream, before and after each copy; the copy has what was there in its turn. The target
    // is read behind it on the same stream.
    for (uint8_t round = 0; round < 3; ++round) {
      REQUIRE(driver.fill(source, static_cast<uint8_t>(10 + round), kSize, stream) == 0);
      REQUIRE(peers.copy({target, source, kSize}, 2, 1, stream).ok());
      REQUIRE(driver.fill(source, 99, kSize, stream) == 0);
      REQUIRE(driver.copy({static_cast<uint8_t*>(back) + round * kSize, target, kSize}, stream) == 0);
    }
    REQUIRE(driver.wait_for_stream(stream) == 0);
    const auto* const bytes = static_cast<const uint8_t*>(back);
    for (size_t i = 0; i < 3 * kSize; ++i) {
      if (bytes[i] != 10 + i / kSize) FAIL(i);
    }
    int device = -1;
    REQUIRE(driver.current_device(&device) == 0);
    CHECK(device == 1);
    REQUIRE(peers.copy({source, source, 0}, 1, 1, stream).ok());  // one device: an ordinary copy
    driver.destroy(stream);
    driver.release(source);
    driver.release(target);
    driver.release_host(back);
  }
}

TEST_CASE("a test that could not be made is an error, and is made again") {
  FakeDriver driver({.num_devices = 2});
  Peers peers(driver);
  driver.fail("copy_peer", 700);
  const Result<Path> failed = peers.path(0, 1);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message == "CUDA: cannot test peer copies: made to fail (700)");
  CHECK(*peers.path(0, 1) == Path::peer);
  driver.fail("enable_peer", 700);
  CHECK(*peers.path(1, 0) == Path::staged);
}

}  // namespace
}  // namespace moe::test
