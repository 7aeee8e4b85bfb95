// SPDX-License-Identifier: Apache-2.0
#include "codegen/program.h"

#include <algorithm>

#include "codegen/compiler.h"
#include "codegen/sites.h"
#include "codegen/steady.h"
#include "ir/expr_parts.h"
#include "ir/predictor.h"
#include "runtime/decision/layout.h"

namespace moe::codegen {

uint32_t eviction_of(ir::Eviction eviction) {
  switch (eviction) {
    case ir::Eviction::lru:
      return static_cast<uint32_t>(decision::Eviction::lru);
    case ir::Eviction::lfu:
      return static_cast<uint32_t>(decision::Eviction::lfu);
    case ir::Eviction::score:
      return static_cast<uint32_t>(decision::Eviction::score);
    case ir::Eviction::freq_threshold:
      return static_cast<uint32_t>(decision::Eviction::freq_threshold);
    case ir::Eviction::fifo:
      return static_cast<uint32_t>(decision::Eviction::fifo);
    case ir::Eviction::least:
      return static_cast<uint32_t>(decision::Eviction::least);
    case ir::Eviction::sieve:
      return static_cast<uint32_t>(decision::Eviction::sieve);
    case ir::Eviction::s3_fifo:
      return static_cast<uint32_t>(decision::Eviction::s3_fifo);
    case ir::Eviction::arc:
      return static_cast<uint32_t>(decision::Eviction::arc);
    case ir::Eviction::lirs:
      return static_cast<uint32_t>(decision::Eviction::lirs);
    case ir::Eviction::w_tinylfu:
      return static_cast<uint32_t>(decision::Eviction::w_tinylfu);
    case ir::Eviction::random:
      return static_cast<uint32_t>(decision::Eviction::random);
    case ir::Eviction::segmented:
      return static_cast<uint32_t>(decision::Eviction::segmented);
    default:
      break;
  }
  return 0;
}

namespace {

uint32_t admit_of(const ir::AdmitRule& rule) {
  if (rule == ir::Admit::never) return decision::kAdmitNever;
  return rule == ir::Admit::when ? decision::kAdmitWhen : decision::kAdmitAlways;
}

// Both enumerations have the order of the language's table.
constexpr uint32_t strategy_of(ir::Strategy strategy) { return static_cast<uint32_t>(strategy); }
static_assert(strategy_of(ir::Strategy::history) == static_cast<uint32_t>(decision::Strategy::history));
static_assert(strategy_of(ir::Strategy::lookahead) == static_cast<uint32_t>(decision::Strategy::lookahead));
static_assert(strategy_of(ir::Strategy::gate) == static_cast<uint32_t>(decision::Strategy::gate));
static_assert(strategy_of(ir::Strategy::affinity) == static_cast<uint32_t>(decision::Strategy::affinity));
static_assert(strategy_of(ir::Strategy::sequence) == static_cast<uint32_t>(decision::Strategy::sequence));
static_assert(strategy_of(ir::Strategy::learned) == static_cast<uint32_t>(decision::Strategy::learned));
static_assert(strategy_of(ir::Strategy::trajectory) == static_cast<uint32_t>(decision::Strategy::trajectory));
static_assert(strategy_of(ir::Strategy::most) == static_cast<uint32_t>(decision::Strategy::most));

/// The links after the first, as Params::next_strategies has them.
uint32_t next_strategies_of(const ir::StrategyChain& chain) {
  uint32_t packed = 0;
  for (size_t i = 1; i < chain.links.size(); ++i) packed |= strategy_of(chain.links[i]) << (4 * (i - 1));
  return packed;
}

/// decision::FromProfile. Weights of another window are left alone: binding tells.
uint32_t profile_of(const ir::BoundPolicy& policy, const std::vector<ir::BoundRules>& variants) {
  const ir::Profile* profile = policy.options.profile.get();
  if (profile == nullptr) return 0;
  uint32_t bits = 0;
  for (const ir::BoundRules& rules : variants) {
    if (rules.strategy.has(ir::Strategy::affinity)) bits |= decision::kProfileShares;
  }
  if (policy.learn) {
    const uint64_t size = ir::Learner::num_weights(policy.shape.num_experts, policy.learn->window.value);
    const auto fits = [&](const std::vector<double>& weights) { return weights.size() == size; };
    if (std::any_of(profile->learned.begin(), profile->learned.end(), fits)) bits |= decision::kProfileWeights;
  }
  return bits;
}

// Both enumerations have the order of the language's table.
constexpr uint32_t miss_of(ir::MissAction miss) { return static_cast<uint32_t>(miss); }
static_assert(miss_of(ir::MissAction::load) == static_cast<uint32_t>(decision::MissAction::load));
static_assert(miss_of(ir::MissAction::cpu) == static_cast<uint32_t>(decision::MissAction::cpu));
static_assert(miss_of(ir::MissAction::cpu_load) == static_cast<uint32_t>(decision::MissAction::cpu_load));
static_assert(miss_of(ir::MissAction::degrade) == static_cast<uint32_t>(decision::MissAction::degrade));
static_assert(miss_of(ir::MissAction::shared) == static_cast<uint32_t>(decision::MissAction::shared));
static_assert(miss_of(ir::MissAction::skip) == static_cast<uint32_t>(decision::MissAction::skip));

// What one variant's rules say, without what all variants share.
decision::Params params_of(const ir::BoundPolicy& policy, const ir::BoundRules& rules) {
  decision::Params p{};
  p.num_layers = policy.shape.num_layers;
  p.num_experts = policy.shape.num_experts;
  p.top_k = policy.shape.top_k;
  p.scope_layer = policy.scope == ir::Scope::layer;
  p.eviction = eviction_of(rules.eviction.kind);
  p.admit = admit_of(rules.admit);
  p.capacity = rules.capacity;
  p.protect_selected = rules.protect_selected;
  p.decay_interval = rules.decay_interval;
  p.freq_window = rules.freq_window;
  p.ttl = rules.ttl;
  p.frequency_decay = rules.frequency_decay;
  p.score_ema_alpha = rules.score_ema_alpha;
  p.freq_threshold = rules.freq_threshold;
  p.memory_threshold = rules.memory_threshold;
  p.memory_headroom = rules.memory_headroom;
  p.memory_budget_gb = rules.memory_budget_gb;
  p.expert_size_gb = rules.expert_size_gb;
  p.min_probability = rules.min_probability;
  p.bandwidth = rules.bandwidth;
  p.strategy = strategy_of(rules.strategy.links.front());
  p.budget = rules.budget;
  p.lookahead = rules.lookahead;
  p.history_window = rules.history_window;
  p.miss = miss_of(rules.miss);
  p.cancel_stale = rules.cancel_stale;
  p.overlap = rules.overlap;
  p.priority_routing = rules.priority_routing;
  if (rules.prefetch_admit == ir::Admit::never) p.prefetch_admit = decision::kPrefetchNever;
  if (rules.prefetch_admit == ir::Admit::when) p.prefetch_admit = decision::kPrefetchWhen;
  p.has_when = !rules.prefetch_when.empty();
  p.top = rules.top == 0xFFFFFFFF ? 0 : rules.top;
  p.has_order = !rules.order.empty();
  p.one_by_one = rules.one_by_one;
  p.hybrid = rules.hybrid;
  p.limits_loads = rules.max_loads != 0xFFFFFFFF;
  p.max_loads = p.limits_loads != 0 ? rules.max_loads : 0;
  p.loads_in_order = rules.loads_in_order;
  p.deadline_ms = rules.deadline_ms;
  p.num_arms = static_cast<uint32_t>(rules.arms.size());
  p.next_strategies = next_strategies_of(rules.strategy);
  p.affinity_threshold = rules.affinity_threshold;
  p.store = rules.store;
  p.expert_bytes = policy.expert_bytes(rules);
  p.has_prefetch_evict = rules.prefetch_evict.has_value();
  if (rules.prefetch_evict) p.prefetch_evict = eviction_of(rules.prefetch_evict->kind);
  p.has_drop = !rules.drop.empty();
  p.arrival = rules.arrival;
  p.side_buffer = rules.side_buffer;
  for (size_t i = 0; i < rules.eviction.segments.size(); ++i)
    p.segments[i] = eviction_of(rules.eviction.segments[i].kind);
  p.balance = rules.balance;
  if (rules.balance) {
    const auto written = [](const ir::Expr& time, uint32_t bit) { return time.empty() ? 0U : bit; };
    p.balance_times =
        written(rules.gpu_time, decision::kWritesGpuTime) | written(rules.cpu_time, decision::kWritesCpuTime) |
        written(rules.cpu_setup, decision::kWritesCpuSetup) | written(rules.load_time, decision::kWritesLoadTime);
  }
  return p;
}

void share(const ir::BoundPolicy& policy, decision::Params& p) {
  p.monitor_window = policy.monitor_window;
  p.log_interval = policy.log_interval;
  p.seed = policy.options.seed;
  p.num_pins = static_cast<uint32_t>(policy.pins.size());
  p.pins = policy.pins.data();
  p.num_preload = static_cast<uint32_t>(policy.preload.size());
  p.preload = policy.preload.data();
  const ir::PerLayerRule per_layer = policy.per_layer.value_or(ir::PerLayerRule{});
  p.entropy_window = per_layer.entropy_window.value;
  if (policy.learn) {
    p.learn_window = policy.learn->window.value;
    p.learn_freeze = policy.learn->freeze.value;
    p.learn_rate = policy.learn->rate.value;
    p.learn_discount = policy.learn->discount.value;
  }
  const bool has_budget = policy.source && policy.source->memory && policy.source->memory->budget;
  if (has_budget) p.memory_budget_bytes = static_cast<double>(policy.source->memory->budget->value);
}

std::vector<decision::Arm> arms_of(const ir::BoundRules& rules) {
  std::vector<decision::Arm> arms;
  for (const ir::Arm& arm : rules.arms) arms.push_back({miss_of(arm.action), arm.condition.empty() ? 1U : 0U});
  return arms;
}

// Room for each variant's share of the state that all of them have.
decision::Room room_of(const std::vector<decision::Params>& variants) {
  decision::Room room{};
  const decision::Params& first = variants.front();
  for (const decision::Params& p : variants) {
    room.capacity = std::max(room.capacity, p.capacity);
    room.rules |= decision::all_rules(p);
    for (uint32_t i = 0; i < 8; ++i) room.strategies |= 1U << decision::link_of(p, i);
    room.lookahead = std::max(room.lookahead, p.lookahead);
    room.history_window = std::max(room.history_window, p.history_window);
    room.budget = std::max(room.budget, p.budget);
    room.freq_window = std::max(room.freq_window, p.freq_window);
    room.ttl |= p.ttl != 0 ? 1 : 0;
    room.balance |= p.balance;
    room.arrival |= p.arrival != 0 ? 1 : 0;
    room.side_buffer |= p.side_buffer;
    if (p.capacity != first.capacity) room.capacity_varies = decision::kByRules;
    if (p.history_window != first.history_window) room.history_varies = 1;
  }
  return room;
}

constexpr uint32_t kLfu = 1U << static_cast<uint32_t>(decision::Eviction::lfu);

bool has_lfu_segment(const decision::Params& p) {
  return decision::is_segmented(p) && ((1U << p.segments[0] | 1U << p.segments[1]) & kLfu) != 0;
}

/// Equal numbers for rules that evict alike.
void number_evictions(const std::vector<ir::BoundRules>& rules, std::vector<decision::Params>& params) {
  for (size_t v = 0; v < rules.size(); ++v) {
    const auto found = std::find_if(rules.begin(), rules.end(),
                                    [&](const ir::BoundRules& each) { return each.eviction == rules[v].eviction; });
    params[v].eviction_number = static_cast<uint32_t>(found - rules.begin());
  }
}

bool differ_in_eviction(const std::vector<ir::BoundRules>& rules) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const ir::BoundRules& each) { return !(each.eviction == rules.front().eviction); });
}

}  // namespace

