// SPDX-License-Identifier: Apache-2.0
// The runtime over CudaBackend: plans, streams and the slot table together, without a device.
#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "tests/runtime/cuda/fake_driver.h"
#include "tests/runtime/cuda/subjects.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

constexpr size_t kBytes = 3000;
constexpr uint32_t kLayers = 3;
constexpr uint32_t kExperts = 12;

/// A runtime whose fast tier is a device of `driver`.
class CudaFixture {
 public:
  CudaFixture(FakeDriver& driver, const decision::Params& params)
      : driver_(driver), peers_(driver), params_(params), experts_(params.num_layers, params.num_experts, kBytes) {
    moe_runtime_config config = config_for(params);
    auto backends = [this](const Allocator&) -> std::unique_ptr<backend::Backend> {
      const moe_backend_settings settings{0, params_.num_layers * params_.num_experts, 0};
      return std::make_unique<cuda::CudaBackend>(driver_, settings, peers_, &cuda::functions());
    };
    REQUIRE(core::create_runtime(&config, backends, &runtime_) == MOE_OK);
    experts_.add_all_to(runtime_);
    Result<PolicyRef> policy = static_policy(params, "test");
    REQUIRE(policy.ok());
    moe_policy* handle = policy->release();
    attached_ = moe_policy_attach(runtime_, handle);
    CHECK(moe_policy_destroy(handle) == MOE_OK);
  }
  CudaFixture(const CudaFixture&) = delete;
  ~CudaFixture() { CHECK(moe_runtime_destroy(runtime_) == MOE_OK); }

  moe_status attached() const { return attached_; }
  moe_runtime* get() const { return runtime_; }
  const FakeExperts& experts() const { return experts_; }
  moe_cuda_device* device() const {
    const void* table = nullptr;
    void* device = nullptr;
    REQUIRE(moe_backend_functions(runtime_, MOE_CUDA_FUNCTIONS, &table, &device) == MOE_OK);
    REQUIRE(table == &cuda::functions());
    return static_cast<moe_cuda_device*>(device);
  }

 private:
  FakeDriver& driver_;
  cuda::Peers peers_;
  decision::Params params_;
  FakeExperts experts_;
  moe_runtime* runtime_ = nullptr;
  moe_status attached_ = MOE_INTERNAL;
};

struct Sight {
  uint32_t layer;
  uint32_t expert;
  const uint8_t* bytes;
};

/// As a captured graph: queued before it is known where experts are, it reads their addresses when it runs.
void read_through_table(FakeDriver& driver, void* stream, const uint64_t* table, uint32_t key, uint8_t* to) {
  const auto work = [=] { std::memcpy(to, reinterpret_cast<const void*>(table[key]), kBytes); };
  REQUIRE(driver.launch(stream, work) == 0);
}

TEST_CASE("streams compute with the experts that their plans name, by address and through the slot table") {
  const moe_cuda_functions& cuda = cuda::functions();
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    FakeDriver driver({.seed = seed});
    const decision::Params params = lru_params(kLayers, kExperts, 2, 5);
    void* memory = nullptr;
    {
      CudaFixture f(driver, params);
      REQUIRE(f.attached() == MOE_OK);
      const uint64_t* table = nullptr;
      REQUIRE(cuda.slot_table(f.device(), &table) == MOE_OK);
      void* stream = nullptr;
      REQUIRE(cuda.stream_create(f.device(), &stream) == MOE_OK);
      constexpr size_t kMost = 4000;
      REQUIRE(driver.allocate_host(&memory, kMost * kBytes) == 0);
      auto* next = static_cast<uint8_t*>(memory);
      std::vector<Sight> sights;
      std::mt19937 random(seed);
      for (uint32_t round = 0; round < 150; ++round) {
        std::vector<int32_t> ids;
        for (uint32_t token = 0; token < 1 + random() % 5; ++token) {
          ids.push_back(static_cast<int32_t>(random() % kExperts));
          ids.push_back(
              static_cast<int32_t>((static_cast<uint32_t>(ids.back()) + 1 + random() % (kExperts - 1)) % kExperts));
        }
        const moe_dispatch_args args = dispatch_args(params, round % kLayers, ids);
        moe_plan plan = empty_plan();
        REQUIRE(moe_dispatch(f.get(), &args, &plan) == MOE_OK);
        for (uint32_t i = 0; i < plan.num_entries; ++i) {
          REQUIRE(moe_plan_wait(f.get(), &plan, i, stream) == MOE_OK);
          const moe_plan_entry& entry = plan.entries[i];
          REQUIRE(driver.copy({next, entry.data, kBytes}, stream) == 0);
          sights.push_back({plan.layer, entry.expert, next});
          next += kBytes;
          read_through_table(driver, stream, table, plan.layer * kExperts + entry.expert, next);
          sights.push_back({plan.layer, entry.expert, next});
          next += kBytes;
          REQUIRE(sights.size() <= kMost);
          // Some entries have no slot before others are done.
          if (plan.num_entries > 4 || random() % 2 == 0) REQUIRE(moe_plan_done(f.get(), &plan, i, stream) == MOE_OK);
        }
        REQUIRE(moe_plan_release(f.get(), &plan, stream) == MOE_OK);
      }
      REQUIRE(cuda.stream_synchronize(f.device(), stream) == MOE_OK);
      for (const Sight& sight : sights) CHECK(f.experts().is(sight.layer, sight.expert, sight.bytes));
      REQUIRE(cuda.stream_destroy(f.device(), stream) == MOE_OK);
    }
    REQUIRE(driver.release_host(memory) == 0);
    CHECK(driver.num_live() == 0);
  }
}

TEST_CASE("a copy that fails on the device fails the wait for it, and the next dispatch loads again") {
  FakeDriver driver({});
  const decision::Params params = lru_params(1, kExperts, 1, 4);
  CudaFixture f(driver, params);
  REQUIRE(f.attached() == MOE_OK);
  driver.fail("copy", 700);
  const std::vector<int32_t> ids = {3};
  const moe_dispatch_args args = dispatch_args(params, 0, ids);
  moe_plan plan = empty_plan();
  REQUIRE(moe_dispatch(f.get(), &args, &plan) == MOE_OK);
  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_DEVICE);
  CHECK(std::string(moe_last_error()).find("CUDA: cannot copy to the device: made to fail (700)") != std::string::npos);
  REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  REQUIRE(moe_dispatch(f.get(), &args, &plan) == MOE_OK);
  REQUIRE(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_OK);
  CHECK(f.experts().is(0, 3, plan.entries[0].data));
  REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
}

TEST_CASE("a device without room for the policy") {
  FakeDriver driver({});
  driver.fail("allocate", cuda::kOutOfMemory);
  const CudaFixture f(driver, lru_params(1, kExperts, 1, 4));
  CHECK(f.attached() == MOE_NO_MEMORY);
  CHECK(driver.num_live() == 0);
}

}  // namespace
}  // namespace moe::test
