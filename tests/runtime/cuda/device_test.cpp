// SPDX-License-Identifier: Apache-2.0
// What needs a device. Without one, each is skipped by name.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <cstdio>

#include "runtime/cuda/cudart.h"
#include "runtime/cuda/errors.h"
#include "tests/runtime/cuda/kernel_checks.h"
#include "tests/runtime/cuda/subjects.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

using cuda::cuda_runtime;

cuda::Peers& peers() {
  static cuda::Peers of_process(cuda_runtime());
  return of_process;
}

uint32_t num_devices() { return *cuda::count_devices(cuda_runtime()); }

Subject subject_on(uint32_t device) { return cuda_subject(cuda_runtime(), peers(), {device, 100, 0}); }

TEST_CASE("device: conformance") {
  for (uint32_t device = 0; device < num_devices(); ++device) {
    CAPTURE(device);
    check_conformance([&] { return subject_on(device); });
  }
}

TEST_CASE("device: dequantization, the bits of the CPU's codecs") {
  Subject subject = subject_on(0);
  REQUIRE(subject.backend->allocate(1, 64).ok());
  check_dequantize(cuda_runtime(), subject);
}

TEST_CASE("device: the feed-forward network, by cuBLASLt") {
  Subject subject = subject_on(0);
  REQUIRE(subject.backend->allocate(1, 64).ok());
  check_ffn(cuda_runtime(), subject);
}

TEST_CASE("device: batches of copies") {
  cuda::Driver& driver = cuda_runtime();
  Subject subject = subject_on(0);
  Result<void*> tier = subject.backend->allocate(8, 256);
  REQUIRE(tier.ok());
  auto* const source = static_cast<uint8_t*>(subject.host_memory(8 * 256));
  for (int i = 0; i < 8 * 256; ++i) source[i] = static_cast<uint8_t>(i * 31 + i / 256);
  void* const stream = subject.make_stream();
  cuda::CopyBatch batch(driver);
  for (int i = 0; i < 8; ++i) batch.add({static_cast<uint8_t*>(*tier) + i * 256, source + (7 - i) * 256, 200});
  CHECK(batch.num_moves() == 8);
  REQUIRE(batch.submit(stream).ok());
  subject.synchronize(stream);
  for (int i = 0; i < 8; ++i) {
    uint8_t seen[200];
    subject.read(seen, static_cast<uint8_t*>(*tier) + i * 256, 200);
    CHECK(std::equal(seen, seen + 200, source + (7 - i) * 256));
  }
  subject.destroy_stream(stream);
}

