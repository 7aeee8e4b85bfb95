// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/cuda/subjects.h"

#include <doctest/doctest.h>

#include <cstring>

#include "runtime/backend/host.h"

namespace moe::test {
namespace {

/// Page-locked memory that goes away with the subject.
struct HostMemory {
  explicit HostMemory(cuda::Driver& its_driver) : driver(its_driver) {}
  ~HostMemory() {
    for (void* const block : blocks) driver.release_host(block);
  }
  cuda::Driver& driver;
  std::vector<void*> blocks;
};

}  // namespace

Subject host_subject() {
  Subject subject;
  subject.name = "host";
  subject.backend = std::make_unique<backend::HostBackend>(Allocator());
  subject.read = [](void* to, const void* tier, size_t size_bytes) { std::memcpy(to, tier, size_bytes); };
  return subject;
}

Subject cuda_subject(cuda::Driver& driver, cuda::Peers& peers, const moe_backend_settings& settings) {
  REQUIRE(driver.set_device(static_cast<int>(settings.device)) == 0);
  Subject subject;
  subject.name = "cuda";
  subject.backend = std::make_unique<cuda::CudaBackend>(driver, settings, peers, &cuda::functions());
  const auto make_stream = [&driver] {
    void* stream = nullptr;
    REQUIRE(driver.create_stream(&stream, 0) == 0);
    return stream;
  };
  subject.make_stream = make_stream;
  subject.destroy_stream = [&driver](void* stream) { CHECK(driver.destroy(stream) == 0); };
  subject.synchronize = [&driver](void* stream) { CHECK(driver.wait_for_stream(stream) == 0); };
  subject.queue_read = [&driver](void* to, const void* tier, size_t size_bytes, void* stream) {
    CHECK(driver.copy({to, tier, size_bytes}, stream) == 0);
  };
  subject.read = [&driver, make_stream](void* to, const void* tier, size_t size_bytes) {
    void* const stream = make_stream();
    CHECK(driver.copy({to, tier, size_bytes}, stream) == 0);
    CHECK(driver.wait_for_stream(stream) == 0);
    CHECK(driver.destroy(stream) == 0);
  };
  const auto memory = std::make_shared<HostMemory>(driver);
  subject.host_memory = [memory](size_t size_bytes) {
    void* block = nullptr;
    REQUIRE(memory->driver.allocate_host(&block, size_bytes) == 0);
    memory->blocks.push_back(block);
    return block;
  };
  return subject;
}

}  // namespace moe::test
