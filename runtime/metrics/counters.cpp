// SPDX-License-Identifier: Apache-2.0
#include "runtime/metrics/counters.h"

#include <algorithm>

namespace moe::metrics {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// One thread writes: a load and a store are enough. Of nothing, too: what a dispatch counts comes as it pleases, and a
/// branch that is mispredicted costs more than all of them.
void add(std::atomic<uint64_t>& counter, uint64_t amount) { counter.store(counter.load(kRelaxed) + amount, kRelaxed); }

double ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

const char* counter_name(Counter counter) {
  static constexpr const char* kNames[kNumCounters] = {"dispatches",     "tokens",
                                                       "accesses",       "selections",
                                                       "hits",           "late_hits",
                                                       "misses",         "loads",
                                                       "streams",        "cpu",
                                                       "evictions",      "prefetched",
                                                       "prefetch_used",  "prefetch_cancelled",
                                                       "approximated",   "degraded",
                                                       "lower_precision"};
  return kNames[counter];
}

Counters::Counters(uint32_t num_layers, uint32_t num_experts, const Allocator& allocator)
    : num_layers_(num_layers),
      counters_(allocator, size_t{num_layers} * kStride),
      unused_(allocator, (size_t{num_layers} * num_experts + 63) / 64),
      ring_(allocator, kMaxWindow) {}

void Counters::record(uint32_t layer, const Counts& counts) {
  std::atomic<uint64_t>* const of_layer = &counters_[layer * kStride];
#pragma GCC unroll 16
  for (uint32_t c = 0; c < kUsual; ++c) add(of_layer[c], counts.of[c]);
  if (counts[kLowerPrecision] != 0) add(of_layer[kLowerPrecision], counts[kLowerPrecision]);
  Row& row = ring_[next_];
  next_ = next_ + 1 == window_ ? 0 : next_ + 1;
#pragma GCC unroll 8
  for (uint32_t i = 0; i < kNumWindowed; ++i) {
    const auto now = static_cast<uint32_t>(counts[kWindowed[i]]);
    sums_[i].store(sums_[i].load(kRelaxed) + now - row.of[i], kRelaxed);
    row.of[i] = now;
  }
}

void Counters::set_window(uint32_t dispatches) {
  window_ = std::clamp(dispatches, 1u, kMaxWindow);
  next_ = 0;
  std::fill(ring_.begin(), ring_.end(), Row{});
  for (auto& sum : sums_) sum.store(0, kRelaxed);
}

uint64_t Counters::total(Counter counter) const {
  if (counter == kTokens) return layer(num_layers_ - 1, kTokens);
  uint64_t sum = 0;
  for (uint32_t l = 0; l < num_layers_; ++l) sum += layer(l, counter);
  return sum;
}

Rates Counters::rates() const {
  const uint64_t accesses = sums_[0].load(kRelaxed);
  const uint64_t hits = sums_[1].load(kRelaxed);
  const uint64_t evictions = sums_[2].load(kRelaxed);
  const uint64_t prefetched = sums_[3].load(kRelaxed);
  const uint64_t used = sums_[4].load(kRelaxed);
  Rates rates;
  // Sums are read one by one while a dispatch may change them.
  rates.hit_rate = ratio(std::min(hits, accesses), accesses);
  rates.miss_rate = accesses ? 1 - rates.hit_rate : 0;
  rates.eviction_rate = ratio(evictions, accesses);
  rates.prefetch_accuracy = ratio(used, prefetched);
  rates.prefetch_coverage = ratio(used, accesses);
  return rates;
}

}  // namespace moe::metrics
