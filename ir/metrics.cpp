// SPDX-License-Identifier: Apache-2.0
#include "ir/metrics.h"

#include <limits>

namespace moe::ir {
namespace {

constexpr size_t kMostHistory = 4096;

double ratio(uint64_t part, uint64_t whole) {
  if (whole == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Metrics::Metrics(uint32_t num_layers, uint32_t window, uint32_t entropy_window)
    : window_(window), entropy_window_(entropy_window), layers_(num_layers) {}

void Metrics::add(const Sample& sample) {
  samples_.push_back(sample);
  if (samples_.size() > window_) samples_.pop_front();
}

void Metrics::add_use(uint32_t layer, std::span<const ExpertDecision> experts) {
  LayerUse& use = layers_[layer];
  std::vector<uint32_t> ids;
  for (const ExpertDecision& expert : experts) {
    ids.push_back(expert.expert);
    use.counts[expert.expert] += 1;
  }
  use.total += ids.size();
  use.dispatches.push_back(std::move(ids));
  if (use.dispatches.size() <= entropy_window_) return;
  for (const uint32_t expert : use.dispatches.front()) {
    if (--use.counts[expert] == 0) use.counts.erase(expert);
    use.total -= 1;
  }
  use.dispatches.pop_front();
}

double Metrics::rate(Variable v) const {
  Sample sum;
  double measured = 0;
  for (const Sample& sample : samples_) {
    sum.accesses += sample.accesses;
    sum.hits += sample.hits;
    sum.evictions += sample.evictions;
    sum.prefetched += sample.prefetched;
    sum.prefetch_used += sample.prefetch_used;
    if (v == Variable::stall_ms) measured += sample.measured.stall_ms;
    if (v == Variable::link_gbps) measured += sample.measured.link_gbps;
    if (v == Variable::tokens_per_s) measured += sample.measured.tokens_per_s;
  }
  switch (v) {
    case Variable::hit_rate:
      return ratio(sum.hits, sum.accesses);
    case Variable::miss_rate:
      return ratio(sum.accesses - sum.hits, sum.accesses);
    case Variable::eviction_rate:
      return ratio(sum.evictions, sum.accesses);
    case Variable::prefetch_accuracy:
      return ratio(sum.prefetch_used, sum.prefetched);
    case Variable::prefetch_coverage:
      return ratio(sum.prefetch_used, sum.accesses);
    default:
      return samples_.empty() ? std::numeric_limits<double>::quiet_NaN()
                              : measured / static_cast<double>(samples_.size());
  }
}

double Metrics::entropy(uint32_t layer) const {
  const LayerUse& use = layers_[layer];
  if (use.total == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto total = static_cast<double>(use.total);
  double sum = 0;
  for (const auto& [expert, count] : use.counts) {
    const auto c = static_cast<double>(count);
    sum += c * apply(ExprOp::log2, c);
  }
  return apply(ExprOp::log2, total) - sum / total;
}

void Metrics::remember(Variable v, double value) {
  std::deque<double>& values = remembered_[v];
  values.push_back(value);
  if (values.size() > kMostHistory) values.pop_front();
}

void Metrics::history(Variable v, uint32_t count, std::vector<double>& out) const {
  out.clear();
  const auto found = remembered_.find(v);
  if (found == remembered_.end()) return;
  const std::deque<double>& values = found->second;
  const size_t first = values.size() > count ? values.size() - count : 0;
  out.assign(values.begin() + static_cast<std::ptrdiff_t>(first), values.end());
}

}  // namespace moe::ir
