// SPDX-License-Identifier: Apache-2.0
// How fast experts of the streaming layout are dequantized: bytes of output written in a second, against memcpy of as
// many bytes. Each iteration times a copy and a decode, one after the other, into the same memory.
//
//   build/release/bin/bench-codecs [google-benchmark's options]
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <time.h>

#include <hwy/targets.h>
#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "runtime/precision/stream.h"

namespace {

using namespace moe::precision;

// Gate, up and down of an expert of DeepSeek-V2-Lite: 8.7 M weights, 17.3 MB as bf16.
constexpr uint64_t kHidden = 2048;
constexpr uint64_t kIntermediate = 1408;

struct Case {
  Format format;
  uint32_t group;
  moe_dtype dtype;  ///< of scales and of the output
};

std::vector<PartShape> parts_of(moe_dtype dtype) {
  return {{dtype, kIntermediate, kHidden, true},
          {dtype, kIntermediate, kHidden, true},
          {dtype, kHidden, kIntermediate, true}};
}

/// One expert in one format, and where it goes.
struct Expert {
  explicit Expert(const Case& c) : stream(*ExpertStream::plan(parts_of(c.dtype), {c.format, c.group})) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.02F);
    extent.resize(stream.size_bytes());
    std::vector<const void*> sources;
    for (const PartExtent& part : stream.parts()) {
      const uint64_t count = part.shape.rows * part.shape.cols;
      std::vector<uint8_t> weights(count * size_of(c.dtype));
      for (uint64_t i = 0; i < count; ++i) store(c.dtype, weights.data(), i, normal(random));
      originals.push_back(std::move(weights));
      output.emplace_back(originals.back().size());
      sources.push_back(originals.back().data());
    }
    for (auto& part : output) targets.push_back(part.data());
    good = stream.encode(sources, extent.data()).ok();
  }

  uint64_t output_bytes() const {
    uint64_t total = 0;
    for (const auto& part : output) total += part.size();
    return total;
  }

  ExpertStream stream;
  std::vector<uint8_t> extent;
  std::vector<std::vector<uint8_t>> originals;
  std::vector<std::vector<uint8_t>> output;
  std::vector<void*> targets;
  bool good = false;
};

template <class F>
double seconds(F&& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double begin = now();
  work();
  benchmark::ClobberMemory();
  return now() - begin;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double least(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }

void decode(benchmark::State& state, const Case& c, int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  Expert expert(c);
  if (!expert.good) {
    state.SkipWithError("the expert was not encoded");
    return;
  }
  std::vector<double> copies;
  std::vector<double> decodes;
  for (auto _ : state) {
    copies.push_back(seconds([&] {
      for (size_t p = 0; p < expert.output.size(); ++p) {
        std::memcpy(expert.targets[p], expert.originals[p].data(), expert.output[p].size());
      }
    }));
    decodes.push_back(seconds([&] { expert.stream.decode(expert.extent.data(), c.dtype, expert.targets.data()); }));
    state.SetIterationTime(decodes.back());
  }
  const auto bytes = static_cast<double>(expert.output_bytes());
  state.counters["out_GBps"] = bytes / least(decodes) / 1e9;
  state.counters["memcpy_GBps"] = bytes / least(copies) / 1e9;
  state.counters["of_memcpy"] = least(copies) / least(decodes);
  state.counters["of_memcpy_median"] = median(copies) / median(decodes);
  state.counters["extent_MB"] = static_cast<double>(expert.extent.size()) / 1e6;
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

const char* word(moe_dtype dtype) { return dtype == MOE_F16 ? "f16" : "bf16"; }

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  constexpr std::pair<Format, uint32_t> kFormats[] = {
      {Format::qint8, 0},     {Format::qint4, 128}, {Format::qint4, 32},   {Format::qint2, 128},
      {Format::f8_e4m3fn, 0}, {Format::f8_e5m2, 0}, {Format::hadamard4, 0}};
  for (const auto& [format, group] : kFormats) {
    for (const moe_dtype dtype : {MOE_F16, MOE_BF16}) {
      for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
        std::string name = fmt::format("{}{}/{}/{}", info(format).name, group ? fmt::format("_g{}", group) : "",
                                       word(dtype), hwy::TargetName(target));
        benchmark::RegisterBenchmark(name.c_str(), decode, Case{format, group, dtype}, target)
            ->UseManualTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