TEST_CASE("device: copies between devices arrive, by whichever way") {
  if (num_devices() < 2) {
    MESSAGE("skipped: one CUDA device, two are needed");
    return;
  }
  constexpr size_t kSize = (5 << 20) / 2 + 3;
  Subject from = subject_on(0);
  Subject to = subject_on(1);
  Result<void*> source = from.backend->allocate(1, kSize);
  Result<void*> target = to.backend->allocate(1, kSize);
  REQUIRE((source.ok() && target.ok()));
  std::vector<uint8_t> bytes(kSize);
  for (size_t i = 0; i < kSize; ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  REQUIRE(from.backend->start_copy(0, 0, bytes.data(), kSize, true).ok());
  REQUIRE(from.backend->finish_copy(0).ok());
  REQUIRE(cuda_runtime().set_device(0) == 0);
  void* const stream = from.make_stream();
  REQUIRE(peers().copy({*target, *source, kSize}, 1, 0, stream).ok());
  from.synchronize(stream);
  from.destroy_stream(stream);
  std::vector<uint8_t> seen(kSize);
  REQUIRE(cuda_runtime().set_device(1) == 0);
  to.read(seen.data(), *target, kSize);
  CHECK(seen == bytes);
  REQUIRE(cuda_runtime().set_device(0) == 0);
}

/// A runtime on device 0 by moe.h alone, as an engine has it; the graph is the engine's own.
TEST_CASE("device: a captured graph finds the experts of later dispatches") {
  constexpr uint32_t kExperts = 12;
  constexpr size_t kBytes = 70000;
  const decision::Params params = lru_params(1, kExperts, 1, 3);
  moe_runtime_config config = config_for(params);
  config.backend = MOE_BACKEND_CUDA;
  config.backend_library = MOE_CUDA_LIBRARY;
  moe_runtime* runtime = nullptr;
  REQUIRE_MESSAGE(moe_runtime_create(&config, &runtime) == MOE_OK, moe_last_error());
  const FakeExperts experts(1, kExperts, kBytes);
  experts.add_all_to(runtime);
  Result<PolicyRef> policy = static_policy(params, "test");
  REQUIRE(policy.ok());
  moe_policy* handle = policy->release();
  REQUIRE_MESSAGE(moe_policy_attach(runtime, handle) == MOE_OK, moe_last_error());
  CHECK(moe_policy_destroy(handle) == MOE_OK);
  const void* functions = nullptr;
  void* its_device = nullptr;
  REQUIRE(moe_backend_functions(runtime, MOE_CUDA_FUNCTIONS, &functions, &its_device) == MOE_OK);
  const auto& cuda = *static_cast<const moe_cuda_functions*>(functions);
  auto* const device = static_cast<moe_cuda_device*>(its_device);
  const uint64_t* table = nullptr;
  void* stream = nullptr;
  REQUIRE(cuda.slot_table(device, &table) == MOE_OK);
  REQUIRE(cuda.stream_create(device, &stream) == MOE_OK);

  // The graph copies the table to the host: where experts are when it runs, not when it was captured.
  auto* const on = static_cast<cudaStream_t>(stream);
  uint64_t* seen = nullptr;
  REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&seen), kExperts * sizeof *seen) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  REQUIRE(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  REQUIRE(cudaMemcpyAsync(seen, table, kExperts * sizeof *seen, cudaMemcpyDeviceToHost, on) == cudaSuccess);
  REQUIRE(cudaStreamEndCapture(on, &graph) == cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess);
  std::vector<uint8_t> bytes(kBytes);
  for (int32_t i = 0; i < 40; ++i) {
    const int32_t expert = i * 5 % static_cast<int32_t>(kExperts);
    const std::vector<int32_t> ids = {expert};
    const moe_dispatch_args args = dispatch_args(params, 0, ids);
    moe_plan plan = empty_plan();
    REQUIRE(moe_dispatch(runtime, &args, &plan) == MOE_OK);
    REQUIRE(moe_plan_wait(runtime, &plan, 0, stream) == MOE_OK);
    const void* const data = plan.entries[0].data;
    REQUIRE(cudaGraphLaunch(replay, on) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(bytes.data(), data, kBytes, cudaMemcpyDeviceToHost, on) == cudaSuccess);
    REQUIRE(moe_plan_release(runtime, &plan, stream) == MOE_OK);
    REQUIRE(cuda.stream_synchronize(device, stream) == MOE_OK);
    CHECK(seen[expert] == reinterpret_cast<uint64_t>(data));
    CHECK(experts.is(0, static_cast<uint32_t>(expert), bytes.data()));
  }
  CHECK(cudaGraphExecDestroy(replay) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaFreeHost(seen) == cudaSuccess);
  CHECK(cuda.stream_destroy(device, stream) == MOE_OK);
  CHECK(moe_runtime_destroy(runtime) == MOE_OK);
}

}  // namespace
}  // namespace moe::test

int main(int argc, char** argv) {
  const moe::Result<void> usable = moe::cuda::probe(moe::cuda::cuda_runtime(), 0);
  if (usable) return doctest::Context(argc, argv).run();
  std::string why = usable.error().message;
  if (const size_t colon = why.find(": "); colon != why.npos) why = why.substr(colon + 2);
  std::printf("[SKIP] skipped: no CUDA device (%s); these tests did not run:\n", why.c_str());
  std::fflush(stdout);
  const char* const list[] = {argv[0], "--list-test-cases", "--no-version"};
  doctest::Context(3, list).run();
  return 77;
}
