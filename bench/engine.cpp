// SPDX-License-Identifier: Apache-2.0
// A whole moe_dispatch: the decision, its plan, the guard and the counters. Experts of 64 bytes on the host backend, so
// that next to nothing is moved; the plans are waited for and released outside the time taken.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>

#include "bench/measure.h"
#include "bench/policies.h"
#include "moe/moe.h"

namespace moe::bench {

struct EngineBench::Parts {
  const Routing& routing;
  std::array<char, 64> bytes{};
  std::unique_ptr<codegen::JitPolicy> jit;
  moe_policy* policy = nullptr;
  moe_runtime* runtime = nullptr;
  size_t next = 0;

  explicit Parts(const Routing& routed) : routing(routed) {}
  void run(benchmark::State& loop);
};

namespace {

Result<void> checked(moe_status status, const char* what) {
  if (status == MOE_OK) return {};
  return Error{Error::Kind::internal, std::string(what) + ": " + moe_last_error()};
}

}  // namespace

EngineBench::EngineBench(const Routing& routing) : parts_(std::make_unique<Parts>(routing)) {}

EngineBench::~EngineBench() {
  moe_runtime_destroy(parts_->runtime);
  moe_policy_destroy(parts_->policy);
}

std::string EngineBench::name() const { return "engine/lru/" + name_of(parts_->routing.shape); }

Result<void> EngineBench::start() {
  Parts& parts = *parts_;
  const ir::ModelShape& shape = parts.routing.shape;
  auto jit = codegen::jit(bind_rule(ir::Eviction::lru, shape), {});
  if (!jit) return jit.error();
  parts.jit = std::move(*jit);
  moe_runtime_config config{};
  config.struct_size = sizeof config;
  config.shape = {sizeof(moe_model_shape), shape.num_layers, shape.num_experts, shape.top_k, parts.bytes.size()};
  config.max_plans = kBatch;
  if (auto done = checked(moe_runtime_create(&config, &parts.runtime), "creating a runtime"); !done) return done;
  for (uint32_t key = 0; key < shape.num_layers * shape.num_experts; ++key) {
    auto done = checked(moe_store_add(parts.runtime, key / shape.num_experts, key % shape.num_experts,
                                      parts.bytes.data(), parts.bytes.size()),
                        "adding an expert");
    if (!done) return done;
  }
  auto made = checked(moe_policy_from_descriptor(&parts.jit->descriptor(), &parts.policy), "making a policy");
  if (!made) return made;
  if (auto done = checked(moe_policy_attach(parts.runtime, parts.policy), "attaching"); !done) return done;
  benchmark::RegisterBenchmark(name().c_str(), [&parts](benchmark::State& loop) { parts.run(loop); })
      ->Repetitions(11)
      ->MinTime(0.02)
      ->MinWarmUpTime(0.02)
      ->UseManualTime();
  return {};
}

void EngineBench::Parts::run(benchmark::State& loop) {
  const uint32_t top_k = routing.shape.top_k;
  std::array<moe_plan, kBatch> plans{};
  std::array<moe_dispatch_args, kBatch> args{};
  uint32_t failed = MOE_OK;
  for (auto _ : loop) {
    for (uint32_t i = 0; i < kBatch; ++i) {
      plans[i] = {};
      plans[i].struct_size = sizeof(moe_plan);
      args[i] = {};
      args[i].struct_size = sizeof(moe_dispatch_args);
      args[i].layer = static_cast<uint32_t>(next % routing.shape.num_layers);
      args[i].num_tokens = 1;
      args[i].top_k = top_k;
      args[i].ids = &routing.ids[next * top_k];
      args[i].weights = &routing.weights[next * top_k];
      if (++next == routing.num_dispatches) next = 0;
    }
    const auto begin = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < kBatch; ++i) failed |= moe_dispatch(runtime, &args[i], &plans[i]);
    loop.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    for (const moe_plan& plan : plans) {
      for (uint32_t e = 0; e < plan.num_entries; ++e) failed |= moe_plan_wait(runtime, &plan, e, nullptr);
      failed |= moe_plan_release(runtime, &plan, nullptr);
    }
  }
  if (failed != MOE_OK) loop.SkipWithError("a dispatch failed");
}

}  // namespace moe::bench