Program::Program(const ir::BoundPolicy& bound) : policy(bound), variants(variants_of(bound)) {
  if (variants.too_many) return;
  const size_t num_choices = policy.source ? policy.source->choose.size() : 0;
  add_tiers();
  has_changes = variants.rules.size() > 1 || !policy.adapt.empty() || num_choices > 0 || policy.per_layer;
  uint32_t site = 0;
  for (const ir::BoundRules& each : variants.rules) {
    decision::Params p = params_of(policy, each);
    share(policy, p);
    p.variant = static_cast<uint32_t>(params.size());
    p.first_site = site;
    for (SiteExpr& its : sites_of(each, site)) {
      its.variant = p.variant;
      sites.push_back(its);
    }
    const uint32_t first_of_tiers = site + num_sites(each);
    for (uint32_t i = 0; i < tier_exprs.size(); ++i) {
      sites.push_back({first_of_tiers + i, p.variant, decision::tier_site(p, i), tier_exprs[i], true});
    }
    site = first_of_tiers + static_cast<uint32_t>(tier_exprs.size());
    params.push_back(p);
    arms.push_back(arms_of(each));
  }
  add_rules();
  finish();
  keep_steady_parts();
}

// Where no rules change: of several variants each would keep parts of its own, in every dispatch.
void Program::keep_steady_parts() {
  if (has_changes || !tier_exprs.empty()) return;
  decision::Params& p = params.front();
  const auto least =
      std::find_if(sites.begin(), sites.end(), [](const SiteExpr& site) { return site.kind == decision::kSiteLeast; });
  if (least == sites.end()) return;
  steady_roots = steady_nodes(*least->expr);
  if (steady_roots.size() > decision::kMaxSteady) steady_roots.resize(decision::kMaxSteady);
  for (const uint32_t root : steady_roots) steady_parts.push_back(ir::subtree(*least->expr, root));
  p.num_steady = static_cast<uint32_t>(steady_roots.size());
}

