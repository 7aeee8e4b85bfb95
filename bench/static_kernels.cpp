// SPDX-License-Identifier: Apache-2.0
#include "bench/static_kernels.h"

#include "runtime/decision/kernel.h"

#define BENCH_KERNEL(name, Rule, kind)                                                                        \
  extern "C" uint32_t bench_static_##name(void* state, const moe::decision::Input* input,                     \
                                          moe::decision::Output* output) {                                    \
    static constexpr moe::decision::Params kParams = moe::bench::bench_params(moe::decision::Eviction::kind); \
    return moe::decision::dispatch<moe::decision::Rule>(kParams, state, *input, *output);                     \
  }

BENCH_KERNEL(lru, Lru, lru)
BENCH_KERNEL(lfu, Lfu, lfu)
BENCH_KERNEL(score, Score, score)
BENCH_KERNEL(sieve, Sieve, sieve)
BENCH_KERNEL(s3_fifo, S3Fifo, s3_fifo)
BENCH_KERNEL(arc, Arc, arc)
BENCH_KERNEL(lirs, Lirs, lirs)
BENCH_KERNEL(w_tinylfu, WTinyLfu, w_tinylfu)
BENCH_KERNEL(random, Random, random)
