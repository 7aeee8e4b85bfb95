// SPDX-License-Identifier: Apache-2.0
// bench/policies/composed.moe: each layer's experts in order of last use, with an age at which they leave and a limit
// of memory; misses are computed on the host and loaded behind; the next layer's favourites are fetched.
#pragma once
#include "bench/baselines/history.h"

namespace moe::bench {

template <class M>
class Composed {
 public:
  uint32_t dispatch(const decision::Input& in, decision::Output& out) {
    const uint32_t n = selection_.collect(in, out);
    if (n == decision::kNone) return decision::kInvalid;
    out.num_evicted = 0;
    use(in.layer, out, n);
    history_.record(in.layer, out.expert, n);
    prefetch(M::kNext(in.layer), out);
    if (resident_ >= kThreshold) relieve(in.layer, out);
    expire(in.layer, out);
    out.num_entries = n;
    out.num_fired = out.num_dropped = 0;
    return decision::kOk;
  }

 private:
  static constexpr uint32_t kCapacity = M::kExperts < 16 ? M::kExperts : 16;
  static constexpr uint64_t kTtl = 500;
  static constexpr uint32_t kBudget = 4;

  static constexpr double share(uint32_t residents) { return residents * 1.2 / (16.0 * M::kLayers); }
  static constexpr uint32_t least_at_threshold() {
    uint32_t residents = 0;
    while (!(share(residents) >= 0.9)) ++residents;
    return residents;
  }
  static constexpr uint32_t most_within_headroom() {
    uint32_t residents = 0;
    while (share(residents + 1) <= 0.7) ++residents;
    return residents;
  }
  static constexpr uint32_t kThreshold = least_at_threshold();
  static constexpr uint32_t kHeadroom = most_within_headroom();

  struct Cache {
    List<M::kExperts> list;
    uint64_t last_use[M::kExperts];
    bool resident[M::kExperts] = {};
    uint64_t accesses = 0;
    uint32_t used = 0;
  };

  void use(uint32_t layer, decision::Output& out, uint32_t n) {
    Cache& cache = caches_[layer];
    const uint64_t before = cache.accesses;
    cache.accesses += n;
    uint32_t hits = 0;
    for (uint32_t j = 0; j < n; ++j) {
      const bool hit = cache.resident[out.expert[j]];
      out.action[j] = hit ? decision::kHit : decision::kCpuLoad;
      hits += hit;
      if (hit) cache.list.remove(out.expert[j]);
    }
    // Whoever may leave is at the head now, before what this dispatch appends.
    uint32_t others = cache.used - hits;
    for (uint32_t j = 0; j < n; ++j) {
      const uint32_t e = out.expert[j];
      if (out.action[j] != decision::kHit) {
        if (cache.used == kCapacity && others == 0) {
          out.action[j] = decision::kCpu;
          continue;
        }
        if (cache.used == kCapacity) {
          evict(layer, cache.list.head(), out);
          --others;
        }
        enter(cache, e);
      }
      cache.last_use[e] = before + j + 1;
      cache.list.append(e);
    }
  }

  void prefetch(uint32_t layer, decision::Output& out) {
    Cache& cache = caches_[layer];
    uint32_t wanted[kBudget];
    const uint32_t n = history_.best(layer, [&](uint32_t e) { return cache.resident[e]; }, wanted);
    out.num_prefetched = 0;
    for (uint32_t j = 0; j < n; ++j) {
      if (cache.used == kCapacity) {
        const uint32_t count = history_.count(layer, wanted[j]);
        uint32_t victim = cache.list.head();
        while (victim != cache.list.kEnd && history_.count(layer, victim) >= count) victim = cache.list.next(victim);
        if (victim == cache.list.kEnd) continue;
        evict(layer, victim, out);
      }
      enter(cache, wanted[j]);
      cache.last_use[wanted[j]] = cache.accesses;
      cache.list.append(wanted[j]);
      out.prefetched[out.num_prefetched++] = layer * M::kExperts + wanted[j];
    }
  }

  /// From this layer on; the experts of the dispatch last.
  void relieve(uint32_t layer, decision::Output& out) {
    for (const bool spare : {true, false}) {
      for (uint32_t step = 0; step < M::kLayers; ++step) {
        const uint32_t from = (layer + step) % M::kLayers;
        const auto& list = caches_[from].list;
        for (uint32_t e = list.head(), next; e != list.kEnd; e = next) {
          if (resident_ <= kHeadroom) return;
          next = list.next(e);
          if (!spare || from != layer || !selection_.has(e)) evict(from, e, out);
        }
      }
    }
  }

  void expire(uint32_t layer, decision::Output& out) {
    const Cache& cache = caches_[layer];
    if (cache.accesses < kTtl) return;
    for (uint32_t e = cache.list.head(); e != cache.list.kEnd; e = cache.list.head()) {
      if (cache.last_use[e] > cache.accesses - kTtl) return;
      evict(layer, e, out);
    }
  }

  void enter(Cache& cache, uint32_t e) {
    cache.resident[e] = true;
    ++cache.used;
    ++resident_;
  }
  void evict(uint32_t layer, uint32_t e, decision::Output& out) {
    Cache& cache = caches_[layer];
    cache.list.remove(e);
    cache.resident[e] = false;
    --cache.used;
    --resident_;
    out.evicted[out.num_evicted++] = layer * M::kExperts + e;
  }

  Selection<M> selection_;
  History<M, 50, kBudget> history_;
  uint32_t resident_ = 0;
  Cache caches_[M::kLayers];
};

}  // namespace moe::bench