void Program::add_rules() {
  const auto add_condition = [&](const ir::Expr& expr) {
    conditions.push_back({static_cast<uint32_t>(conditions.size()), 0, 0, &expr, false});
  };
  for (size_t i = 0; i < policy.adapt.size(); ++i) {
    const ir::AdaptRule& from = policy.adapt[i];
    add_condition(from.condition);
    decision::AdaptRule rule{};
    rule.stretch = from.stretch.value;
    rule.cooldown = from.cooldown.value;
    rule.unit = static_cast<uint32_t>(from.unit);
    rule.revert = from.revert ? 1 : 0;
    rule.mask = variants.mask_of_rule[i];
    rule.first_action = static_cast<uint32_t>(actions.size());
    for (const ir::RuleAction& action : from.actions) {
      using Kind = ir::RuleAction::Kind;
      if (action.kind == Kind::trigger_pressure) {
        actions.push_back({static_cast<uint32_t>(decision::RuleActionKind::trigger_pressure), 0, nullptr});
      } else if (action.kind == Kind::rebalance) {
        actions.push_back({static_cast<uint32_t>(decision::RuleActionKind::rebalance),
                           static_cast<uint32_t>(action.allocation), nullptr});
      } else if (action.kind == Kind::signal) {
        actions.push_back({static_cast<uint32_t>(decision::RuleActionKind::signal), 0, action.name.c_str()});
      }
    }
    rule.num_actions = static_cast<uint32_t>(actions.size()) - rule.first_action;
    rules.push_back(rule);
  }
  if (policy.source == nullptr) return;
  for (const ir::Choose& from : policy.source->choose) {
    add_condition(from.reward);
    decision::ChooseRule choice{};
    choice.every = from.every.value;
    choice.explore = from.explore.value;
    choice.first_arm = static_cast<uint32_t>(choice_arms.size());
    choice.num_arms = static_cast<uint32_t>(from.policies.size());
    for (const auto& name : from.policies) {
      const uint32_t named = alternative_named(policy, name.value);
      choice_arms.push_back(named == decision::kNone ? 0 : named);
    }
    choices.push_back(choice);
  }
}

