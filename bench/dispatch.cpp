// SPDX-License-Identifier: Apache-2.0
// ns per dispatch of JIT-compiled eviction rules, 27 layers x 64 experts, top-6, against the same kernels compiled
// statically by clang -O3 -march=native. The two are measured in random interleaving; the ratio is of medians.
//
//   build/release/bin/bench-dispatch            a table; --benchmark_... options are Google Benchmark's
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>

#include "bench/static_kernels.h"
#include "codegen/compiler.h"
#include "runtime/decision/output_arrays.h"
#include "runtime/decision/state.h"

namespace {

using namespace moe;

/// Skewed routing with reuse; the same on every machine.
struct Routing {
  std::vector<int32_t> ids;
  std::vector<float> weights;
  size_t num_dispatches = 0;
};

Routing make_routing(size_t tokens) {
  Routing routing;
  std::mt19937_64 engine(20'240'501);
  auto unit = [&engine] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
  for (size_t d = 0; d < tokens * bench::kLayers; ++d) {
    std::array<int32_t, bench::kTopK> chosen{};
    for (size_t k = 0; k < chosen.size();) {
      const auto id = static_cast<int32_t>(bench::kExperts * std::pow(unit(), 1.6));
      if (std::find(chosen.begin(), chosen.begin() + k, id) == chosen.begin() + k) chosen[k++] = id;
    }
    routing.ids.insert(routing.ids.end(), chosen.begin(), chosen.end());
    for (size_t k = 0; k < chosen.size(); ++k) routing.weights.push_back(static_cast<float>(unit()));
  }
  routing.num_dispatches = tokens * bench::kLayers;
  return routing;
}

const Routing& routing() {
  static const Routing made = make_routing(2000);
  return made;
}

/// A state and the arrays a dispatch writes to.
class Bench {
 public:
  explicit Bench(const decision::Params& params) : arrays_(decision::output_sizes(params, 1, 0)) {
    const size_t bytes = (decision::state_bytes(params) + 63) & ~size_t{63};
    state_.reset(std::aligned_alloc(64, bytes));
    decision::init_state(params, state_.get());
  }

  void run(benchmark::State& loop, decision::DispatchFn dispatch) {
    const Routing& routed = routing();
    decision::Output out = arrays_.output();
    size_t d = 0;
    uint64_t hits = 0;
    for (auto _ : loop) {
      decision::Input in{};
      in.layer = static_cast<uint32_t>(d % bench::kLayers);
      in.num_tokens = 1;
      in.top_k = bench::kTopK;
      in.ids = &routed.ids[d * bench::kTopK];
      in.weights = &routed.weights[d * bench::kTopK];
      if (dispatch(state_.get(), &in, &out) != decision::kOk) loop.SkipWithError("the dispatch was refused");
      for (uint32_t e = 0; e < out.num_entries; ++e) hits += out.action[e] == decision::kHit;
      if (++d == routed.num_dispatches) d = 0;
    }
    loop.counters["hit_rate"] = static_cast<double>(hits) / static_cast<double>(loop.iterations() * bench::kTopK);
  }

 private:
  struct Free {
    void operator()(void* block) const { std::free(block); }
  };
  std::unique_ptr<void, Free> state_;
  decision::OutputArrays arrays_;
};

struct Case {
  const char* name;
  ir::Eviction ir_eviction;
  decision::Eviction eviction;
  decision::DispatchFn compiled;
};
constexpr Case kCases[] = {
    {"lru", ir::Eviction::lru, decision::Eviction::lru, bench::bench_static_lru},
    {"lfu", ir::Eviction::lfu, decision::Eviction::lfu, bench::bench_static_lfu},
    {"score", ir::Eviction::score, decision::Eviction::score, bench::bench_static_score},
    {"sieve", ir::Eviction::sieve, decision::Eviction::sieve, bench::bench_static_sieve},
    {"s3_fifo", ir::Eviction::s3_fifo, decision::Eviction::s3_fifo, bench::bench_static_s3_fifo},
    {"arc", ir::Eviction::arc, decision::Eviction::arc, bench::bench_static_arc},
    {"lirs", ir::Eviction::lirs, decision::Eviction::lirs, bench::bench_static_lirs},
    {"w_tinylfu", ir::Eviction::w_tinylfu, decision::Eviction::w_tinylfu, bench::bench_static_w_tinylfu},
    {"random", ir::Eviction::random, decision::Eviction::random, bench::bench_static_random},
};

ir::BoundPolicy bound_policy(ir::Eviction eviction) {
  ir::BoundPolicy policy;
  policy.name = "bench";
  policy.shape = {bench::kLayers, bench::kExperts, bench::kTopK, 0};
  policy.eviction = eviction;
  policy.capacity = bench::kCapacity;
  return policy;
}

/// Keeps every repetition's time besides printing the usual table.
class MedianReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Iteration && !run.error_occurred) {
        times_[run.benchmark_name()].push_back(run.GetAdjustedCPUTime());
      }
    }
    ConsoleReporter::ReportRuns(runs);
  }
  double median(const std::string& name) {
    for (auto& [full_name, times] : times_) {
      if (full_name.rfind(name + "/", 0) != 0 || times.empty()) continue;
      std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
      return times[times.size() / 2];
    }
    return 0;
  }

 private:
  std::map<std::string, std::vector<double>> times_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string interleave = "--benchmark_enable_random_interleaving=true";
  std::string aggregates = "--benchmark_display_aggregates_only=false";
  arguments.insert(arguments.begin() + 1, {interleave.data(), aggregates.data()});
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

  std::vector<std::unique_ptr<codegen::JitPolicy>> policies;
  for (const Case& c : kCases) {
    Result<std::unique_ptr<codegen::JitPolicy>> jit = codegen::jit(bound_policy(c.ir_eviction), {});
    if (!jit) {
      fmt::print(stderr, "bench-dispatch: {}\n", jit.error().message);
      return 3;
    }
    policies.push_back(std::move(*jit));
    const decision::DispatchFn compiled = policies.back()->descriptor().dispatch;
    const auto add = [&c](const char* who, decision::DispatchFn dispatch) {
      benchmark::RegisterBenchmark(
          (std::string(c.name) + "/" + who).c_str(),
          [&c, dispatch](benchmark::State& loop) { Bench(bench::bench_params(c.eviction)).run(loop, dispatch); })
          ->Repetitions(15)
          ->MinTime(0.05)
          ->MinWarmUpTime(0.05);
    };
    add("jit", compiled);
    add("static", c.compiled);
  }
  MedianReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  fmt::print("\n{:<9} {:>10} {:>10} {:>8}\n", "policy", "jit ns", "static ns", "ratio");
  for (const Case& c : kCases) {
    const double jit = reporter.median(std::string(c.name) + "/jit");
    const double compiled = reporter.median(std::string(c.name) + "/static");
    if (compiled > 0) fmt::print("{:<9} {:>10.1f} {:>10.1f} {:>8.3f}\n", c.name, jit, compiled, jit / compiled);
  }
}
