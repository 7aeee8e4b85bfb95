// SPDX-License-Identifier: Apache-2.0
#include "tests/ir/random_ir.h"

#include <algorithm>

namespace moe::ir::test {

double RandomIr::share() {
  return flip() ? (1 + below(1000)) / 1000.0 : static_cast<double>(1 + (random_() >> 11)) / 0x1p53;
}

// ---- values
// ----------------------------------------------------------------------------------------------------------

Capacity RandomIr::capacity() {
  switch (below(4)) {
    case 0:
      return slots(1000 + below(1000));  // room for every pin and budget below
    case 1:
      return ratio(share());
    case 2:
      return bytes(1 + below(1u << 31));
    default:
      return automatic();
  }
}

EvictionRule RandomIr::eviction(bool may_be_segmented) {
  EvictionRule rule;
  switch (below(may_be_segmented ? 6 : 5)) {
    case 0:
      rule.kind = Eviction::least;
      rule.value = exprs_.quantity(ExprSite::expert);
      return rule;
    case 5:
      rule.kind = Eviction::segmented;
      rule.segments = {pick({Eviction::lfu, Eviction::fifo}), pick({Eviction::lru, Eviction::score})};
      return rule;
    default:
      rule.kind = pick({Eviction::lru, Eviction::lfu, Eviction::score, Eviction::freq_threshold, Eviction::fifo,
                        Eviction::sieve, Eviction::s3_fifo, Eviction::arc, Eviction::lirs, Eviction::w_tinylfu,
                        Eviction::random});
      return rule;
  }
}

AdmitRule RandomIr::admit(bool may_be_never) {
  AdmitRule rule = may_be_never && flip() ? Admit::never : Admit::always;
  if (flip()) {
    rule.kind = Admit::when;
    rule.condition = exprs_.condition(ExprSite::admit);
  }
  return rule;
}

StrategyChain RandomIr::chain() {
  StrategyChain chain = pick({Strategy::none, Strategy::history, Strategy::lookahead, Strategy::gate});
  if (chain == Strategy::none) return chain;
  if (flip()) chain.links.push_back(Strategy::affinity);
  if (flip()) chain.links.push_back(pick({Strategy::sequence, Strategy::trajectory}));
  if (exprs_.with_learn && flip()) chain.links.push_back(Strategy::learned);
  return chain;
}

std::vector<Sourced<Pin>> RandomIr::pins() {
  std::vector<Sourced<Pin>> pins;
  for (uint32_t i = 0, n = below(4); i < n; ++i) {
    const uint32_t layer = below(10), expert = 100 * i + below(50);
    const bool in_all = flip();
    pins.push_back(
        pin(in_all ? std::nullopt : std::optional(Pin::Range{layer, layer + below(3)}), {expert, expert + below(5)}));
  }
  if (below(4) == 0) {
    Pin hottest;
    hottest.kind = Pin::Kind::hottest;
    hottest.hottest = pick({slots(1 + below(8)), ratio((1 + below(20)) / 100.0), automatic()});
    pins = {written(hottest)};
  }
  return pins;
}

std::vector<Arm> RandomIr::arms() {
  std::vector<Arm> arms;
  for (uint32_t i = 0, n = below(3); i < n; ++i) {
    Arm arm;
    arm.condition = exprs_.condition(ExprSite::miss);
    arm.action = pick({MissAction::load, MissAction::cpu, MissAction::cpu_load, MissAction::degrade, MissAction::skip});
    arms.push_back(arm);
  }
  Arm last;
  last.action = pick({MissAction::load, MissAction::cpu, MissAction::cpu_load});
  arms.push_back(last);
  return arms;
}

// ---- blocks
// ----------------------------------------------------------------------------------------------------------

void RandomIr::cache(CacheRule& rule) {
  rule.scope = written(pick({Scope::global, Scope::layer}));
  rule.eviction = written(eviction(true));
  rule.admit = written(admit(true));
  rule.pins = pins();
  if (rule.pins.empty()) rule.preload = pins();
  rule.frequency_decay = written(share());
  rule.decay_interval = written(uint64_t{1 + below(1000)});
  rule.score_ema_alpha = written(share());
  rule.freq_threshold = written(share());
  rule.freq_window = written(uint64_t{1 + below(1 << 20)});
  if (flip()) rule.ttl = written(uint64_t{1 + below(100000)});
  if (flip()) rule.memory_threshold = written(share());
  if (rule.memory_threshold && flip()) rule.memory_headroom = written(rule.memory_threshold->value * 0.5);
  if (rule.memory_threshold && rule.memory_headroom.span.is_default()) {
    rule.memory_headroom.value = std::min(0.7, 0.9 * rule.memory_threshold->value);  // as the frontend fills it in
  }
  rule.memory_budget_gb = written(0.001 + 100 * share());
  if (flip()) rule.expert_size_gb = written(share());
  rule.protect_selected = written(flip());
}

void RandomIr::prefetch(PrefetchRule& rule) {
  rule.strategy = written(chain());
  if (flip()) rule.budget = written(1 + below(16));
  rule.lookahead = written(below(8) == 0 ? kAllLayers : 1 + below(8));
  rule.history_window = written(1 + below(4096));
  rule.affinity_threshold = written(share());
  rule.min_probability = written(share());
  rule.bandwidth = written(share());
  rule.cancel_stale = written(flip());
  rule.store = written(1 + below(4096));
  if (flip()) rule.profile = written(std::string("a b.moeprof"));
  if (flip()) rule.when = written(exprs_.condition(ExprSite::prefetch));
  rule.admit = written(admit(false));
  if (flip()) rule.evict = written(eviction(false));
}

void RandomIr::schedule(ScheduleRule& rule) {
  rule.approximate = written(true);
  if (flip()) {
    rule.on_miss = written(arms());
  } else {
    rule.mode = written(
        pick({ScheduleMode::gpu_only, ScheduleMode::cpu_fallback, ScheduleMode::hybrid, ScheduleMode::balance}));
  }
  rule.offload_threshold_ms = written(0.001 + 1000 * share());
  rule.overlap = written(true);
  rule.priority_routing = written(flip());
  if (flip()) rule.deadline = written(0.001 + 10 * share());
  if (flip()) rule.max_loads = written(below(10));
  if (flip()) rule.drop = written(exprs_.condition(ExprSite::miss));
  if (rule.mode.value != ScheduleMode::balance) return;
  if (flip()) rule.gpu_time = written(exprs_.node(Type::time, ExprSite::miss, 3));
  if (flip()) rule.cpu_time = written(exprs_.node(Type::number, ExprSite::miss, 3));
  if (flip()) rule.load_time = written(exprs_.node(Type::time, ExprSite::miss, 3));
}

MonitorRule RandomIr::monitor() {
  MonitorRule rule;
  rule.metrics = {written(std::string("hit_rate")), written(std::string("eviction_rate"))};
  rule.window = written(1 + below(4096));
  rule.log_interval = written(1 + below(1000));
  return rule;
}

LearnRule RandomIr::learn() {
  LearnRule rule;
  rule.window = written(1 + below(64));
  rule.discount = written(share());
  rule.rate = written(share());
  if (flip()) rule.profile = written(std::string("w.moeprof"));
  rule.freeze = written(flip());
  return rule;
}

PerLayerRule RandomIr::per_layer() {
  PerLayerRule rule;
  rule.allocation = written(pick({Allocation::entropy, Allocation::uniform, Allocation::utility}));
  if (flip()) rule.total_budget = written(uint64_t{100000 + below(100000)});
  rule.min_capacity = written(1 + below(4));
  rule.max_capacity = written(8 + below(64));
  rule.rebalance_interval = written(uint64_t{below(1000)});
  rule.entropy_window = written(1 + below(4096));
  return rule;
}

TiersRule RandomIr::tiers() {
  TiersRule rule;
  const auto tier = [&](const char* name, Location location) {
    Tier out;
    out.name = written(std::string(name));
    out.location = written(location);
    out.pinned = written(location == Location::host && flip());
    return out;
  };
  rule.tiers = {tier("fast", Location::gpu), tier("slow", Location::host)};
  rule.tiers[0].capacity = written(capacity());
  rule.tiers[1].dtype = written(pick({Dtype::as_stored, Dtype::int4, Dtype::f8_e4m3}));
  if (rule.tiers[1].dtype.value == Dtype::int4) rule.tiers[1].group_size = written(64u);
  if (flip()) {
    rule.tiers.push_back(tier("far", Location::disk));
    rule.tiers[2].path = written(std::string("/far away"));
  }
  for (size_t i = 0; i + 1 < rule.tiers.size(); ++i) {
    Move up, down;
    up.from = down.to = rule.tiers[i + 1].name;
    up.to = down.from = rule.tiers[i].name;
    down.promote = false;
    up.condition = exprs_.condition(ExprSite::expert);
    if (flip()) down.condition = exprs_.condition(ExprSite::expert);
    rule.moves.push_back(up);
    rule.moves.push_back(down);
  }
  rule.inclusive = written(flip());
  if (flip()) rule.eviction = written(eviction(true));
  rule.direct = written(flip());
  if (flip()) {
    Ladder ladder;
    ladder.by = exprs_.quantity(ExprSite::expert);
    ladder.rungs = {{Dtype::bf16, 0.1 + share()}, {Dtype::int8, 0.05}, {Dtype::int4, 0}};
    rule.precision = written(ladder);
  }
  return rule;
}

MemoryRule RandomIr::memory() {
  MemoryRule rule;
  if (flip()) rule.budget = written(uint64_t{1000000000} + below(1u << 31));
  rule.kv_reserve = written(uint64_t{below(1u << 20)});
  rule.warn = written(0.3 + share() / 4);
  rule.shed = written(0.7 + share() / 4);
  return rule;
}

// ---- what changes the rules
// ------------------------------------------------------------------------------------------

// Of the keys that nothing else is compared with.
KeyValue RandomIr::value_of(Key key) {
  switch (key) {
    case Key::eviction:
      return eviction(false);
    case Key::admit:
      return admit(true);
    case Key::frequency_decay:
    case Key::score_ema_alpha:
    case Key::min_probability:
    case Key::bandwidth:
      return share();
    case Key::decay_interval:
    case Key::history_window:
      return uint64_t{1 + below(1000)};
    case Key::ttl:
    case Key::max_loads:
      return flip() ? KeyValue() : KeyValue(uint64_t{1 + below(100)});
    case Key::cancel_stale:
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
    case Key::drop:
      return flip() ? Expr() : exprs_.condition(ExprSite::miss);
    default:
      return KeyValue();
  }
}

std::vector<Assignment> RandomIr::overrides() {
  std::vector<Assignment> overrides;
  for (const Key key : {Key::eviction, Key::admit, Key::frequency_decay, Key::decay_interval, Key::score_ema_alpha,
                        Key::ttl, Key::strategy, Key::history_window, Key::min_probability, Key::bandwidth,
                        Key::cancel_stale, Key::prefetch_when, Key::prefetch_admit, Key::prefetch_evict,
                        Key::priority_routing, Key::on_miss, Key::deadline, Key::max_loads, Key::drop}) {
    if (below(4) == 0) overrides.push_back({key, value_of(key), {10, 20}});
  }
  if (overrides.empty()) overrides.push_back({Key::ttl, uint64_t{7}, {10, 20}});
  return overrides;
}

RuleAction RandomIr::action() {
  RuleAction action;
  action.span = {10, 20};
  switch (below(6)) {
    case 0:
      action.kind = RuleAction::Kind::trigger_pressure;
      return action;
    case 1:
      action.kind = RuleAction::Kind::signal;
      action.name = "look";
      return action;
    default: {
      const Key key = pick({Key::eviction, Key::ttl, Key::min_probability, Key::on_miss, Key::drop, Key::prefetch_when,
                            Key::history_window});
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
    if (flip()) band.pins = {pin(std::nullopt, {7, 8})};
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
  if (flip()) {
    AdaptRule use = rule();
    use.actions[0] = {};
    use.actions[0].kind = RuleAction::Kind::use;
    use.actions[0].name = policy.alternatives[0].name.value;
    policy.adapt.push_back(use);
  } else {
    Choose choose;
    choose.policies = {policy.alternatives[0].name};
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
    policy.cache.capacity = {};
  }
  if (flip()) policy.memory = memory();
  bands(policy);
  phases(policy);
  return policy;
}

Policy RandomIr::policy() {
  std::vector<Policy> alternatives;
  if (below(3) == 0) alternatives.push_back(plain("other"));
  Policy policy = plain("p");
  policy.alternatives = alternatives;
  if (flip()) policy.params.push_back({"knob", "8", flip() ? "1..64" : ""});
  adapt(policy);
  if (policy.memory && flip()) policy.memory->on_shed = {action()};
  return policy;
}

}  // namespace moe::ir::test
