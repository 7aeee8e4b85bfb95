// SPDX-License-Identifier: Apache-2.0
// The invariants of PolicyIR. NaN breaks every range, because each check is "holds", not "is broken".
//
//   name        not empty
//   capacity    slots and bytes at least 1; a ratio in (0, 1]; absent only beside `tiers`
//   numbers     within the ranges that ir/policy.h gives
//   pins        ranges run upwards, within 4096 layers of 65534 experts
//   memory      memory_threshold and memory_headroom in (0, 1], a written headroom at most the threshold; sizes above 0
//   eviction    least has a number, `a | b` two rules that are words or least
//   strategy    at least one; none stands alone; no strategy twice; most has a number, and nothing else has
//   on miss     one arm without a condition, the last
//   expressions see verify_expr in ir/findings.h
//   overrides   values of their key; the rules with them hold too; bands ascend, apart, within 4096 layers; a phase
//   once adapt       stretch at least 1, at least one action, names that `alternatives` has tiers       names unique,
//   location never faster than the one before, moves between neighbours in their direction
#include "ir/findings.h"

#include <algorithm>
#include <set>

#include "ir/keys.h"

namespace moe::ir {
namespace {

constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxExperts = 65534;

void verify_cache(const CacheRule& cache, Findings& findings) {
  verify_eviction(cache.eviction.value, true, "eviction", findings);
  if (cache.admit.value.kind == Admit::when) {
    verify_condition(cache.admit.value.condition, ExprPlace::admit, "admit", findings);
  }
  findings.share_above_zero(cache.frequency_decay.value, "frequency_decay");
  findings.at_least_one(cache.decay_interval.value, "decay_interval");
  findings.share_above_zero(cache.score_ema_alpha.value, "score_ema_alpha");
  findings.share(cache.freq_threshold.value, "freq_threshold");
  findings.range(cache.freq_window.value, 1, kMaxFreqWindow, "freq_window");
  if (cache.ttl) findings.at_least_one(cache.ttl->value, "ttl");
}

void verify_pressure(const CacheRule& cache, Findings& findings) {
  findings.share_above_zero(cache.memory_headroom.value, "memory_headroom");
  findings.positive(cache.memory_budget_gb.value, "memory_budget_gb");
  findings.positive(cache.expert_size_gb.value, "expert_size_gb");
  if (!cache.memory_threshold) return;
  findings.share_above_zero(cache.memory_threshold->value, "memory_threshold");
  const bool written = !cache.memory_headroom.span.is_default();
  findings.require(!written || cache.memory_headroom.value <= cache.memory_threshold->value,
                   "`memory_headroom` is above `memory_threshold`");
}

void verify_chain(const StrategyChain& chain, Findings& findings) {
  const std::set<Strategy> unique(chain.links.begin(), chain.links.end());
  findings.require(!chain.links.empty(), "the chain of strategies is empty");
  findings.require(unique.size() == chain.links.size(), "a strategy stands twice in its chain");
  findings.require(!unique.contains(Strategy::none) || chain.links.size() == 1, "`none` does not stand alone");
  const bool by_value = unique.contains(Strategy::most);
  findings.require(by_value || chain.value.empty(), "a chain without `most` has a value");
  if (by_value) verify_quantity(chain.value, ExprPlace::expert, "strategy", findings);
}

void verify_prefetch(const PrefetchRule& prefetch, Findings& findings) {
  verify_chain(prefetch.strategy.value, findings);
  findings.at_least_one(prefetch.budget.value, "budget");
  const uint32_t lookahead = prefetch.lookahead.value;
  findings.range(lookahead == kAllLayers ? 1 : lookahead, 1, kMaxWindow, "lookahead");
  findings.range(prefetch.history_window.value, 1, kMaxWindow, "history_window");
  findings.share(prefetch.affinity_threshold.value, "affinity_threshold");
  findings.share(prefetch.min_probability.value, "min_probability");
  findings.share_above_zero(prefetch.bandwidth.value, "bandwidth");
  findings.range(prefetch.store.value, 1, kMaxWindow, "store");
  if (prefetch.top) findings.at_least_one(prefetch.top->value, "top");
  if (!prefetch.when.value.empty()) {
    verify_condition(prefetch.when.value, ExprPlace::prefetch, "prefetch.when", findings);
  }
  const AdmitRule& admit = prefetch.admit.value;
  findings.require(admit.kind != Admit::never, "prefetch.admit is never");
  if (admit.kind == Admit::when) verify_condition(admit.condition, ExprPlace::admit, "prefetch.admit", findings);
  if (prefetch.evict) verify_eviction(prefetch.evict->value, false, "evict", findings);
}

void verify_arms(const std::vector<Arm>& arms, Findings& findings) {
  for (size_t i = 0; i < arms.size(); ++i) {
    const bool is_last = i + 1 == arms.size();
    findings.require(arms[i].condition.empty() == is_last, "an arm of `on miss` other than the last is `else`");
    if (!is_last && !arms[i].condition.empty()) {
      verify_condition(arms[i].condition, ExprPlace::miss, "on miss", findings);
    }
  }
}

bool changes_output(const Arm& arm) { return arm.action >= MissAction::degrade; }

void verify_schedule(const ScheduleRule& schedule, Findings& findings) {
  findings.positive(schedule.offload_threshold_ms.value, "offload_threshold_ms");
  if (schedule.deadline) findings.positive(schedule.deadline->value, "deadline");
  const std::vector<Arm>& arms = schedule.on_miss.value;
  verify_arms(arms, findings);
  const bool approximate = !schedule.drop.value.empty() || std::any_of(arms.begin(), arms.end(), changes_output);
  findings.require(schedule.approximate.value || !approximate, "the output changes without consent");
  if (!schedule.drop.value.empty()) verify_condition(schedule.drop.value, ExprPlace::miss, "drop", findings);
  if (!schedule.order.value.empty()) verify_quantity(schedule.order.value, ExprPlace::miss, "order", findings);
  const auto verify_time = [&](const Expr& expr, std::string_view what) {
    if (expr.empty()) return;
    verify_quantity(expr, ExprPlace::miss, what, findings);
    findings.require(expr.type() == Type::time || expr.type() == Type::number, fmt::format("{} is no time", what));
  };
  verify_time(schedule.gpu_time.value, "gpu_time");
  verify_time(schedule.cpu_time.value, "cpu_time");
  verify_time(schedule.cpu_setup.value, "cpu_setup");
  verify_time(schedule.load_time.value, "load_time");
}

void verify_monitor(const MonitorRule& monitor, Findings& findings) {
  for (const Sourced<std::string>& metric : monitor.metrics) {
    findings.require(!metric.value.empty(), "a metric has no name");
  }
  findings.range(monitor.window.value, 1, kMaxWindow, "window");
  findings.at_least_one(monitor.log_interval.value, "log_interval");
}

void verify_learn(const LearnRule& learn, Findings& findings) {
  findings.range(learn.window.value, 1, kMaxWindow, "learn.window");
  findings.share_above_zero(learn.discount.value, "discount");
  findings.share_above_zero(learn.rate.value, "rate");
}

void verify_per_layer(const PerLayerRule& rule, Findings& findings) {
  if (rule.total_budget) findings.at_least_one(rule.total_budget->value, "total_budget");
  findings.range(rule.min_capacity.value, 1, rule.max_capacity.value, "min_capacity");
  findings.range(rule.entropy_window.value, 1, kMaxWindow, "entropy_window");
  findings.require(rule.capacities.value.size() <= kMaxLayers, "`capacities` has more than 4096 entries");
  for (const uint32_t slots : rule.capacities.value) findings.at_least_one(slots, "capacities");
}

}  // namespace

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

void verify_eviction(const EvictionRule& rule, bool may_be_segmented, std::string_view what, Findings& findings) {
  const bool is_segmented = rule.kind == Eviction::segmented;
  findings.require(rule.kind <= Eviction::segmented, fmt::format("{} is no rule", what));
  findings.require(!is_segmented || may_be_segmented, fmt::format("{} is segmented", what));
  findings.require(rule.segments.size() == (is_segmented ? 2 : 0), fmt::format("{} has segments", what));
  findings.require(rule.value.empty() || rule.kind == Eviction::least, fmt::format("{} has a value", what));
  if (rule.kind == Eviction::least) verify_quantity(rule.value, ExprPlace::expert, what, findings);
  if (!is_segmented || !may_be_segmented) return;
  for (const EvictionRule& segment : rule.segments) verify_eviction(segment, false, what, findings);
}

void verify_pins(const std::vector<Sourced<Pin>>& pins, Findings& findings) {
  for (const Sourced<Pin>& pin : pins) {
    const Pin::Range& experts = pin.value.experts;
    findings.require(experts.first <= experts.last && experts.last < kMaxExperts,
                     "a pin's range of experts is not within 0..65533");
    if (pin.value.kind == Pin::Kind::hottest) {
      findings.require(pin.value.hottest.kind != Capacity::Kind::bytes, "the hottest experts are counted in bytes");
      verify_capacity(pin.value.hottest, findings);
    }
    if (!pin.value.layers) continue;
    const Pin::Range& layers = *pin.value.layers;
    findings.require(layers.first <= layers.last && layers.last < kMaxLayers,
                     "a pin's range of layers is not within 0..4095");
  }
}

void verify_rules(const Rules& rules, Findings& findings) {
  verify_cache(rules.cache, findings);
  verify_pressure(rules.cache, findings);
  verify_prefetch(rules.prefetch, findings);
  verify_schedule(rules.schedule, findings);
}

std::vector<std::string> verify(const Policy& policy) {
  Findings findings;
  findings.require(!policy.name.value.empty(), "the policy has no name");
  if (!policy.tiers || !(policy.cache.capacity.value == Capacity{})) {
    verify_capacity(policy.cache.capacity.value, findings);
  }
  verify_pins(policy.cache.pins, findings);
  verify_pins(policy.cache.preload, findings);
  verify_rules(policy.rules(), findings);
  if (policy.monitor) verify_monitor(*policy.monitor, findings);
  if (policy.learn) verify_learn(*policy.learn, findings);
  if (policy.per_layer) verify_per_layer(*policy.per_layer, findings);
  if (policy.tiers) verify_tiers(*policy.tiers, findings);
  verify_overrides(policy, findings);
  verify_adapt(policy, findings);
  return findings.take();
}

}  // namespace moe::ir
