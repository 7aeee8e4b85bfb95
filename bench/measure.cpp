// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <iostream>

namespace moe::bench {
namespace {

/// The decision alone. From a state that the warm-up has filled on.
void time_decisions(benchmark::State& loop, Contender contender, const Routing& routing) {
  const uint32_t top_k = routing.shape.top_k;
  decision::Input in{};
  in.num_tokens = 1;
  in.top_k = top_k;
  in.phase = 1;
  const decision::DispatchFn code = contender.code();
  void* const state = contender.state();
  decision::Output& out = contender.arrays();
  size_t d = 0;
  uint32_t layer = 0;
  uint32_t refused = 0;
  for (auto _ : loop) {
    in.layer = layer;
    in.ids = &routing.ids[d * top_k];
    in.weights = &routing.weights[d * top_k];
    refused |= code(state, &in, &out);
    if (++layer == routing.shape.num_layers) layer = 0;
    if (++d == routing.num_dispatches) d = 0;
  }
  if (refused != decision::kOk) loop.SkipWithError("a dispatch was refused");
}

template <class Make>
void add(const std::string& name, const Routing& routing, Make make) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [&routing, make](benchmark::State& loop) { time_decisions(loop, make(), routing); })
      ->Repetitions(11)
      ->MinTime(0.02)
      ->MinWarmUpTime(0.02);
}

/// Keeps every repetition's time.
class Keeper : public benchmark::ConsoleReporter {
 public:
  explicit Keeper(bool verbose) : ConsoleReporter(OO_Tabular), verbose_(verbose) {
    SetOutputStream(&std::cerr);
    SetErrorStream(&std::cerr);
  }
  bool ReportContext(const Context& context) override { return !verbose_ || ConsoleReporter::ReportContext(context); }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const std::string& name = run.run_name.function_name;
      const bool manual = run.run_name.time_type == "manual_time";
      times_[name].push_back(manual ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime());
    }
    if (verbose_) ConsoleReporter::ReportRuns(runs);
  }
  std::map<std::string, std::vector<double>>& times() { return times_; }

 private:
  bool verbose_;
  std::map<std::string, std::vector<double>> times_;
};

}  // namespace

void register_rows(std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const decision::Params& params = *row.jit->descriptor().params;
    const auto kernel = [&](const char* who, decision::DispatchFn code) {
      add(row.name() + "/" + who, *row.routing, [&params, code] { return Contender(params, code); });
    };
    kernel("jit", row.jit->descriptor().dispatch);
    if (row.compiled != nullptr) kernel("static", row.compiled);
    if (row.by_hand == nullptr) continue;
    add(row.name() + "/hand", *row.routing, [&params, &by_hand = *row.by_hand] { return Contender(params, by_hand); });
  }
}

std::map<std::string, std::vector<double>> run_registered(bool verbose) {
  Keeper keeper(verbose);
  benchmark::RunSpecifiedBenchmarks(&keeper);
  return std::move(keeper.times());
}

std::optional<Times> times_of(std::map<std::string, std::vector<double>>& all, const std::string& name) {
  const auto found = all.find(name);
  if (found == all.end() || found->second.empty()) return std::nullopt;
  std::vector<double>& times = found->second;
  std::sort(times.begin(), times.end());
  return Times{times[times.size() / 2], times.front()};
}

}  // namespace moe::bench
