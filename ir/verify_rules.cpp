// SPDX-License-Identifier: Apache-2.0
// Invariants of what changes the rules: bands, phases, adapt, choose, memory, tiers.
#include <algorithm>
#include <set>

#include "ir/findings.h"
#include "ir/keys.h"

namespace moe::ir {
namespace {

constexpr uint32_t kMaxLayers = 4096;

// Overrides must hold beside those keys of the policy that theirs are compared with. The policy's other keys are left
// out: they were looked at once, and may be long.
void verify_assignments(const Policy& policy, const std::vector<Assignment>& overrides, std::string_view where,
                        Findings& findings) {
  Rules rules;
  rules.cache.memory_threshold = policy.cache.memory_threshold;
  rules.cache.memory_headroom = policy.cache.memory_headroom;
  rules.schedule.approximate = policy.schedule.approximate;
  for (const Assignment& assignment : overrides) {
    if (static_cast<size_t>(assignment.key) >= kNumKeys || !assign(rules, assignment)) {
      findings.require(false, fmt::format("{} gives a key a value that is none of it", where));
      return;
    }
    if (const auto* capacity = std::get_if<Capacity>(&assignment.value)) verify_capacity(*capacity, findings);
  }
  Findings with_overrides;
  verify_rules(rules, with_overrides);
  for (const std::string& sentence : with_overrides.take()) {
    findings.require(false, fmt::format("with {}: {}", where, sentence));
  }
}

bool repeats_a_key(const std::vector<Assignment>& overrides) {
  std::set<Key> keys;
  for (const Assignment& assignment : overrides) keys.insert(assignment.key);
  return keys.size() != overrides.size();
}

bool has_alternative(const Policy& policy, const std::string& name) {
  return std::any_of(policy.alternatives.begin(), policy.alternatives.end(),
                     [&](const Policy& other) { return other.name.value == name; });
}

void verify_action(const Policy& policy, const RuleAction& action, std::string_view where, Findings& findings) {
  switch (action.kind) {
    case RuleAction::Kind::assign:
      return verify_assignments(policy, {action.assignment}, where, findings);
    case RuleAction::Kind::use:
      return findings.require(has_alternative(policy, action.name),
                              fmt::format("{} uses `{}`, which is no alternative", where, action.name));
    case RuleAction::Kind::signal:
      return findings.require(!action.name.empty(), fmt::format("{} gives a signal without a name", where));
    case RuleAction::Kind::rebalance:
    case RuleAction::Kind::trigger_pressure:
      return;
  }
}

void verify_choose(const Policy& policy, const Choose& choose, Findings& findings) {
  std::set<std::string> names;
  for (const Sourced<std::string>& name : choose.policies) {
    names.insert(name.value);
    findings.require(has_alternative(policy, name.value) || name.value == policy.name.value,
                     fmt::format("choose names `{}`, which is no alternative", name.value));
  }
  findings.require(!names.empty() && names.size() == choose.policies.size(), "choose names no policy, or one twice");
  verify_quantity(choose.reward, ExprPlace::whole_cache, "choose", findings);
  findings.at_least_one(choose.every.value, "every");
  findings.share(choose.explore.value, "explore");
}

void verify_memory(const Policy& policy, const MemoryRule& memory, Findings& findings) {
  if (memory.budget) findings.at_least_one(memory.budget->value, "memory.budget");
  findings.share_above_zero(memory.warn.value, "warn");
  findings.share_above_zero(memory.shed.value, "shed");
  for (const RuleAction& action : memory.on_warn) verify_action(policy, action, "on warn", findings);
  for (const RuleAction& action : memory.on_shed) verify_action(policy, action, "on shed", findings);
}

// Their own rules are taken from them: `use` changes decisions only.
void verify_alternatives(const Policy& policy, Findings& findings) {
  std::set<std::string> names;
  for (const Policy& other : policy.alternatives) {
    findings.require(names.insert(other.name.value).second, "an alternative stands twice");
    const bool acts = other.memory && !(other.memory->on_warn.empty() && other.memory->on_shed.empty());
    const bool is_plain = other.adapt.empty() && other.choose.empty() && other.alternatives.empty() && !acts;
    findings.require(is_plain, fmt::format("the alternative `{}` has rules of its own", other.name.value));
    if (!is_plain) continue;
    for (const std::string& sentence : verify(other)) {
      findings.require(false, fmt::format("in `{}`: {}", other.name.value, sentence));
    }
  }
}

void verify_ladder(const Ladder& ladder, Findings& findings) {
  verify_quantity(ladder.by, ExprPlace::expert, "precision", findings);
  findings.require(!ladder.rungs.empty(), "the ladder has no rung");
  for (size_t i = 0; i + 1 < ladder.rungs.size(); ++i) {
    const double at_least = ladder.rungs[i].at_least;
    findings.require(std::isfinite(at_least), "a rung has no threshold");
    findings.require(i == 0 || at_least < ladder.rungs[i - 1].at_least, "the thresholds of the ladder do not fall");
  }
}

}  // namespace

void verify_overrides(const Policy& policy, Findings& findings) {
  for (size_t i = 0; i < policy.bands.size(); ++i) {
    const Band& band = policy.bands[i];
    findings.require(band.first <= band.last && band.last < kMaxLayers, "a band's layers are not within 0..4095");
    findings.require(i == 0 || policy.bands[i - 1].last < band.first, "the bands do not ascend apart");
    findings.require(!repeats_a_key(band.overrides), "a band has a key twice");
    verify_assignments(policy, band.overrides, "a band", findings);
    if (band.pins) verify_pins(*band.pins, findings);
    if (band.preload) verify_pins(*band.preload, findings);
    if (!band.tiers) continue;
    verify_tiers(*band.tiers, findings);
    const bool sized = !band.tiers->tiers.empty() && band.tiers->tiers.front().capacity;
    const bool one_cache = policy.cache.scope.value == Scope::global && !policy.per_layer;
    findings.require(!(sized && one_cache), "a band's tiers size the one cache of all layers");
  }
  std::set<Phase> phases;
  for (const PhaseRule& phase : policy.phases) {
    findings.require(phases.insert(phase.phase).second, "a phase stands twice");
    findings.require(!repeats_a_key(phase.overrides), "a phase has a key twice");
    verify_assignments(policy, phase.overrides, "a phase", findings);
  }
}

void verify_adapt(const Policy& policy, Findings& findings) {
  for (const AdaptRule& rule : policy.adapt) {
    verify_condition(rule.condition, ExprPlace::whole_cache, "a rule", findings);
    findings.at_least_one(rule.stretch.value, "for");
    findings.require(!rule.actions.empty(), "a rule does nothing");
    for (const RuleAction& action : rule.actions) verify_action(policy, action, "a rule", findings);
  }
  for (const Choose& choose : policy.choose) verify_choose(policy, choose, findings);
  if (policy.memory) verify_memory(policy, *policy.memory, findings);
  verify_alternatives(policy, findings);
}

void verify_tiers(const TiersRule& tiers, Findings& findings) {
  std::set<std::string> names;
  findings.require(!tiers.tiers.empty(), "`tiers` has no tier");
  for (size_t i = 0; i < tiers.tiers.size(); ++i) {
    const Tier& tier = tiers.tiers[i];
    findings.require(!tier.name.value.empty() && names.insert(tier.name.value).second,
                     "a tier has no name, or that of another");
    findings.require(i == 0 || tiers.tiers[i - 1].location.value <= tier.location.value,
                     "a tier stands after a slower one");
    findings.at_least_one(tier.group_size.value, "group_size");
    if (tier.capacity) verify_capacity(tier.capacity->value, findings);
  }
  for (const Move& move : tiers.moves) {
    findings.require(names.contains(move.from.value) && names.contains(move.to.value),
                     "a move names a tier that there is not");
    findings.require(move.from.value != move.to.value, "a move goes nowhere");
    if (!move.condition.empty()) verify_condition(move.condition, ExprPlace::expert, "a move", findings);
  }
  if (tiers.eviction) {
    verify_eviction(tiers.eviction->value, true, "tiers.eviction", findings);
    findings.require(rules_lower_tiers(tiers.eviction->value), "a rule of the lower tiers that only a cache can go by");
  }
  if (tiers.precision) verify_ladder(tiers.precision->value, findings);
}

}  // namespace moe::ir
