// SPDX-License-Identifier: Apache-2.0
// bench/policies/lfu_history.moe: each layer's experts by frequency, which fades; misses are computed on the host and
// loaded behind; the next layer's favourites are fetched.
#pragma once
#include <limits>

#include "bench/baselines/history.h"

namespace moe::bench {

template <class M>
class LfuHistory {
 public:
  LfuHistory() {
    for (auto& layer : slot_of_) {
      for (uint8_t& slot : layer) slot = kNowhere;
    }
    for (Cache& cache : caches_) {
      for (double& freq : cache.freq) freq = kFree;
    }
  }

  uint32_t dispatch(const decision::Input& in, decision::Output& out) {
    const uint32_t n = selection_.collect(in, out);
    if (n == decision::kNone) return decision::kInvalid;
    out.num_evicted = 0;
    if (count_accesses(in.layer, out, n) != 0) load_misses(in.layer, out, n);
    history_.record(in.layer, out.expert, n);
    prefetch(M::kNext(in.layer), out);
    out.num_entries = n;
    out.num_fired = out.num_dropped = 0;
    return decision::kOk;
  }

 private:
  static constexpr uint32_t kCapacity = M::kExperts < 16 ? M::kExperts : 16;
  static constexpr uint32_t kDecayInterval = 100;
  static constexpr double kDecay = 0.9;
  static constexpr uint32_t kBudget = 4;
  static constexpr uint8_t kNowhere = 255;
  static constexpr double kFree = std::numeric_limits<double>::infinity();  ///< also of who may not leave now

  struct Cache {
    double freq[kCapacity];
    uint64_t load[kCapacity];  ///< number of its load
    uint8_t expert[kCapacity];
    uint32_t used = 0;
    uint32_t until_decay = kDecayInterval;
  };

  uint32_t count_accesses(uint32_t layer, const decision::Output& out, uint32_t n) {
    Cache& cache = caches_[layer];
    uint32_t misses = 0;
    for (uint32_t j = 0; j < n; ++j) {
      if (--cache.until_decay == 0) {
        cache.until_decay = kDecayInterval;
        for (double& freq : cache.freq) freq *= kDecay;
      }
      const uint8_t slot = slot_of_[layer][out.expert[j]];
      const bool hit = slot != kNowhere;
      out.action[j] = hit ? decision::kHit : decision::kCpuLoad;
      misses += !hit;
      if (hit) cache.freq[slot] += 1;
    }
    return misses;
  }

  void load_misses(uint32_t layer, decision::Output& out, uint32_t n) {
    Cache& cache = caches_[layer];
    double saved[M::kExperts];
    for (uint32_t j = 0; j < n; ++j) {
      if (out.action[j] != decision::kHit) continue;
      double& freq = cache.freq[slot_of_[layer][out.expert[j]]];
      saved[j] = freq;
      freq = kFree;
    }
    for (uint32_t j = 0; j < n; ++j) {
      if (out.action[j] == decision::kHit) continue;
      const uint32_t slot = slot_for_load(layer, out);
      if (slot == kNowhere) {
        out.action[j] = decision::kCpu;
        continue;
      }
      settle(layer, slot, out.expert[j], kFree);
      saved[j] = 1;
    }
    for (uint32_t j = 0; j < n; ++j) {
      if (out.action[j] != decision::kCpu) cache.freq[slot_of_[layer][out.expert[j]]] = saved[j];
    }
  }

  uint32_t slot_for_load(uint32_t layer, decision::Output& out) {
    Cache& cache = caches_[layer];
    if (cache.used < kCapacity) return cache.used++;
    double least = kFree;
    for (uint32_t s = 0; s < kCapacity; ++s) least = cache.freq[s] < least ? cache.freq[s] : least;
    if (least == kFree) return kNowhere;
    uint64_t first = UINT64_MAX;
    uint32_t victim = 0;
    for (uint32_t s = 0; s < kCapacity; ++s) {
      const bool better = cache.freq[s] == least && cache.load[s] < first;
      first = better ? cache.load[s] : first;
      victim = better ? s : victim;
    }
    evict(layer, victim, out);
    return victim;
  }

  void prefetch(uint32_t layer, decision::Output& out) {
    uint32_t wanted[kBudget];
    const auto resident = [&](uint32_t e) { return slot_of_[layer][e] != kNowhere; };
    const uint32_t n = history_.best(layer, resident, wanted);
    out.num_prefetched = 0;
    for (uint32_t j = 0; j < n; ++j) {
      const uint32_t slot = slot_for_prefetch(layer, history_.count(layer, wanted[j]), out);
      if (slot == kNowhere) continue;
      settle(layer, slot, wanted[j], 0);
      out.prefetched[out.num_prefetched++] = layer * M::kExperts + wanted[j];
    }
  }

  /// Only who was used less in the window leaves for it.
  uint32_t slot_for_prefetch(uint32_t layer, uint32_t count, decision::Output& out) {
    Cache& cache = caches_[layer];
    if (cache.used < kCapacity) return cache.used++;
    uint32_t victim = kNowhere;
    for (uint32_t s = 0; s < kCapacity; ++s) {
      const bool before = victim == kNowhere || cache.freq[s] < cache.freq[victim] ||
                          (cache.freq[s] == cache.freq[victim] && cache.load[s] < cache.load[victim]);
      if (before && history_.count(layer, cache.expert[s]) < count) victim = s;
    }
    if (victim != kNowhere) evict(layer, victim, out);
    return victim;
  }

  void evict(uint32_t layer, uint32_t slot, decision::Output& out) {
    const uint8_t expert = caches_[layer].expert[slot];
    slot_of_[layer][expert] = kNowhere;
    out.evicted[out.num_evicted++] = layer * M::kExperts + expert;
  }
  void settle(uint32_t layer, uint32_t slot, uint32_t expert, double freq) {
    Cache& cache = caches_[layer];
    cache.freq[slot] = freq;
    cache.load[slot] = ++loads_;
    cache.expert[slot] = static_cast<uint8_t>(expert);
    slot_of_[layer][expert] = static_cast<uint8_t>(slot);
  }

  Selection<M> selection_;
  History<M, 60, kBudget> history_;
  uint64_t loads_ = 0;
  uint8_t slot_of_[M::kLayers][M::kExperts];
  Cache caches_[M::kLayers];
};

}  // namespace moe::bench
