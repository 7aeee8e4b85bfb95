// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/monitor.h"

#include <cstdio>

namespace moe::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// Those of the language's metrics that a runtime knows of; others are left out of the line.
enum Metric : uint32_t {
  kHitRate,
  kMissRate,
  kEvictionRate,
  kPrefetchAccuracy,
  kPrefetchCoverage,
  kStallMs,
  kQueueDepth,
  kLinkGbps,
  kTokensPerS,
  kCacheFill,
  kNumMetrics
};
constexpr const char* kNames[kNumMetrics] = {"hit_rate",          "miss_rate", "eviction_rate", "prefetch_accuracy",
                                             "prefetch_coverage", "stall_ms",  "queue_depth",   "link_gbps",
                                             "tokens_per_s",      "cache_fill"};

double per(double amount, double whole) { return whole > 0 ? amount / whole : 0; }

}  // namespace

void Monitor::set_policy(const moe_policy& policy) {
  uint32_t wanted = 0;
  for (const std::string& name : policy.metrics) {
    for (uint32_t m = 0; m < kNumMetrics; ++m) {
      if (name == kNames[m]) wanted |= 1u << m;
    }
  }
  wanted_.store(wanted, kRelaxed);
  capacity_.store(policy.params.total_capacity(), kRelaxed);
  interval_.store(policy.params.log_interval, kRelaxed);
}

Monitor::Sample Monitor::sample(uint64_t dispatches) const {
  Sample now;
  now.dispatches = dispatches;
  now.tokens = counters_.total(metrics::kTokens);
  now.bytes = traffic_.bytes_moved.load(kRelaxed);
  now.stall_ns = traffic_.stall_ns.load(kRelaxed);
  return now;
}

double Monitor::value(uint32_t metric, const Sample& now) const {
  const metrics::Rates rates = counters_.rates();
  const double seconds = std::chrono::duration<double>(now.time - last_.time).count();
  auto since = [&](uint64_t Sample::* field) { return static_cast<double>(now.*field - last_.*field); };
  switch (metric) {
    case kHitRate:
      return rates.hit_rate;
    case kMissRate:
      return rates.miss_rate;
    case kEvictionRate:
      return rates.eviction_rate;
    case kPrefetchAccuracy:
      return rates.prefetch_accuracy;
    case kPrefetchCoverage:
      return rates.prefetch_coverage;
    case kStallMs:
      return per(since(&Sample::stall_ns) * 1e-6, since(&Sample::dispatches));
    case kQueueDepth:
      return copies_.num_queued();
    case kLinkGbps:
      return per(since(&Sample::bytes) * 1e-9, seconds);
    case kTokensPerS:
      return per(since(&Sample::tokens), seconds);
    default:
      return per(static_cast<double>(traffic_.resident.load(kRelaxed)), capacity_.load(kRelaxed));
  }
}

void Monitor::look() {
  const uint32_t interval = interval_.load(kRelaxed);
  const uint32_t wanted = wanted_.load(kRelaxed);
  if (!log_.on() || interval == 0 || wanted == 0) return;
  const uint64_t dispatches = counters_.total(metrics::kDispatches);
  if (dispatches < last_.dispatches + interval) return;
  const Sample now = sample(dispatches);
  char line[512];
  int end = std::snprintf(line, sizeof line, "after %llu dispatches:", static_cast<unsigned long long>(dispatches));
  for (uint32_t m = 0; m < kNumMetrics; ++m) {
    if (!(wanted & 1u << m)) continue;
    end += std::snprintf(line + end, sizeof line - static_cast<size_t>(end), " %s=%.4g", kNames[m], value(m, now));
  }
  log_(MOE_LOG_INFO, line);
  last_ = now;
}

}  // namespace moe::core