void Program::share_slots() {
  if (!policy.per_layer) return;
  const ir::PerLayerRule& rule = *policy.per_layer;
  const ir::AllocationLimits limits = ir::limits_of(policy);
  decision::PerLayer shared{};
  shared.interval = rule.capacities.value.empty() ? rule.rebalance_interval.value : 0;
  shared.total = limits.total;
  shared.has_total = rule.total_budget ? 1 : 0;
  shared.allocation = static_cast<uint32_t>(rule.allocation.value);
  shared.min_capacity = limits.min_capacity;
  shared.max_capacity = limits.max_capacity;
  const auto utility = static_cast<uint32_t>(decision::Allocation::utility);
  const auto rebalance = static_cast<uint32_t>(decision::RuleActionKind::rebalance);
  bool by_utility = shared.interval != 0 && shared.allocation == utility;
  bool by_entropy = shared.interval != 0 && rule.allocation.value == ir::Allocation::entropy;
  for (const decision::RuleAction& action : actions) {
    if (action.kind != rebalance) continue;
    by_utility |= action.value == utility;
    by_entropy |= action.value == static_cast<uint32_t>(decision::Allocation::entropy);
  }
  shared.counts_depth = by_utility ? 1 : 0;
  per_layer = shared;
  uint64_t largest = 0, together = 0, later = 0;
  for (uint32_t layer = 0; layer < policy.shape.num_layers; ++layer) {
    slots_at_start.push_back(policy.capacity_of(layer));
    largest = std::max<uint64_t>(largest, slots_at_start.back());
    together += slots_at_start.back();
  }
  largest = std::max<uint64_t>(largest, shared.max_capacity);
  // What a later allocation may give in all.
  for (const decision::Params& p : params) {
    largest = std::max<uint64_t>(largest, p.capacity);  // so that all variants lay out one state
    const uint64_t layers = p.num_layers;
    const uint64_t wanted = shared.has_total != 0 ? shared.total : layers * p.capacity;
    const uint64_t total = std::min(wanted, layers * shared.max_capacity);
    later = std::max(later, std::max(total, layers * shared.min_capacity));
  }
  for (decision::Params& p : params) {
    p.room.capacity_varies = decision::kByLayer;
    p.room.capacity = static_cast<uint32_t>(largest);
    p.room.total_capacity = static_cast<uint32_t>(std::max(together, later));
    if (by_entropy) p.keeps |= decision::kKeepsEntropy;
  }
}

