// SPDX-License-Identifier: Apache-2.0
// The kernels as the code generator links them: clang compiles this file to bitcode, and a policy takes the one it
// names.
#include "runtime/decision/kernel.h"
#include "runtime/decision/values.h"

#define MOE_KERNEL(name, Rule)                                                                              \
  extern "C" uint32_t moe_kernel_##name(const moe::decision::Params* params, void* state,                   \
                                        const moe::decision::Input* input, moe::decision::Output* output) { \
    return moe::decision::dispatch<moe::decision::Rule>(*params, state, *input, *output);                   \
  }

MOE_KERNEL(lru, Lru)
MOE_KERNEL(fifo, Fifo)
MOE_KERNEL(lfu, Lfu)
MOE_KERNEL(score, Score)
MOE_KERNEL(freq_threshold, FreqThreshold)
MOE_KERNEL(sieve, Sieve)
MOE_KERNEL(s3_fifo, S3Fifo)
MOE_KERNEL(arc, Arc)
MOE_KERNEL(lirs, Lirs)
MOE_KERNEL(w_tinylfu, WTinyLfu)
MOE_KERNEL(random, Random)
MOE_KERNEL(least, Least)
