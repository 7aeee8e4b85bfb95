// SPDX-License-Identifier: Apache-2.0
// The invariants of PolicyIR and of its bound form. NaN breaks every range, because each check is "holds", not "is
// broken".
//
// PolicyIR
//   name        not empty
//   capacity    slots and bytes at least 1; a ratio in (0, 1]
//   cache       frequency_decay and score_ema_alpha in (0, 1]; decay_interval, ttl at least 1; freq_threshold in [0,
//   1];
//               freq_window in 1..2^20
//   pins        ranges run upwards, within 4096 layers of 65534 experts
//   memory      memory_threshold and memory_headroom in (0, 1], a written headroom at most the threshold; sizes above 0
//   prefetch    budget and lookahead at least 1; history_window in 1..4096; probabilities in [0, 1]; bandwidth in (0,
//   1] schedule    offload_threshold_ms above 0 and finite monitor     window in 1..4096; log_interval at least 1;
//   metric names not empty
// BoundPolicy: the same ranges, and
//   shape       within the limits of shape_problem
//   capacity    1..experts of one instance
//   pins        keys of the model, ascending, no repeats, at most `capacity` in each instance
#include <fmt/format.h>

#include <cmath>
#include <map>

#include "ir/bind.h"
#include "ir/policy.h"
#include "ir/shape.h"

namespace moe::ir {
namespace {

constexpr uint64_t kMaxFreqWindow = uint64_t{1} << 20;
constexpr uint32_t kMaxWindow = 4096;

/// Collects the sentences.
class Findings {
 public:
  void require(bool holds, std::string_view sentence) {
    if (!holds) sentences_.emplace_back(sentence);
  }
  /// (0, 1]
  void share_above_zero(double value, std::string_view name) {
    if (!(value > 0 && value <= 1)) sentences_.push_back(fmt::format("`{}` is {}, not in (0, 1]", name, value));
  }
  /// [0, 1]
  void share(double value, std::string_view name) {
    if (!(value >= 0 && value <= 1)) sentences_.push_back(fmt::format("`{}` is {}, not in [0, 1]", name, value));
  }
  /// Above 0 and finite.
  void positive(double value, std::string_view name) {
    if (!(value > 0 && std::isfinite(value))) {
      sentences_.push_back(fmt::format("`{}` is {}, not a number above 0", name, value));
    }
  }
  void range(uint64_t value, uint64_t low, uint64_t high, std::string_view name) {
    if (value < low || value > high) {
      sentences_.push_back(fmt::format("`{}` is {}, not in {}..{}", name, value, low, high));
    }
  }
  void at_least_one(uint64_t value, std::string_view name) {
    if (value < 1) sentences_.push_back(fmt::format("`{}` is 0, not at least 1", name));
  }
  std::vector<std::string> take() { return std::move(sentences_); }

