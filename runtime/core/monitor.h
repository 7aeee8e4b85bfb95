// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

#include "runtime/core/copies.h"
#include "runtime/core/log.h"
#include "runtime/core/traffic.h"
#include "runtime/metrics/counters.h"
#include "runtime/policy.h"

namespace moe::core {

/// Logs the metrics that the policy's monitor names, every log_interval dispatches or a little later. From the transfer
/// thread, because a dispatch calls nothing of the engine's. Rates are over the monitor's window; what counts time or
/// bytes is over the time since the last line.
class Monitor {
 public:
  Monitor(const metrics::Counters& counters, const Traffic& traffic, const CopyTable& copies, const Log& log)
      : counters_(counters), traffic_(traffic), copies_(copies), log_(log) {}

  /// The dispatching thread: a new policy's monitor is in force.
  void set_policy(const moe_policy& policy);
  /// The transfer thread: writes a line if one is due.
  void look();

 private:
  struct Sample {
    uint64_t dispatches = 0;
    uint64_t tokens = 0;
    uint64_t bytes = 0;
    uint64_t stall_ns = 0;
    std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();
  };
  Sample sample(uint64_t dispatches) const;
  double value(uint32_t metric, const Sample& now) const;

  const metrics::Counters& counters_;
  const Traffic& traffic_;
  const CopyTable& copies_;
  const Log log_;
  std::atomic<uint32_t> interval_{0};  ///< dispatches; 0: no policy yet
  std::atomic<uint32_t> wanted_{0};    ///< one bit per metric
  std::atomic<uint32_t> capacity_{0};
  Sample last_;
};

}  // namespace moe::core
