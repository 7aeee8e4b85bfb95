// SPDX-License-Identifier: Apache-2.0
// lru: a list in order of last use for each cache, and a byte for each expert.
#pragma once
#include "bench/baselines/common.h"

namespace moe::bench {

/// `Caches`: 1, or one for each layer. `Capacity`: slots of each.
template <class M, uint32_t Caches, uint32_t Capacity>
class Lru {
 public:
  uint32_t dispatch(const decision::Input& in, decision::Output& out) {
    const uint32_t n = selection_.collect(in, out);
    if (n == decision::kNone) return decision::kInvalid;
    const uint32_t cache = Caches == 1 ? 0 : in.layer;
    const uint32_t base = Caches == 1 ? in.layer * M::kExperts : 0;       // of the layer in its cache
    const uint32_t first_key = Caches == 1 ? 0 : in.layer * M::kExperts;  // of the cache
    auto& list = lists_[cache];
    bool* const resident = resident_[cache];
    uint32_t hits = 0;
    for (uint32_t j = 0; j < n; ++j) {
      const uint32_t member = base + out.expert[j];
      const bool hit = resident[member];
      out.action[j] = hit ? decision::kHit : decision::kLoad;
      hits += hit;
      if (hit) list.remove(member);
    }
    // Whoever may leave is at the head now, before what this dispatch appends.
    uint32_t others = used_[cache] - hits;
    uint32_t num_evicted = 0;
    for (uint32_t j = 0; j < n; ++j) {
      const uint32_t member = base + out.expert[j];
      if (out.action[j] != decision::kHit) {
        if (used_[cache] < Capacity) {
          ++used_[cache];
        } else if (others == 0) {
          out.action[j] = decision::kStream;
          continue;
        } else {
          const uint32_t victim = list.head();
          list.remove(victim);
          resident[victim] = false;
          out.evicted[num_evicted++] = first_key + victim;
          --others;
        }
        resident[member] = true;
      }
      list.append(member);
    }
    out.num_entries = n;
    out.num_evicted = num_evicted;
    out.num_prefetched = out.num_fired = out.num_dropped = 0;
    return decision::kOk;
  }

 private:
  static constexpr uint32_t kKeys = M::kLayers * M::kExperts / Caches;
  Selection<M> selection_;
  List<kKeys> lists_[Caches];
  bool resident_[Caches][kKeys] = {};
  uint32_t used_[Caches] = {};
};

}  // namespace moe::bench
