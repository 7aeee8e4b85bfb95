// SPDX-License-Identifier: Apache-2.0
// How long moe_dispatch takes while policies are swapped from another thread, against no swaps: 27 layers x 64 experts,
// top-6, experts of 64 bytes, compiled policies. Rounds with and without swaps alternate; figures are medians of
// rounds.
//
//   build/release/bin/bench-swap [ROUNDS] [SWAPS-PER-ROUND]
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "moe/moe.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kLayers = 27, kExperts = 64, kTopK = 6;
constexpr size_t kDispatches = 400'000;  // in a round
constexpr uint32_t kFew = 3;

void require(moe_status status, const char* what) {
  if (status == MOE_OK) return;
  fmt::print(stderr, "bench-swap: {}: {}\n", what, moe_last_error());
  std::exit(3);
}

moe_policy* compile(const char* text) {
  moe_compile_options options{};
  options.struct_size = sizeof options;
  options.opt_level = 2;
  options.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, 0};
  options.wait = 1;
  moe_policy* policy = nullptr;
  require(moe_policy_compile(text, std::strlen(text), &options, &policy, nullptr), "compiling a policy");
  return policy;
}

struct Figures {
  double p50 = 0, p99 = 0, p999 = 0, most = 0;  // ns
};

class Bench {
 public:
  Bench() {
    policies_ = {compile("policy a { cache { capacity = 50%  eviction = lru } }"),
                 compile("policy b { cache { capacity = 50%  eviction = lfu } }"),
                 compile("policy c { cache { capacity = 40%  eviction = s3_fifo } }")};
    moe_runtime_config config{};
    config.struct_size = sizeof config;
    config.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, sizeof bytes_};
    require(moe_runtime_create(&config, &runtime_), "creating a runtime");
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      for (uint32_t e = 0; e < kExperts; ++e)
        require(moe_store_add(runtime_, layer, e, bytes_, sizeof bytes_), "store");
    }
    require(moe_policy_attach(runtime_, policies_[0]), "attaching");
    std::mt19937_64 engine(20'240'501);
    const auto unit = [&engine] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
    for (size_t d = 0; d < 2000 * kLayers; ++d) {
      for (size_t k = 0; k < kTopK;) {
        const auto id = static_cast<int32_t>(kExperts * std::pow(unit(), 1.6));
        if (std::find(ids_.end() - static_cast<long>(k), ids_.end(), id) != ids_.end()) continue;
        ids_.push_back(id);
        ++k;
      }
    }
  }
  ~Bench() {
    moe_runtime_destroy(runtime_);
    for (moe_policy* policy : policies_) moe_policy_destroy(policy);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  /// `swaps`: spread over the round.
  Figures round(uint32_t swaps) {
    std::atomic<size_t> done{0};
    std::thread swapper([&] {
      for (uint32_t n = 0; n < swaps; ++n) {
        while (done.load(std::memory_order_relaxed) < kDispatches / swaps * n) {
          std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        require(moe_policy_attach(runtime_, policies_[++attached_ % policies_.size()]), "attaching");
      }
    });
    std::vector<float> times;
    times.reserve(kDispatches);
    for (size_t i = 0; i < kDispatches; ++i) {
      moe_dispatch_args args{};
      args.struct_size = sizeof args;
      args.layer = static_cast<uint32_t>(i % kLayers);
      args.num_tokens = 1;
      args.top_k = kTopK;
      args.ids = &ids_[i % (ids_.size() / kTopK) * kTopK];
      moe_plan plan{};
      plan.struct_size = sizeof plan;
      const Clock::time_point begin = Clock::now();
      require(moe_dispatch(runtime_, &args, &plan), "dispatching");
      times.push_back(std::chrono::duration<float, std::nano>(Clock::now() - begin).count());
      for (uint32_t entry = 0; entry < plan.num_entries; ++entry) {
        require(moe_plan_wait(runtime_, &plan, entry, nullptr), "waiting");
      }
      require(moe_plan_release(runtime_, &plan, nullptr), "releasing");
      done.store(i + 1, std::memory_order_relaxed);
    }
    swapper.join();
    std::sort(times.begin(), times.end());
    const auto at = [&](double share) { return times[static_cast<size_t>(share * static_cast<double>(times.size()))]; };
    return {at(0.5), at(0.99), at(0.999), times.back()};
  }
  uint64_t swaps() const {
    moe_stats_t stats{};
    stats.struct_size = sizeof stats;
    require(moe_stats(runtime_, &stats), "statistics");
    return stats.swaps;
  }

 private:
  char bytes_[64] = {};
  std::vector<moe_policy*> policies_;
  std::vector<int32_t> ids_;
  moe_runtime* runtime_ = nullptr;
  size_t attached_ = 0;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void print(const char* name, const std::vector<Figures>& rounds) {
  const auto of = [&](double Figures::* member) {
    std::vector<double> values;
    for (const Figures& figures : rounds) values.push_back(figures.*member);
    return median(values);
  };
  fmt::print("{:<14} p50 {:>6.0f} ns   p99 {:>7.0f} ns   p99.9 {:>8.0f} ns   most {:>9.0f} ns\n", name,
             of(&Figures::p50), of(&Figures::p99), of(&Figures::p999), of(&Figures::most));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  const uint32_t swaps = argc > 2 ? static_cast<uint32_t>(std::max(1, std::atoi(argv[2]))) : 150;
  Bench bench;
  bench.round(0);  // warm
  std::vector<Figures> without, with;
  for (int i = 0; i < rounds; ++i) {
    without.push_back(bench.round(kFew));
    with.push_back(bench.round(swaps));
  }
  print("3 swaps", without);
  print(fmt::format("{} swaps", swaps).c_str(), with);
  fmt::print("{} swaps took effect in {} dispatches\n", bench.swaps(), kDispatches * static_cast<size_t>(rounds));
}
