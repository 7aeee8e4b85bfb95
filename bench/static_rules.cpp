// SPDX-License-Identifier: Apache-2.0
// DeepSeek-V2-Lite's shape, half of the experts resident in one cache, every default of the language.
#include "bench/static_params.h"

namespace moe::bench {
namespace {

using namespace decision;

constexpr StaticShape kShape{27, 64, 6};
constexpr uint32_t kCapacity = 27 * 64 / 2;

template <Eviction kRule>
constexpr Params kParams = default_params(kShape, kRule, kCapacity);

constexpr StaticKernel kKernels[] = {
    {"lru", static_kernel<Lru, kParams<Eviction::lru>>},
    {"lfu", static_kernel<Lfu, kParams<Eviction::lfu>>},
    {"score", static_kernel<Score, kParams<Eviction::score>>},
    {"sieve", static_kernel<Sieve, kParams<Eviction::sieve>>},
    {"s3_fifo", static_kernel<S3Fifo, kParams<Eviction::s3_fifo>>},
    {"arc", static_kernel<Arc, kParams<Eviction::arc>>},
    {"lirs", static_kernel<Lirs, kParams<Eviction::lirs>>},
    {"w_tinylfu", static_kernel<WTinyLfu, kParams<Eviction::w_tinylfu>>},
    {"random", static_kernel<Random, kParams<Eviction::random>>},
};
constexpr StaticKernels kAll{kShape.num_layers, kShape.num_experts, kShape.top_k, kKernels, std::size(kKernels)};

}  // namespace

const StaticKernels& static_rules_27x64x6() { return kAll; }

}  // namespace moe::bench
