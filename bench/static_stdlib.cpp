// SPDX-License-Identifier: Apache-2.0
// Those of stdlib-policies/*.moe that have neither expressions nor rules that change, for DeepSeek-V3's shape.
#include "bench/static_params.h"

namespace moe::bench {
namespace {

using namespace decision;

constexpr StaticShape kShape{61, 256, 8};
constexpr uint32_t kHalf = 128;
constexpr uint32_t kQuarter = 64;

constexpr Params kLru = layer_params(kShape, Eviction::lru, kHalf);
constexpr Params kFifo = layer_params(kShape, Eviction::fifo, kHalf);

constexpr Params kLfu = [] {
  Params p = default_params(kShape, Eviction::lfu, kShape.num_layers * kQuarter);
  p.frequency_decay = 0.9;
  p.decay_interval = 1000;
  return p;
}();

constexpr Params kScore = [] {
  Params p = layer_params(kShape, Eviction::score, kQuarter);
  p.score_ema_alpha = 0.5;
  p.hybrid = 1;
  return p;
}();

constexpr Params kFreqThreshold = [] {
  Params p = layer_params(kShape, Eviction::freq_threshold, kHalf);
  p.freq_threshold = 0.008;
  p.freq_window = 512;
  return p;
}();

constexpr Params kS3Fifo = [] {
  Params p = layer_params(kShape, Eviction::s3_fifo, kHalf);
  p.protect_selected = 0;
  return p;
}();

constexpr Params kCpuFallback = [] {
  Params p = layer_params(kShape, Eviction::lru, kQuarter);
  p.miss = static_cast<uint32_t>(MissAction::cpu_load);
  return p;
}();

constexpr StaticKernel kKernels[] = {
    {"lru", static_kernel<Lru, kLru>},
    {"fifo", static_kernel<Fifo, kFifo>},
    {"lfu", static_kernel<Lfu, kLfu>},
    {"score", static_kernel<Score, kScore>},
    {"freq_threshold", static_kernel<FreqThreshold, kFreqThreshold>},
    {"s3_fifo", static_kernel<S3Fifo, kS3Fifo>},
    {"cpu_fallback", static_kernel<Lru, kCpuFallback>},
};
constexpr StaticKernels kAll{kShape.num_layers, kShape.num_experts, kShape.top_k, kKernels, std::size(kKernels)};

}  // namespace

const StaticKernels& static_stdlib_61x256x8() { return kAll; }

}  // namespace moe::bench
