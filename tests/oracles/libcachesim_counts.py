#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hit counts of libCacheSim for the sequences of tests/ir/queue_rule_test.cpp: the source of tests/ir/queue_counts.h.

    pip install libcachesim==0.3.5 && python3 tests/oracles/libcachesim_counts.py > tests/ir/queue_counts.h
    python3 tests/oracles/libcachesim_counts.py --trace gpt-oss-20b-decode.npz

The second prints the table of tests/replay/queue_trace_test.cpp, and needs numpy.

Objects have size 1. S3-FIFO is `S3FIFOv0`, which is the paper's algorithm (`S3FIFO` fills the main queue before the
cache is full), with a small queue of 10 % and 90 % of ghosts: capacities are multiples of 10, and at least 20, since it
refuses objects as large as the small queue. W-TinyLFU's window has at least one place.
"""
import sys

import libcachesim
from libcachesim import libcachesim_python as core

MASK = (1 << 64) - 1
NUM_KEYS = 500
NUM_ACCESSES = 20000
CAPACITIES = [20, 50, 100, 200]


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def zipf(rng, cumulative):
    """A rank; rank r has weight 1000000 // (r + 1)."""
    r = rng.next() % cumulative[-1]
    return next(i for i, c in enumerate(cumulative) if r < c)


def sequence(kind):
    """0: Zipf. 1: Zipf whose ranking moves on. 2: Zipf with loops over 150 keys between. 3: a loop, slightly random."""
    cumulative, total = [], 0
    for r in range(NUM_KEYS):
        total += 1000000 // (r + 1)
        cumulative.append(total)
    rng = SplitMix(1000 + kind)
    keys = []
    for i in range(NUM_ACCESSES):
        if kind == 3:
            keys.append((i + rng.next() % 40) % 120)
        elif kind == 2 and i // 500 % 2 == 1:
            keys.append(300 + i % 150)
        else:
            shift = 7 * (i // 200) if kind == 1 else 0
            keys.append((zipf(rng, cumulative) + shift) % NUM_KEYS)
    return keys


def s3_fifo(capacity):
    params = core.CommonCacheParams(cache_size=capacity, default_ttl=86400 * 300, hashpower=16,
                                    consider_obj_metadata=False)
    return core.S3FIFOv0_init(params, "small-size-ratio=0.1,ghost-size-ratio=0.9,move-to-main-threshold=2")


RULES = {
    "sieve": lambda c: libcachesim.Sieve(c),
    "s3_fifo": s3_fifo,
    "arc": lambda c: libcachesim.ARC(c),
    "lirs": lambda c: libcachesim.LIRS(c),
    "w_tinylfu": lambda c: libcachesim.WTinyLFU(c, window_size=max(0.01, 1.0 / c)),
}


def hits(rule, capacity, keys):
    cache = RULES[rule](capacity)
    request = core.Request(obj_size=1)
    count = 0
    for i, key in enumerate(keys):
        request.obj_id = key + 1
        request.clock_time = i
        count += cache.get(request)
    return count


def print_header():
    print("// SPDX-License-Identifier: Apache-2.0")
    print(f"// Made by tests/oracles/libcachesim_counts.py with libcachesim {libcachesim.__version__}. Do not edit.")
    print("#pragma once")
    print("#include <cstdint>\n")
    print('#include "ir/policy.h"\n')
    print("namespace moe::ir::test {\n")
    print(f"inline constexpr uint32_t kSequenceKeys = {NUM_KEYS};")
    print(f"inline constexpr uint32_t kSequenceLength = {NUM_ACCESSES};\n")
    print("struct Count {\n  Eviction rule;\n  uint32_t sequence;\n  uint32_t capacity;\n  uint32_t hits;\n};\n")
    print("inline constexpr Count kCounts[] = {")
    for kind in range(4):
        keys = sequence(kind)
        for rule in RULES:
            for capacity in CAPACITIES:
                print(f"    {{Eviction::{rule}, {kind}, {capacity}, {hits(rule, capacity, keys)}}},")
    print("};\n")
    print("}  // namespace moe::ir::test")


def print_trace(path):
    import numpy
    experts = numpy.load(path)["experts"].astype(int)
    layers = experts.shape[1]
    keys = (experts + 32 * numpy.arange(layers)[None, :, None]).reshape(-1)[:100000].tolist()
    for rule in RULES:
        for capacity in [100, 190, 400]:
            print(f"    {{Eviction::{rule}, {capacity}, {hits(rule, capacity, keys)}}},")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--trace":
        print_trace(sys.argv[2])
    else:
        print_header()
