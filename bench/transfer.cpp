// SPDX-License-Identifier: Apache-2.0
// What the runtime's links carry, on the host backend: bytes into the fast tier beside memcpy of the same experts, how
// much of the transfers a perfect hint hides behind computing, and what a plan costs whose experts are all there.
//
//   build/release/bin/bench-transfer [--rounds N] [--expert MIB]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "moe/moe.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMib = 1 << 20;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

void require(moe_status status) {
  if (status == MOE_OK) return;
  fmt::print(stderr, "bench-transfer: {}\n", moe_last_error());
  std::exit(3);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// A runtime over experts in memory under one policy.
class Engine {
 public:
  Engine(moe_model_shape shape, const std::string& text, uint64_t link_bytes_per_s = 0) : shape_(shape) {
    moe_runtime_config config{};
    config.struct_size = sizeof config;
    config.shape = shape_;
    config.link_bytes_per_s = link_bytes_per_s;
    config.streaming_slots = shape.top_k + 2;
    require(moe_runtime_create(&config, &runtime_));
    experts_.resize(size_t{shape_.num_layers} * shape_.num_experts * shape_.expert_bytes);
    for (size_t i = 0; i < experts_.size(); i += 64) experts_[i] = static_cast<char>(i >> 6);
    for (uint32_t key = 0; key < shape_.num_layers * shape_.num_experts; ++key) {
      require(moe_store_add(runtime_, key / shape_.num_experts, key % shape_.num_experts, expert(key),
                            shape_.expert_bytes));
    }
    moe_compile_options options{};
    options.struct_size = sizeof options;
    options.opt_level = 2;
    options.shape = shape_;
    options.wait = 1;
    moe_policy* policy = nullptr;
    require(moe_policy_compile(text.data(), text.size(), &options, &policy, nullptr));
    require(moe_policy_attach(runtime_, policy));
    require(moe_policy_destroy(policy));
  }
  ~Engine() { moe_runtime_destroy(runtime_); }
  Engine(const Engine&) = delete;

  const char* expert(uint32_t key) const { return experts_.data() + key * shape_.expert_bytes; }
  /// The layer's experts first, first + 1, ..., top_k of them, round the end.
  moe_plan dispatch(uint32_t layer, uint32_t first) {
    ids_.resize(shape_.top_k);
    for (uint32_t k = 0; k < shape_.top_k; ++k) ids_[k] = static_cast<int32_t>((first + k) % shape_.num_experts);
    moe_dispatch_args args{};
    args.struct_size = sizeof args;
    args.layer = layer;
    args.num_tokens = 1;
    args.top_k = shape_.top_k;
    args.ids = ids_.data();
    moe_plan plan{};
    plan.struct_size = sizeof plan;
    require(moe_dispatch(runtime_, &args, &plan));
    return plan;
  }
  void wait(const moe_plan& plan) const {
    for (uint32_t i = 0; i < plan.num_entries; ++i) require(moe_plan_wait(runtime_, &plan, i, nullptr));
  }
  void release(const moe_plan& plan) const { require(moe_plan_release(runtime_, &plan, nullptr)); }
  /// The router of a later layer, in advance and right.
  void hint(uint32_t layer, uint32_t first) const {
    std::vector<int32_t> ids(shape_.top_k);
    for (uint32_t k = 0; k < shape_.top_k; ++k) ids[k] = static_cast<int32_t>((first + k) % shape_.num_experts);
    const std::vector<float> sure(shape_.top_k, 1.0f);
    require(moe_hint(runtime_, layer, ids.data(), sure.data(), shape_.top_k));
  }
  moe_stats_t stats() const {
    moe_stats_t stats{};
    stats.struct_size = sizeof stats;
    require(moe_stats(runtime_, &stats));
    return stats;
  }

 private:
  const moe_model_shape shape_;
  std::vector<char> experts_;
  std::vector<int32_t> ids_;
  moe_runtime* runtime_ = nullptr;
};

moe_model_shape shape(uint32_t layers, uint32_t experts, uint32_t top_k, uint64_t bytes) {
  return {sizeof(moe_model_shape), layers, experts, top_k, bytes};
}

/// Every dispatch misses all of its experts: seconds for one round over them, and for memcpy of the same ones into as
/// many slots.
void bench_link(uint32_t rounds, uint64_t expert_bytes) {
  constexpr uint32_t kExperts = 48, kTopK = 8;
  Engine engine(shape(1, kExperts, kTopK, expert_bytes), "policy p { cache { capacity = 8 } }");
  std::vector<char> slots((kTopK + kTopK + 2) * expert_bytes);
  std::memset(slots.data(), 1, slots.size());
  std::vector<double> ratios, rates;
  for (uint32_t round = 0; round <= rounds; ++round) {
    auto begin = Clock::now();
    for (uint32_t first = 0; first < kExperts; first += kTopK) {
      const moe_plan plan = engine.dispatch(0, first);
      engine.wait(plan);
      engine.release(plan);
    }
    const double ours = seconds_since(begin);
    begin = Clock::now();
    for (uint32_t expert = 0; expert < kExperts; ++expert) {
      std::memcpy(slots.data() + expert % (kTopK + kTopK + 2) * expert_bytes, engine.expert(expert), expert_bytes);
    }
    const double plain = seconds_since(begin);
    if (round == 0) continue;  // pages of both are touched for the first time
    ratios.push_back(plain / ours);
    rates.push_back(static_cast<double>(kExperts * expert_bytes) / ours / 1e9);
  }
  fmt::print("host to fast tier, experts of {:.2f} MiB, 8 a dispatch: {:.2f} GB/s, {:.3f} x memcpy of the same\n",
             static_cast<double>(expert_bytes) / kMib, median(rates), median(ratios));
}

void compute(std::chrono::nanoseconds time) {
  for (const auto end = Clock::now() + time; Clock::now() < end;) {
  }
}

/// A pipeline of layers that compute for a time and need experts that are never there, each hinted two layers ahead, so
/// that neither side waits for the other's wake-ups.
void bench_overlap(uint32_t rounds) {
  constexpr uint32_t kLayers = 12, kExperts = 16, kTopK = 4;
  constexpr uint64_t kBytes = 256 << 10, kRate = 1 << 30;  // 1 ms of transfer for each layer
  constexpr double kTransfer = static_cast<double>(kTopK * kBytes) / kRate;
  for (const double share : {0.5, 1.0, 2.0}) {
    const double of_compute = share * kTransfer;
    std::vector<double> ratios, demand;
    for (uint32_t round = 0; round < rounds; ++round) {
      for (const bool hints : {false, true}) {
        Engine engine(shape(kLayers, kExperts, kTopK, kBytes),
                      hints
                          ? "policy p { cache { capacity = 20 } prefetch { strategy = gate budget = 4 lookahead = 2 } }"
                          : "policy p { cache { capacity = 20 } }",
                      kRate);
        constexpr uint32_t kTokens = 10;
        uint32_t layers = 0;
        Clock::time_point begin{};
        for (uint32_t token = 0; token <= kTokens; ++token) {
          if (token == 1) begin = Clock::now(), layers = 0;  // the first token finds nothing ahead of it
          for (uint32_t layer = 0; layer < kLayers; ++layer, ++layers) {
            const uint32_t first = token * kTopK % kExperts;
            const uint32_t ahead = token * kLayers + layer + 2;
            if (hints) engine.hint(ahead % kLayers, ahead / kLayers * kTopK % kExperts);
            const moe_plan plan = engine.dispatch(layer, first);
            engine.wait(plan);
            compute(std::chrono::nanoseconds(static_cast<int64_t>(of_compute * 1e9)));
            engine.release(plan);
          }
        }
        const double bound = layers * std::max(of_compute, kTransfer);
        (hints ? ratios : demand).push_back(seconds_since(begin) / bound);
      }
    }
    fmt::print(
        "overlap, computing {:.1f} x the transfers' time: {:.3f} x max(compute, transfer); by demand alone {:.3f}\n",
        share, median(ratios), median(demand));
  }
}

/// All experts are there: dispatch, wait for each, release.
void bench_plan(uint32_t rounds) {
  constexpr uint32_t kLayers = 27, kExperts = 64, kTopK = 6, kPlans = 27 * 400;
  Engine engine(shape(kLayers, kExperts, kTopK, 64), "policy p { cache { capacity = 100% } }");
  std::vector<double> dispatch, rest;
  for (uint32_t round = 0; round <= rounds; ++round) {
    double deciding = 0;
    const auto begin = Clock::now();
    for (uint32_t i = 0; i < kPlans; ++i) {
      const auto before = Clock::now();
      const moe_plan plan = engine.dispatch(i % kLayers, i * 7 % kExperts);
      deciding += seconds_since(before);
      engine.wait(plan);
      engine.release(plan);
    }
    if (round == 0) continue;  // the experts arrive
    dispatch.push_back(deciding / kPlans * 1e9);
    rest.push_back((seconds_since(begin) - deciding) / kPlans * 1e9);
  }
  fmt::print("a plan of 6 experts that are there, 27x64x6: moe_dispatch {:.0f} ns, its waits and release {:.0f} ns\n",
             *std::min_element(dispatch.begin(), dispatch.end()), *std::min_element(rest.begin(), rest.end()));
}

}  // namespace

int main(int argc, char** argv) {
  uint32_t rounds = 9;
  double expert_mib = 8;
  CLI::App app("The links of the runtime, on the host backend");
  app.add_option("--rounds", rounds, "of each figure; medians, of a plan the least")->check(CLI::Range(1, 1000));
  app.add_option("--expert", expert_mib, "MiB of an expert of the first figure")->check(CLI::Range(0.01, 64.0));
  CLI11_PARSE(app, argc, argv);
  bench_link(rounds, static_cast<uint64_t>(expert_mib * kMib));
  bench_overlap(std::min(rounds, 5u));
  bench_plan(rounds);
}
