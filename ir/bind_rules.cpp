// SPDX-License-Identifier: Apache-2.0
// The three blocks with everything a model fixes filled in.
#include <fmt/format.h>

#include <algorithm>

#include "ir/bind_capacity.h"
#include "ir/keys.h"

namespace moe::ir {
namespace {

constexpr double kOffloadLinkGbPerSecond = 25.0;  // the transfer that hybrid compares where there is no cost model

void copy_cache(const CacheRule& cache, BoundRules& out) {
  out.eviction = cache.eviction.value;
  out.admit = cache.admit.value;
  out.frequency_decay = cache.frequency_decay.value;
  out.decay_interval = cache.decay_interval.value;
  out.score_ema_alpha = cache.score_ema_alpha.value;
  out.freq_threshold = cache.freq_threshold.value;
  out.freq_window = cache.freq_window.value;
  out.ttl = cache.ttl ? cache.ttl->value : 0;
  out.protect_selected = cache.protect_selected.value;
  out.one_by_one = cache.one_by_one.value;
}

void bind_memory(const BindContext& context, BoundRules& out) {
  const CacheRule& cache = context.rules.cache;
  out.expert_size_gb = cache.expert_size_gb.value;
  if (context.shape.expert_bytes != 0) {
    out.expert_size_gb = static_cast<double>(context.shape.expert_bytes) / 1e9;
    if (!cache.expert_size_gb.span.is_default()) {
      context.diagnostics.warning(
          "MOE2211", cache.expert_size_gb.span,
          fmt::format("`expert_size_gb` is not used: the model's experts have {} bytes", context.shape.expert_bytes),
          "remove `expert_size_gb`");
    }
  }
  out.memory_budget_gb = cache.memory_budget_gb.value;
  out.memory_threshold = cache.memory_threshold ? cache.memory_threshold->value : 0;
  out.memory_headroom = cache.memory_headroom.value;
  if (cache.memory_threshold && cache.memory_headroom.span.is_default()) {
    out.memory_headroom = std::min(out.memory_headroom, 0.9 * out.memory_threshold);
  }
}

// Strategies that speak of several layers, one after the other.
bool looks_in_turn(const StrategyChain& strategy) {
  return strategy.has(Strategy::lookahead) || strategy.has(Strategy::gate) || strategy.has(Strategy::sequence) ||
         strategy.has(Strategy::trajectory) || strategy.has(Strategy::most);
}

void bind_lookahead(const BindContext& context, BoundRules& out) {
  const Sourced<uint32_t>& lookahead = context.rules.prefetch.lookahead;
  out.lookahead = lookahead.value;
  if (lookahead.value == kAllLayers) {
    // trajectory names all layers from there on: from the next one.
    const std::vector<Strategy>& links = out.strategy.links;
    const bool only_trajectory = links.size() == 1 && links.front() == Strategy::trajectory;
    out.lookahead = only_trajectory ? 1 : context.shape.num_layers;
  } else if (looks_in_turn(out.strategy) && out.lookahead > context.shape.num_layers) {
    context.diagnostics.warning(
        "MOE2212", lookahead.span,
        fmt::format("`lookahead` of {} is more than the model's {} layers, which are all there is to look at",
                    out.lookahead, context.shape.num_layers),
        "write `lookahead = all`");
    out.lookahead = context.shape.num_layers;
  }
}

// False after an error.
bool bind_budget(const BindContext& context, BoundRules& out) {
  const Sourced<uint32_t>& budget = context.rules.prefetch.budget;
  const uint64_t layers = looks_in_turn(out.strategy) ? std::min(out.lookahead, context.shape.num_layers) : 1;
  const uint64_t places = context.per_layer() ? uint64_t{out.capacity} * layers : out.capacity;
  out.budget = static_cast<uint32_t>(std::min<uint64_t>(budget.value, places));
  if (budget.value <= places || budget.span.is_default()) return true;
  context.diagnostics.error("MOE2210", budget.span,
                            fmt::format("`budget` of {} is more than the {} slots it could fill", budget.value, places),
                            fmt::format("write `budget = {}` or less", places));
  return false;
}

bool bind_prefetch(const BindContext& context, BoundRules& out) {
  const PrefetchRule& rule = context.rules.prefetch;
  out.strategy = rule.strategy.value;
  out.history_window = rule.history_window.value;
  out.affinity_threshold = rule.affinity_threshold.value;
  out.min_probability = rule.min_probability.value;
  out.bandwidth = rule.bandwidth.value;
  out.cancel_stale = rule.cancel_stale.value;
  out.store = rule.store.value;
  out.top = rule.top ? rule.top->value : 0xFFFFFFFF;
  out.side_buffer = rule.side_buffer.value;
  out.prefetch_when = rule.when.value;
  out.prefetch_admit = rule.admit.value;
  if (rule.evict) out.prefetch_evict = rule.evict->value;
  bind_lookahead(context, out);
  return bind_budget(context, out);
}

MissAction miss_of(const ScheduleRule& rule, double expert_size_gb) {
  switch (rule.mode.value) {
    case ScheduleMode::gpu_only:
    case ScheduleMode::balance:
      return MissAction::load;
    case ScheduleMode::cpu_fallback:
      return MissAction::cpu_load;
    case ScheduleMode::hybrid: {
      const double transfer_ms = expert_size_gb / kOffloadLinkGbPerSecond * 1000.0;
      return transfer_ms > rule.offload_threshold_ms.value ? MissAction::cpu : MissAction::load;
    }
  }
  return MissAction::load;
}

void bind_schedule(const ScheduleRule& rule, BoundRules& out) {
  out.arms = rule.on_miss.value;
  out.miss = miss_of(rule, out.expert_size_gb);
  out.hybrid = out.arms.empty() && rule.mode.value == ScheduleMode::hybrid;
  out.balance = out.arms.empty() && rule.mode.value == ScheduleMode::balance;
  out.deadline_ms = rule.deadline ? rule.deadline->value : 0;
  out.max_loads = rule.max_loads ? rule.max_loads->value : 0xFFFFFFFF;
  out.loads_in_order = rule.loads_in_order.value;
  out.arrival = rule.arrival.value;
  out.order = rule.order.value;
  out.drop = rule.drop.value;
  out.gpu_time = rule.gpu_time.value;
  out.cpu_time = rule.cpu_time.value;
  out.cpu_setup = rule.cpu_setup.value;
  out.load_time = rule.load_time.value;
  out.overlap = rule.overlap.value;
  out.priority_routing = rule.priority_routing.value;
}

void take_fastest(const std::optional<TiersRule>& tiers, Rules& rules) {
  if (!tiers || tiers->tiers.empty()) return;
  const Tier& fastest = tiers->tiers.front();
  Capacity whatever_fits;
  whatever_fits.kind = Capacity::Kind::automatic;
  rules.cache.capacity = fastest.capacity.value_or(Sourced<Capacity>(whatever_fits, fastest.span));
}

}  // namespace

Rules rules_of(const Policy& policy) {
  Rules rules = policy.rules();
  take_fastest(policy.tiers, rules);
  return rules;
}

Rules rules_of(const Policy& policy, const Band& band) {
  Rules rules = rules_of(policy);
  const bool sized = band.tiers && !band.tiers->tiers.empty() && band.tiers->tiers.front().capacity;
  if (sized) take_fastest(band.tiers, rules);
  for (const Assignment& assignment : band.overrides) assign(rules, assignment);
  return rules;
}

bool bind_rules(const BindContext& context, uint32_t capacity, BoundRules& out) {
  out.capacity = capacity;
  copy_cache(context.rules.cache, out);
  bind_memory(context, out);
  bind_schedule(context.rules.schedule, out);
  return bind_prefetch(context, out);
}

BoundRules rules_in_force(const BoundPolicy& policy, const RulesQuery& query) {
  if (policy.source == nullptr) return policy;
  const Policy& whole = query.alternative ? policy.source->alternatives[*query.alternative] : *policy.source;
  const Band* band = whole.band_of(query.layer);
  Rules rules = band != nullptr ? rules_of(whole, *band) : rules_of(whole);
  for (const PhaseRule& phase : whole.phases) {
    if (phase.phase != query.phase) continue;
    for (const Assignment& assignment : phase.overrides) assign(rules, assignment);
  }
  for (const Assignment* assignment : query.overrides) assign(rules, *assignment);
  Diagnostics unheard;  // bind() has reported what there was to report
  const BindContext context{*policy.source, rules, policy.shape, policy.options, unheard};
  BoundRules out;
  bind_rules(context, bind_capacity(context).value_or(policy.capacity), out);
  return out;
}

}  // namespace moe::ir