// What all variants share is known once all sites are.
void Program::finish() {
  std::vector<SiteExpr> all = sites;
  all.insert(all.end(), conditions.begin(), conditions.end());
  rates = rates_of(all);
  weight_rates = weight_rates_of(all);
  remembered = remembered_of(all);
  decision::Room room{};
  const bool predicts = std::any_of(variants.rules.begin(), variants.rules.end(),
                                    [](const ir::BoundRules& each) { return !each.strategy.is_none(); });
  uint32_t keeps = keeps_of(all, {predicts, policy.learn.has_value()});
  if (variants.rules.size() > 1) {
    room = room_of(params);
    const bool differ = differ_in_eviction(variants.rules);
    room.rules_differ = differ && policy.scope == ir::Scope::layer ? 1 : 0;
    // lfu's counts go on under other rules.
    if (differ && (room.rules & kLfu) != 0) keeps |= decision::kKeepsFreq;
  }
  for (const decision::Params& p : params) {
    if (p.has_prefetch_evict != 0 && (1U << p.prefetch_evict & kLfu) != 0) keeps |= decision::kKeepsFreq;
    if (has_lfu_segment(p)) keeps |= decision::kKeepsFreq;
  }
  number_evictions(variants.rules, params);
  uint32_t num_values = 0;
  for (const decision::Remembered& r : remembered) num_values += r.window;
  for (decision::Params& p : params) {
    p.room = room;
    p.keeps = keeps;
    p.num_rates = static_cast<uint32_t>(rates.size());
    p.num_weight_rates = static_cast<uint32_t>(weight_rates.size());
    p.profile = profile_of(policy, variants.rules);
    p.num_remembered = static_cast<uint32_t>(remembered.size());
    p.num_remembered_values = num_values;
  }
  for (decision::Params& p : params) {
    share_tiers(p);
    if ((p.tier_evictions & kLfu) != 0) p.keeps |= decision::kKeepsSeen;
  }
  share_slots();
  changes.num_variants = static_cast<uint32_t>(params.size());
  changes.num_bands = variants.num_bands;
  changes.num_mask_bits = variants.num_mask_bits;
  changes.num_alternatives = variants.num_alternatives;
  changes.num_rules = static_cast<uint32_t>(rules.size());
  changes.num_choices = static_cast<uint32_t>(choices.size());
  changes.num_actions = static_cast<uint32_t>(actions.size());
  changes.num_arms = static_cast<uint32_t>(choice_arms.size());
  changes.seed = policy.options.seed;
}

uint32_t Program::first_variant() const { return variants.selector[variants.num_bands + variants.band_of_layer[0]]; }

decision::Params make_params(const ir::BoundPolicy& policy) { return Program(policy).params.front(); }

}  // namespace moe::codegen
