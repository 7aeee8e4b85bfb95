// SPDX-License-Identifier: Apache-2.0
// What a policy may change: the model's output (exactness), and its own decisions by timing (timing_free). Both look at
// every value that a band, phase, rule or alternative can put in force.
#include <algorithm>
#include <functional>

#include "ir/keys.h"
#include "ir/visit.h"

namespace moe::ir {
namespace {

bool can_be(const Policy& policy, Key key, const std::function<bool(const KeyValue&)>& test) {
  bool found = false;
  visit_values(policy, key, [&](const KeyValue& value) { found = found || test(value); });
  return found;
}

bool is_set(const KeyValue& value) {
  if (const auto* expr = std::get_if<Expr>(&value)) return !expr->empty();
  return !std::holds_alternative<std::monostate>(value);
}

template <class T>
auto equals(T wanted) {
  return [wanted](const KeyValue& value) {
    const T* held = std::get_if<T>(&value);
    return held != nullptr && *held == wanted;
  };
}

// An expert computed on the host rounds as the host does, so only the host backend reproduces the fully resident run.
Exactness exactness_of(MissAction action) {
  switch (action) {
    case MissAction::load:
      return Exactness::exact;
    case MissAction::cpu:
    case MissAction::cpu_load:
      return Exactness::exact_on_host;
    default:
      return Exactness::approximate;
  }
}

Exactness exactness_of(const KeyValue& arms) {
  Exactness worst = Exactness::exact;
  for (const Arm& arm : std::get<std::vector<Arm>>(arms)) worst = std::max(worst, exactness_of(arm.action));
  return worst;
}

// Weights of another precision are other weights.
bool changes_weights(const TiersRule& tiers) {
  const auto converts = [](const Tier& tier) { return tier.dtype.value != Dtype::as_stored; };
  return tiers.precision || std::any_of(tiers.tiers.begin(), tiers.tiers.end(), converts);
}

bool changes_weights(const Policy& policy) {
  const auto in_band = [](const Band& band) { return band.tiers && changes_weights(*band.tiers); };
  return (policy.tiers && changes_weights(*policy.tiers)) ||
         std::any_of(policy.bands.begin(), policy.bands.end(), in_band);
}

Exactness own_exactness(const Policy& policy) {
  if (changes_weights(policy) || can_be(policy, Key::drop, is_set)) return Exactness::approximate;
  Exactness worst = Exactness::exact;
  visit_values(policy, Key::on_miss, [&](const KeyValue& arms) { worst = std::max(worst, exactness_of(arms)); });
  // A load that is too many, or too late, ends on the host where no arm takes it.
  const bool passes_on = can_be(policy, Key::deadline, is_set) || can_be(policy, Key::max_loads, is_set);
  const bool reads_mode = policy.schedule.on_miss.value.empty();
  const auto computes = [](const KeyValue& mode) { return !equals(ScheduleMode::gpu_only)(mode); };
  const bool on_host = passes_on || (reads_mode && can_be(policy, Key::mode, computes));
  return std::max(worst, on_host ? Exactness::exact_on_host : Exactness::exact);
}

// Whether the cost model, whose times are measured, takes part in a decision.
bool asks_cost_model(const Policy& policy) {
  if (can_be(policy, Key::deadline, is_set)) return true;
  if (!policy.schedule.on_miss.value.empty()) return false;  // nothing reads the mode
  if (can_be(policy, Key::mode, equals(ScheduleMode::hybrid))) return true;
  if (!can_be(policy, Key::mode, equals(ScheduleMode::balance))) return false;
  const auto is_unset = [](const KeyValue& value) { return !is_set(value); };
  return can_be(policy, Key::gpu_time, is_unset) || can_be(policy, Key::cpu_time, is_unset) ||
         can_be(policy, Key::load_time, is_unset);
}

bool reads_measured(const Policy& policy) {
  bool found = false;
  visit_exprs(policy, [&](const Expr& expr) { found = found || expr.reads_measured(); });
  // The engine tells what the key-value cache takes.
  return found || (policy.memory && !(policy.memory->on_warn.empty() && policy.memory->on_shed.empty()));
}

bool can_leave_in_use(const Policy& policy) {
  return can_be(policy, Key::protect_selected, equals(false)) ||
         can_be(policy, Key::eviction, equals(EvictionRule(Eviction::freq_threshold)));
}

bool any_of(const Policy& policy, const std::function<bool(const Policy&)>& test) {
  return test(policy) || std::any_of(policy.alternatives.begin(), policy.alternatives.end(), test);
}

}  // namespace

Exactness exactness(const Policy& policy) {
  Exactness worst = own_exactness(policy);
  for (const Policy& other : policy.alternatives) worst = std::max(worst, own_exactness(other));
  return worst;
}

// Besides what expressions and the cost model measure: whether a prefetch had started when it became stale is measured,
// not decided. Nor is it decided whether a prefetch finds a slot, where an expert may leave in the dispatch that uses
// it: its place is free, its slot is not.
bool timing_free(const Policy& policy) {
  if (any_of(policy, reads_measured) || any_of(policy, asks_cost_model)) return false;
  const auto fetches = [](const Policy& p) {
    return can_be(p, Key::strategy,
                  [](const KeyValue& value) { return !equals(StrategyChain(Strategy::none))(value); });
  };
  if (!any_of(policy, fetches)) return true;
  const auto cancels = [](const Policy& p) { return can_be(p, Key::cancel_stale, equals(true)); };
  return !any_of(policy, cancels) && !any_of(policy, can_leave_in_use);
}

}  // namespace moe::ir
