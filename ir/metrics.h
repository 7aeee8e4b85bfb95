// SPDX-License-Identifier: Apache-2.0
// What conditions read of a cache as a whole: windows of the last dispatches, and per layer the entropy of its routing.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "ir/decision.h"

namespace moe::ir {

class Metrics {
 public:
  /// One dispatch.
  struct Sample {
    uint64_t accesses = 0;
    uint64_t hits = 0;
    uint64_t evictions = 0;
    uint64_t prefetched = 0;
    uint64_t prefetch_used = 0;  ///< accesses that were hits only thanks to a prefetch
    MeasuredInputs measured;
  };

  /// `window` dispatches for rates, `entropy_window` of a layer for its entropy.
  Metrics(uint32_t num_layers, uint32_t window, uint32_t entropy_window);

  void add(const Sample& sample);
  /// The layer's dispatch used these experts.
  void add_use(uint32_t layer, std::span<const ExpertDecision> experts);

  /// A rate over the window: one division of counters; NaN over an empty window. Of stall_ms, link_gbps and
  /// tokens_per_s the mean of the samples, oldest first; of queue_depth and kv_used the last one.
  double rate(Variable v) const;
  /// log2(n) - (sum of c log2 c) / n over the counts of the layer's window, by ascending expert; NaN when it is empty.
  double entropy(uint32_t layer) const;

  /// Keeps a sample of a metric for history(); at most 4096.
  void remember(Variable v, double value);
  /// The last `count` samples, oldest first.
  void history(Variable v, uint32_t count, std::vector<double>& out) const;

 private:
  struct LayerUse {
    std::deque<std::vector<uint32_t>> dispatches;
    std::map<uint32_t, uint64_t> counts;  ///< by expert
    uint64_t total = 0;
  };
  uint32_t window_;
  uint32_t entropy_window_;
  std::deque<Sample> samples_;
  std::vector<LayerUse> layers_;
  std::map<Variable, std::deque<double>> remembered_;
};

}  // namespace moe::ir
