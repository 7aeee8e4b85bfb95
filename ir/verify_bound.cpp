// SPDX-License-Identifier: Apache-2.0
// The invariants of a bound policy: the ranges of PolicyIR, and
//   shape       within the limits of shape_problem
//   capacity    1..experts of one instance
//   pins        keys of the model, ascending, no repeats, at most the capacity of each instance
//   preload     keys of the model, no repeats, none pinned; with the pins at most the capacity of each instance
#include <map>
#include <set>

#include "ir/bind.h"
#include "ir/findings.h"
#include "ir/shape.h"

namespace moe::ir {
namespace {

void verify_residents(const BoundPolicy& policy, Findings& findings) {
  std::map<uint32_t, uint64_t> per_instance;
  const auto count = [&](uint32_t key) {
    per_instance[policy.scope == Scope::layer ? key / policy.shape.num_experts : 0] += 1;
  };
  for (size_t i = 0; i < policy.pins.size(); ++i) {
    findings.require(i == 0 || policy.pins[i - 1] < policy.pins[i], "pins are not ascending without repeats");
    findings.require(policy.pins[i] < policy.num_keys(), "a pin is not a key of the model");
    count(policy.pins[i]);
  }
  std::set<uint32_t> loaded(policy.pins.begin(), policy.pins.end());
  for (const uint32_t key : policy.preload) {
    findings.require(key < policy.num_keys(), "what is preloaded is not a key of the model");
    findings.require(loaded.insert(key).second, "what is preloaded is pinned, or stands twice");
    count(key);
  }
  for (const auto& [instance, num_loaded] : per_instance) {
    if (instance >= policy.shape.num_layers) continue;  // said above
    findings.require(num_loaded <= policy.capacity_of(instance), "an instance has more pins than slots");
  }
}

void verify_numbers(const BoundPolicy& policy, Findings& findings) {
  findings.share_above_zero(policy.frequency_decay, "frequency_decay");
  findings.at_least_one(policy.decay_interval, "decay_interval");
  findings.share_above_zero(policy.score_ema_alpha, "score_ema_alpha");
  findings.share(policy.freq_threshold, "freq_threshold");
  findings.range(policy.freq_window, 1, kMaxFreqWindow, "freq_window");
  findings.share(policy.memory_threshold, "memory_threshold");
  findings.share_above_zero(policy.memory_headroom, "memory_headroom");
  findings.require(policy.memory_threshold == 0 || policy.memory_headroom <= policy.memory_threshold,
                   "`memory_headroom` is above `memory_threshold`");
  findings.positive(policy.memory_budget_gb, "memory_budget_gb");
  findings.positive(policy.expert_size_gb, "expert_size_gb");
  findings.at_least_one(policy.budget, "budget");
  findings.at_least_one(policy.lookahead, "lookahead");
  findings.range(policy.history_window, 1, kMaxWindow, "history_window");
  findings.share(policy.affinity_threshold, "affinity_threshold");
  findings.share(policy.min_probability, "min_probability");
  findings.share_above_zero(policy.bandwidth, "bandwidth");
  findings.range(policy.store, 1, kMaxWindow, "store");
  findings.require(policy.deadline_ms >= 0 && std::isfinite(policy.deadline_ms), "`deadline` is no time");
  findings.range(policy.monitor_window, 1, kMaxWindow, "window");
  findings.at_least_one(policy.log_interval, "log_interval");
}

}  // namespace

std::vector<std::string> verify(const BoundPolicy& policy) {
  Findings findings;
  const std::string problem = shape_problem(policy.shape);
  findings.require(problem.empty(), problem);
  if (!problem.empty()) return findings.take();  // the other invariants are about this model
  const uint64_t experts = policy.scope == Scope::layer ? policy.shape.num_experts : policy.num_keys();
  findings.range(policy.capacity, 1, experts, "capacity");
  verify_residents(policy, findings);
  verify_numbers(policy, findings);
  return findings.take();
}

}  // namespace moe::ir