 private:
  std::vector<std::string> sentences_;
};

void verify_capacity(const Capacity& capacity, Findings& findings) {
  switch (capacity.kind) {
    case Capacity::Kind::slots:
    case Capacity::Kind::bytes:
      findings.at_least_one(capacity.amount, "capacity");
      break;
    case Capacity::Kind::ratio:
      findings.share_above_zero(capacity.ratio, "capacity");
      break;
    case Capacity::Kind::automatic:
      break;
  }
}

void verify_cache(const CacheRule& cache, Findings& findings) {
  findings.share_above_zero(cache.frequency_decay.value, "frequency_decay");
  findings.at_least_one(cache.decay_interval.value, "decay_interval");
  findings.share_above_zero(cache.score_ema_alpha.value, "score_ema_alpha");
  findings.share(cache.freq_threshold.value, "freq_threshold");
  findings.range(cache.freq_window.value, 1, kMaxFreqWindow, "freq_window");
  if (cache.ttl) findings.at_least_one(cache.ttl->value, "ttl");
}

void verify_pins(const std::vector<Sourced<Pin>>& pins, Findings& findings) {
  for (const Sourced<Pin>& pin : pins) {
    const Pin::Range& experts = pin.value.experts;
    findings.require(experts.first <= experts.last && experts.last < 65534,
                     "a pin's range of experts is not within 0..65533");
    if (!pin.value.layers) continue;
    const Pin::Range& layers = *pin.value.layers;
    findings.require(layers.first <= layers.last && layers.last < 4096,
                     "a pin's range of layers is not within 0..4095");
  }
}

void verify_memory(const CacheRule& cache, Findings& findings) {
  findings.share_above_zero(cache.memory_headroom.value, "memory_headroom");
  findings.positive(cache.memory_budget_gb.value, "memory_budget_gb");
  findings.positive(cache.expert_size_gb.value, "expert_size_gb");
  if (!cache.memory_threshold) return;
  findings.share_above_zero(cache.memory_threshold->value, "memory_threshold");
  const bool written = !cache.memory_headroom.span.is_default();
  findings.require(!written || cache.memory_headroom.value <= cache.memory_threshold->value,
                   "`memory_headroom` is above `memory_threshold`");
}

void verify_prefetch(const PrefetchRule& prefetch, Findings& findings) {
  findings.at_least_one(prefetch.budget.value, "budget");
  findings.at_least_one(prefetch.lookahead.value, "lookahead");
  findings.range(prefetch.history_window.value, 1, kMaxWindow, "history_window");
  findings.share(prefetch.affinity_threshold.value, "affinity_threshold");
  findings.share(prefetch.min_probability.value, "min_probability");
  findings.share_above_zero(prefetch.bandwidth.value, "bandwidth");
}

void verify_monitor(const MonitorRule& monitor, Findings& findings) {
  for (const Sourced<std::string>& metric : monitor.metrics) {
    findings.require(!metric.value.empty(), "a metric has no name");
  }
  findings.range(monitor.window.value, 1, kMaxWindow, "window");
  findings.at_least_one(monitor.log_interval.value, "log_interval");
}

void verify_bound_pins(const BoundPolicy& policy, Findings& findings) {
  std::map<uint32_t, uint64_t> per_instance;
  for (size_t i = 0; i < policy.pins.size(); ++i) {
    findings.require(i == 0 || policy.pins[i - 1] < policy.pins[i], "pins are not ascending without repeats");
    findings.require(policy.pins[i] < policy.num_keys(), "a pin is not a key of the model");
    per_instance[policy.scope == Scope::layer ? policy.pins[i] / policy.shape.num_experts : 0] += 1;
  }
  for (const auto& [instance, num_pins] : per_instance) {
    findings.require(num_pins <= policy.capacity, "an instance has more pins than slots");
  }
}

void verify_bound_numbers(const BoundPolicy& policy, Findings& findings) {
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
  findings.share(policy.min_probability, "min_probability");
  findings.share_above_zero(policy.bandwidth, "bandwidth");
  findings.range(policy.monitor_window, 1, kMaxWindow, "window");
  findings.at_least_one(policy.log_interval, "log_interval");
}

}  // namespace

std::vector<std::string> verify(const Policy& policy) {
  Findings findings;
  findings.require(!policy.name.value.empty(), "the policy has no name");
  verify_capacity(policy.cache.capacity.value, findings);
  verify_cache(policy.cache, findings);
  verify_pins(policy.cache.pins, findings);
  verify_memory(policy.cache, findings);
  verify_prefetch(policy.prefetch, findings);
  findings.positive(policy.schedule.offload_threshold_ms.value, "offload_threshold_ms");
  if (policy.monitor) verify_monitor(*policy.monitor, findings);
  return findings.take();
}

std::vector<std::string> verify(const BoundPolicy& policy) {
  Findings findings;
  const std::string problem = shape_problem(policy.shape);
  findings.require(problem.empty(), problem);
  if (!problem.empty()) return findings.take();  // the other invariants are about this model
  const uint64_t experts = policy.scope == Scope::layer ? policy.shape.num_experts : policy.num_keys();
  findings.range(policy.capacity, 1, experts, "capacity");
  verify_bound_pins(policy, findings);
  verify_bound_numbers(policy, findings);
  return findings.take();
}

}  // namespace moe::ir
