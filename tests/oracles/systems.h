// SPDX-License-Identifier: Apache-2.0
// The models, each in its own file; README.md says what each follows.
#pragma once
#include <memory>
#include <vector>

#include "tests/oracles/system.h"

namespace moe::oracle {

using SystemPtr = std::unique_ptr<System>;

// Textbook caches. `slots` are per layer, except lfu's: one cache of all layers.
SystemPtr make_lru(const Shape&, uint32_t slots);
SystemPtr make_lfu(const Shape&, uint32_t slots, double decay, uint64_t decay_interval);
SystemPtr make_s3_fifo(const Shape&, uint32_t slots);

// Systems whose code is public.
SystemPtr make_mixtral_offloading(const Shape&, uint32_t offload_per_layer);
SystemPtr make_moe_infinity(const Shape&, uint32_t slots, uint32_t trace_capacity, uint32_t num_ahead);
SystemPtr make_fiddler(const Shape&, uint32_t slots, const std::vector<Pair>& popular);
SystemPtr make_hybrimoe(const Shape&, uint32_t slots, uint32_t prefetch_size);
SystemPtr make_finemoe(const Shape&, uint32_t slots, uint32_t distance, uint32_t store_capacity, uint32_t num_ahead);
SystemPtr make_adapmoe(const Shape&, const std::vector<uint32_t>& sizes, const std::vector<double>& thresholds);
SystemPtr make_ktransformers_uniform(const Shape&, uint32_t per_layer);
SystemPtr make_ktransformers_frequency(const Shape&, uint32_t total, const std::vector<Pair>& by_frequency);
SystemPtr make_ktransformers_dynamic(const Shape&, uint32_t per_layer, uint32_t token_threshold);
SystemPtr make_chronos(const Shape&, uint32_t vram_experts);
SystemPtr make_chronos_by_layer(const Shape&, uint32_t slots, double keep);
SystemPtr make_llama_cpp_static(const Shape&, uint32_t num_cpu_layers);
SystemPtr make_llama_cpp_lru(const Shape&, uint32_t slots, uint32_t inserts);
SystemPtr make_vllm_lfru(const Shape&, uint32_t slots);

// Systems of which only a paper is known.
SystemPtr make_expertflow(const Shape&, uint32_t slots, uint32_t num_ahead);
SystemPtr make_promoe(const Shape&, uint32_t slots, uint32_t num_ahead);
SystemPtr make_hobbit(const Shape&, uint32_t slots, double high_precision_from);
SystemPtr make_daop(const Shape&, uint32_t slots);

}  // namespace moe::oracle
