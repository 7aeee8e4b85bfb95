// SPDX-License-Identifier: Apache-2.0
// Random bands, phases and rules, and whole policies.
#include "tests/ir/random_ir.h"

namespace moe::ir::test {

namespace {

// Keys whose values must go with those of others.
bool is_compared(Key key) {
  switch (key) {
    case Key::capacity:
    case Key::memory_threshold:
    case Key::memory_headroom:
    case Key::memory_budget_gb:
    case Key::expert_size_gb:
    case Key::budget:
    case Key::lookahead:
    case Key::profile:
    case Key::mode:
    case Key::offload_threshold_ms:
    case Key::overlap:
    case Key::approximate:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Of the keys that are not compared.
KeyValue RandomIr::value_of(Key key) {
  switch (key) {
    case Key::eviction:
      return eviction(false);
    case Key::admit:
      return admit(true);
    case Key::frequency_decay:
    case Key::score_ema_alpha:
    case Key::freq_threshold:
    case Key::affinity_threshold:
    case Key::min_probability:
    case Key::bandwidth:
      return share();
    case Key::decay_interval:
    case Key::freq_window:
    case Key::history_window:
    case Key::store:
      return uint64_t{1 + below(1000)};
    case Key::arrival:
      return uint64_t{below(4)};
    case Key::ttl:
    case Key::top:
    case Key::max_loads:
      return flip() ? KeyValue() : KeyValue(uint64_t{1 + below(100)});
    case Key::protect_selected:
    case Key::one_by_one:
    case Key::cancel_stale:
    case Key::side_buffer:
    case Key::loads_in_order:
    case Key::priority_routing:
      return flip();
    case Key::strategy:
      return chain();
    case Key::prefetch_when:
      return exprs_.condition(ExprSite::prefetch);
    case Key::prefetch_admit:
      return admit(false);
    case Key::prefetch_evict:
      return flip() ? KeyValue() : KeyValue(eviction(false));
    case Key::on_miss:
      return arms();
    case Key::deadline:
      return flip() ? KeyValue() : KeyValue(0.5 + share());
    case Key::order:
      return flip() ? Expr() : exprs_.quantity(ExprSite::miss);
    case Key::gpu_time:
    case Key::cpu_time:
    case Key::cpu_setup:
    case Key::load_time:
      return flip() ? Expr() : exprs_.node(pick({Type::time, Type::number}), ExprSite::miss, 3);
    case Key::drop:
      return flip() ? Expr() : exprs_.condition(ExprSite::miss);
    default:
      return KeyValue();
  }
}

std::vector<Assignment> RandomIr::overrides() {
  std::vector<Assignment> overrides;
  for (size_t k = 0; k < kNumKeys; ++k) {
    const Key key = static_cast<Key>(k);
    if (is_compared(key)) continue;
    if (below(4) == 0) overrides.push_back({key, value_of(key), {10, 20}});
  }
  if (overrides.empty()) overrides.push_back({Key::ttl, uint64_t{7}, {10, 20}});
  return overrides;
}

RuleAction RandomIr::action() {
  RuleAction action;
  action.span = {10, 20};
  switch (below(8)) {
    case 0:
      action.kind = RuleAction::Kind::rebalance;
      action.allocation = pick({Allocation::entropy, Allocation::uniform, Allocation::utility});
      return action;
    case 2:
      action.kind = RuleAction::Kind::trigger_pressure;
      return action;
    case 1:
      action.kind = RuleAction::Kind::signal;
      action.name = "look";
      return action;
    default: {
      const Key key = pick({Key::eviction, Key::ttl, Key::min_probability, Key::drop, Key::prefetch_when,
                            Key::history_window, Key::on_miss, Key::on_miss, Key::strategy, Key::top, Key::side_buffer,
                            Key::one_by_one, Key::arrival, Key::loads_in_order, Key::order, Key::cpu_setup});
      action.assignment = {key, value_of(key), {10, 20}};
      return action;
    }
  }
}

AdaptRule RandomIr::rule() {
  AdaptRule rule;
  rule.condition = exprs_.condition(ExprSite::whole_cache);
  rule.stretch = written(uint64_t{1 + below(100)});
  rule.unit = pick({AdaptRule::Unit::accesses, AdaptRule::Unit::dispatches, AdaptRule::Unit::tokens});
  rule.cooldown = written(uint64_t{below(3)} * 50);
  rule.actions = {action()};
  rule.revert = rule.actions[0].kind == RuleAction::Kind::assign && flip();
  return rule;
}

void RandomIr::bands(Policy& policy) {
  uint32_t layer = below(3);
  for (uint32_t i = 0, n = below(3); i < n; ++i) {
    Band band;
    band.first = layer;
    band.last = layer + below(4);
    band.overrides = overrides();
    // One cache for all layers has one rule; who is admitted may differ.
    const bool one_cache = policy.cache.scope.value == Scope::global;
    std::erase_if(band.overrides, [&](const Assignment& assignment) {
      const bool by_expert =
          assignment.key == Key::admit || assignment.key == Key::protect_selected || assignment.key == Key::one_by_one;
      return one_cache && assignment.key < Key::strategy && !by_expert;
    });
    if (flip() || band.overrides.empty()) band.pins = {pin(std::nullopt, {7, 8})};
    if (flip()) band.preload = pins();
    if (below(3) == 0) band.tiers = tiers();
    if (one_cache && band.tiers) band.tiers->tiers.front().capacity.reset();
    if (band.tiers) std::erase_if(band.overrides, [](const Assignment& a) { return a.key == Key::capacity; });
    layer = band.last + 1 + below(3);
    policy.bands.push_back(band);
  }
}

void RandomIr::phases(Policy& policy) {
  if (flip()) policy.phases.push_back({Phase::prefill, overrides(), {}});
  if (flip()) policy.phases.push_back({Phase::decode, overrides(), {}});
}

void RandomIr::adapt(Policy& policy) {
  for (uint32_t i = 0, n = below(3); i < n; ++i) policy.adapt.push_back(rule());
  if (policy.alternatives.empty()) return;
  if (policy.alternatives.size() == 1) {
    AdaptRule use = rule();
    use.actions[0] = {};
    use.actions[0].kind = RuleAction::Kind::use;
    use.actions[0].name = policy.alternatives[0].name.value;
    policy.adapt.push_back(use);
  } else {
    Choose choose;
    for (const Policy& other : policy.alternatives) choose.policies.push_back(other.name);
    choose.reward = exprs_.quantity(ExprSite::whole_cache);
    choose.every = written(uint64_t{1 + below(100)});
    choose.explore = written(share());
    policy.choose.push_back(choose);
  }
}

// Without rules of its own.
Policy RandomIr::plain(const std::string& name) {
  Policy policy = policy_of(capacity());
  policy.name = written(name);
  exprs_.with_learn = flip();
  if (exprs_.with_learn) policy.learn = learn();
  cache(policy.cache);
  prefetch(policy.prefetch);
  schedule(policy.schedule);
  if (flip()) policy.monitor = monitor();
  if (below(4) == 0) {
    policy.per_layer = per_layer();
    policy.cache.scope = written(Scope::layer);
    policy.cache.capacity = written(slots(1000));
  } else if (below(3) == 0) {
    policy.tiers = tiers();
    policy.cache.capacity = {};  // the first tier says it
  }
  if (flip()) policy.memory = memory();
  bands(policy);
  phases(policy);
  return policy;
}

Policy RandomIr::policy() {
  std::vector<Policy> alternatives;
  const uint32_t num_alternatives = flip() ? 0 : 1 + below(2);
  for (uint32_t i = 0; i < num_alternatives; ++i) alternatives.push_back(plain(i == 0 ? "other" : "third"));
  Policy policy = plain("p");
  // The layout is one while a policy runs: that of the last, which is drawn anew until it fits all.
  for (Policy& other : alternatives) {
    while (other.cache.scope.value != policy.cache.scope.value || other.learn.has_value() != policy.learn.has_value()) {
      other = plain(other.name.value);
    }
  }
  policy.alternatives = alternatives;
  if (flip()) policy.params.push_back({"knob", "8", flip() ? "1 .. 64" : ""});
  exprs_.with_learn = policy.learn.has_value();
  adapt(policy);
  if (policy.memory && flip()) policy.memory->on_shed = {action()};
  return policy;
}

}  // namespace moe::ir::test
