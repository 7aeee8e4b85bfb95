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
  if (flip()) {
    chain.links.insert(chain.links.begin() + below(static_cast<uint32_t>(chain.links.size() + 1)), Strategy::most);
    chain.value = exprs_.quantity(ExprSite::expert);
  }
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
  if (below(6) == 0) {
    Pin all;
    all.kind = Pin::Kind::all;
    pins = {written(all)};
  } else if (below(4) == 0) {
    Pin hottest;
    hottest.kind = Pin::Kind::hottest;
    hottest.hottest = pick({slots(1 + below(8)), ratio((1 + below(20)) / 100.0), automatic()});
    if (flip()) pins.clear();
    pins.push_back(written(hottest));
  }
  return pins;
}

std::vector<Arm> RandomIr::arms() {
  std::vector<Arm> arms;
  for (uint32_t i = 0, n = below(3); i < n; ++i) {
    Arm arm;
    arm.condition = exprs_.condition(ExprSite::miss);
    arm.action = pick({MissAction::load, MissAction::cpu, MissAction::cpu_load, MissAction::degrade, MissAction::shared,
                       MissAction::skip});
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
  rule.one_by_one = written(flip());
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
  if (flip()) rule.top = written(1 + below(16));
  rule.side_buffer = written(flip());
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
  rule.loads_in_order = written(flip());
  rule.arrival = written(below(4));
  if (flip()) rule.order = written(exprs_.quantity(ExprSite::miss));
  if (flip()) rule.drop = written(exprs_.condition(ExprSite::miss));
  if (rule.mode.value != ScheduleMode::balance) return;
  if (flip()) rule.gpu_time = written(exprs_.node(Type::time, ExprSite::miss, 3));
  if (flip()) rule.cpu_time = written(exprs_.node(Type::number, ExprSite::miss, 3));
  if (flip()) rule.cpu_setup = written(exprs_.node(Type::time, ExprSite::miss, 3));
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
  std::vector<uint32_t> capacities;
  for (uint32_t i = 0, n = below(4); i < n; ++i) capacities.push_back(1 + below(64));
  if (!capacities.empty()) rule.capacities = written(capacities);
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
  if (flip()) rule.eviction = written(eviction(false));
  if (rule.eviction && !rules_lower_tiers(rule.eviction->value)) rule.eviction->value.kind = Eviction::fifo;
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

}  // namespace moe::ir::test
