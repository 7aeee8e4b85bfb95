// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "codegen/compiler.h"
#include "codegen/sites.h"
#include "ir/predictor.h"

namespace moe::codegen {
namespace {

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
    default:
      break;
  }
  return 0;
}

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
uint32_t profile_of(const ir::BoundPolicy& policy) {
  const ir::Profile* profile = policy.options.profile.get();
  if (profile == nullptr) return 0;
  uint32_t bits = 0;
  if (policy.strategy.has(ir::Strategy::affinity)) bits |= decision::kProfileShares;
  if (policy.learn) {
    const uint64_t size = ir::Learner::num_weights(policy.shape.num_experts, policy.learn->window.value);
    const auto fits = [&](const std::vector<double>& weights) { return weights.size() == size; };
    if (std::any_of(profile->learned.begin(), profile->learned.end(), fits)) bits |= decision::kProfileWeights;
  }
  return bits;
}

uint32_t miss_of(ir::MissAction miss) {
  switch (miss) {
    case ir::MissAction::load:
      return static_cast<uint32_t>(decision::MissAction::load);
    case ir::MissAction::cpu:
      return static_cast<uint32_t>(decision::MissAction::cpu);
    case ir::MissAction::cpu_load:
      return static_cast<uint32_t>(decision::MissAction::cpu_load);
    default:
      break;
  }
  return 0;
}

std::string_view mode_of(ir::MissAction miss) {
  switch (miss) {
    case ir::MissAction::load:
      return "load";
    case ir::MissAction::cpu:
      return "cpu";
    case ir::MissAction::cpu_load:
      return "cpu_load";
    default:
      break;
  }
  return "";
}

}  // namespace

decision::Params make_params(const ir::BoundPolicy& policy) {
  decision::Params p{};
  p.num_layers = policy.shape.num_layers;
  p.num_experts = policy.shape.num_experts;
  p.top_k = policy.shape.top_k;
  p.scope_layer = policy.scope == ir::Scope::layer;
  p.eviction = eviction_of(policy.eviction.kind);
  p.admit = admit_of(policy.admit);
  p.capacity = policy.capacity;
  p.protect_selected = policy.protect_selected;
  p.decay_interval = policy.decay_interval;
  p.freq_window = policy.freq_window;
  p.ttl = policy.ttl;
  p.frequency_decay = policy.frequency_decay;
  p.score_ema_alpha = policy.score_ema_alpha;
  p.freq_threshold = policy.freq_threshold;
  p.memory_threshold = policy.memory_threshold;
  p.memory_headroom = policy.memory_headroom;
  p.memory_budget_gb = policy.memory_budget_gb;
  p.expert_size_gb = policy.expert_size_gb;
  p.min_probability = policy.min_probability;
  p.bandwidth = policy.bandwidth;
  p.strategy = strategy_of(policy.strategy.links.front());
  p.budget = policy.budget;
  p.lookahead = policy.lookahead;
  p.history_window = policy.history_window;
  p.miss = miss_of(policy.miss);
  p.cancel_stale = policy.cancel_stale;
  p.overlap = policy.overlap;
  p.priority_routing = policy.priority_routing;
  p.monitor_window = policy.monitor_window;
  p.log_interval = policy.log_interval;
  p.num_pins = static_cast<uint32_t>(policy.pins.size());
  p.seed = policy.options.seed;
  p.pins = policy.pins.data();
  p.num_preload = static_cast<uint32_t>(policy.preload.size());
  p.preload = policy.preload.data();
  if (policy.prefetch_admit == ir::Admit::never) p.prefetch_admit = decision::kPrefetchNever;
  if (policy.prefetch_admit == ir::Admit::when) p.prefetch_admit = decision::kPrefetchWhen;
  p.has_when = !policy.prefetch_when.empty();
  p.top = policy.top == 0xFFFFFFFF ? 0 : policy.top;
  p.has_order = !policy.order.empty();
  p.one_by_one = policy.one_by_one;
  p.hybrid = policy.hybrid;
  p.limits_loads = policy.max_loads != 0xFFFFFFFF;
  p.max_loads = p.limits_loads != 0 ? policy.max_loads : 0;
  p.loads_in_order = policy.loads_in_order;
  p.deadline_ms = policy.deadline_ms;
  p.num_arms = static_cast<uint32_t>(policy.arms.size());
  p.num_rates = static_cast<uint32_t>(rates_of(policy).size());
  p.keeps = keeps_of(policy);
  p.num_weight_rates = static_cast<uint32_t>(weight_rates_of(policy).size());
  p.next_strategies = next_strategies_of(policy.strategy);
  p.affinity_threshold = policy.affinity_threshold;
  p.store = policy.store;
  p.profile = profile_of(policy);
  if (policy.learn) {
    p.learn_window = policy.learn->window.value;
    p.learn_freeze = policy.learn->freeze.value;
    p.learn_rate = policy.learn->rate.value;
    p.learn_discount = policy.learn->discount.value;
  }
  return p;
}

std::string make_manifest(const ir::BoundPolicy& policy, std::string_view cpu, std::string_view features) {
  nlohmann::ordered_json j;
  j["abi"] = decision::kAbiVersion;
  j["symbol"] = "moe_policy_" + policy.name;
  j["name"] = policy.name;
  j["cpu"] = cpu;
  j["features"] = features;
  j["num_layers"] = policy.shape.num_layers;
  j["num_experts"] = policy.shape.num_experts;
  j["top_k"] = policy.shape.top_k;
  j["expert_bytes"] = policy.shape.expert_bytes;
  j["eviction"] = ir::to_word(policy.eviction.kind);
  j["scope"] = ir::to_word(policy.scope);
  j["capacity"] = policy.capacity;
  j["total_capacity"] = policy.total_capacity();
  j["pins"] = policy.pins.size();
  j["strategy"] = ir::to_word(policy.strategy.links.front());
  j["miss"] = mode_of(policy.miss);
  j["exactness"] = ir::to_word(policy.exactness);
  j["timing_free"] = policy.timing_free;
  j["metrics"] = policy.metrics;
  j["monitor_window"] = policy.monitor_window;
  j["log_interval"] = policy.log_interval;
  return j.dump();
}

}  // namespace moe::codegen
