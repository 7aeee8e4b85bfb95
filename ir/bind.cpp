// SPDX-License-Identifier: Apache-2.0
// Binding a policy to a model. Codes of this phase are 22xx:
//   2200 the IR is broken            2201 bytes below one expert          2202 size of an expert unknown
//   2203 auto without a budget       2204 auto leaves no place            2205 pin beyond the model
//   2206 more pins than slots        2207 pins fill the cache (W)         2208 capacity below top_k (W)
//   2209 recency that cannot hit (W) 2210 budget above capacity           2211 expert_size_gb not used (W)
//   2212 lookahead beyond model (W)  2213 capacity above the model (W)    2214 capacity of 0 asked for
//   2215 model shape out of range    2216 pressure never reached (W)      2217 pressure at one expert (W)
#include "ir/bind.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/bind_capacity.h"
#include "ir/shape.h"

namespace moe::ir {
namespace {

constexpr double kOffloadLinkGbPerSecond = 25.0;  // the transfer that hybrid compares, until a cost model is bound

// A broken IR or shape is nothing the author can mend in the text, but it must not pass.
bool check_inputs(const BindContext& context) {
  const std::vector<std::string> broken = verify(context.policy);
  for (const std::string& sentence : broken) {
    context.diagnostics.error("MOE2200", context.policy.span, fmt::format("the policy cannot be bound: {}", sentence));
  }
  const std::string problem = shape_problem(context.shape);
  if (!problem.empty()) context.diagnostics.error("MOE2215", context.policy.span, problem);
  return broken.empty() && problem.empty();
}

void copy_cache(const BindContext& context, BoundPolicy& bound) {
  const CacheRule& cache = context.policy.cache;
  bound.scope = cache.scope.value;
  bound.eviction = cache.eviction.value.kind;
  bound.admit = cache.admit.value.kind;
  bound.frequency_decay = cache.frequency_decay.value;
  bound.decay_interval = cache.decay_interval.value;
  bound.score_ema_alpha = cache.score_ema_alpha.value;
  bound.freq_threshold = cache.freq_threshold.value;
  bound.freq_window = cache.freq_window.value;
  bound.ttl = cache.ttl ? cache.ttl->value : 0;
  bound.protect_selected = cache.protect_selected.value;
}

void bind_memory(const BindContext& context, BoundPolicy& bound) {
  const CacheRule& cache = context.policy.cache;
  bound.expert_size_gb = cache.expert_size_gb.value;
  if (context.shape.expert_bytes != 0) {
    bound.expert_size_gb = static_cast<double>(context.shape.expert_bytes) / 1e9;
    if (!cache.expert_size_gb.span.is_default()) {
      context.diagnostics.warning(
          "MOE2211", cache.expert_size_gb.span,
          fmt::format("`expert_size_gb` is not used: the model's experts have {} bytes", context.shape.expert_bytes),
          "remove `expert_size_gb`");
    }
  }
  bound.memory_budget_gb = cache.memory_budget_gb.value;
  bound.memory_threshold = cache.memory_threshold ? cache.memory_threshold->value : 0;
  bound.memory_headroom = cache.memory_headroom.value;
  if (cache.memory_threshold && cache.memory_headroom.span.is_default()) {
    bound.memory_headroom = std::min(bound.memory_headroom, 0.9 * bound.memory_threshold);
  }
}

void warn_about_pressure(const BindContext& context, const BoundPolicy& bound) {
  if (!context.policy.cache.memory_threshold) return;
  const auto used = [&](uint64_t num_resident) {
    return static_cast<double>(num_resident) * bound.expert_size_gb / bound.memory_budget_gb;
  };
  const SourceSpan span = context.policy.cache.memory_threshold->span;
  if (used(bound.total_capacity()) < bound.memory_threshold) {
    context.diagnostics.warning(
        "MOE2216", span,
        fmt::format(
            "memory pressure never comes: the full cache is {:.3g} of `memory_budget_gb`, below `memory_threshold`",
            used(bound.total_capacity())),
        "remove `memory_threshold`, or lower `memory_budget_gb`");
  } else if (used(1) >= bound.memory_threshold) {
    context.diagnostics.warning(
        "MOE2217", span,
        fmt::format("one expert alone is {:.3g} of `memory_budget_gb`, so none stays resident", used(1)),
        "raise `memory_budget_gb`");
  }
}

void warn_about_capacity(const BindContext& context, const BoundPolicy& bound) {
  const SourceSpan span = context.policy.cache.capacity.span;
  if (bound.capacity < bound.shape.top_k) {
    context.diagnostics.warning(
        "MOE2208", span,
        fmt::format("a capacity of {} is below the {} experts that every token selects, so every "
                    "dispatch streams",
                    bound.capacity, bound.shape.top_k),
        fmt::format("raise `capacity` to at least {}", bound.shape.top_k));
  }
  const bool by_recency = bound.eviction == Eviction::lru || bound.eviction == Eviction::fifo;
  const uint64_t round = uint64_t{bound.shape.top_k} * bound.shape.num_layers;
  if (by_recency && bound.scope == Scope::global && bound.shape.num_layers > 1 && bound.capacity <= round &&
      bound.capacity < bound.num_keys()) {
    context.diagnostics.warning(
        "MOE2209", context.policy.cache.eviction.span.is_default() ? span : context.policy.cache.eviction.span,
        fmt::format("a global `{}` with {} slots can hardly hit: a layer comes back after {} other selections",
                    to_word(bound.eviction), bound.capacity, round),
        fmt::format("write `scope = layer  capacity = {}`",
                    std::max<uint32_t>(1, bound.capacity / bound.shape.num_layers)));
  }
}

// How many layers' experts one dispatch may prefetch.
uint32_t num_target_layers(const PrefetchRule& rule, const ModelShape& shape) {
  const bool several = rule.strategy.value == Strategy::lookahead || rule.strategy.value == Strategy::gate;
  return several ? std::min(rule.lookahead.value, shape.num_layers) : 1;
}

// False after an error.
bool bind_prefetch(const BindContext& context, BoundPolicy& bound) {
  const PrefetchRule& rule = context.policy.prefetch;
  bound.strategy = rule.strategy.value.links.front();
  bound.history_window = rule.history_window.value;
  bound.min_probability = rule.min_probability.value;
  bound.bandwidth = rule.bandwidth.value;
  bound.cancel_stale = rule.cancel_stale.value;

  bound.lookahead = rule.lookahead.value;
  const bool in_turn = bound.strategy == Strategy::lookahead || bound.strategy == Strategy::gate;
  if (in_turn && bound.lookahead > context.shape.num_layers) {
    context.diagnostics.warning(
        "MOE2212", rule.lookahead.span,
        fmt::format("`lookahead` of {} is more than the model's {} layers, which are all there is to look at",
                    bound.lookahead, context.shape.num_layers),
        fmt::format("write `lookahead = {}`", context.shape.num_layers));
    bound.lookahead = context.shape.num_layers;
  }

  const uint64_t places =
      bound.scope == Scope::global ? bound.capacity : uint64_t{bound.capacity} * num_target_layers(rule, context.shape);
  bound.budget = static_cast<uint32_t>(std::min<uint64_t>(rule.budget.value, places));
  if (rule.budget.value <= places || rule.budget.span.is_default()) return true;
  context.diagnostics.error(
      "MOE2210", rule.budget.span,
      fmt::format("`budget` of {} is more than the {} slots it could fill", rule.budget.value, places),
      fmt::format("write `budget = {}` or less", places));
  return false;
}

MissAction bind_miss(const ScheduleRule& rule, double expert_size_gb) {
  switch (rule.mode.value) {
    case ScheduleMode::gpu_only:
      return MissAction::load;
    case ScheduleMode::cpu_fallback:
      return MissAction::cpu_load;
    case ScheduleMode::balance:
    case ScheduleMode::hybrid: {
      const double transfer_ms = expert_size_gb / kOffloadLinkGbPerSecond * 1000.0;
      return transfer_ms > rule.offload_threshold_ms.value ? MissAction::cpu : MissAction::load;
    }
  }
  return MissAction::load;
}

void copy_monitor(const Policy& policy, BoundPolicy& bound) {
  const MonitorRule monitor = policy.monitor.value_or(MonitorRule{});
  for (const Sourced<std::string>& metric : monitor.metrics) bound.metrics.push_back(metric.value);
  bound.monitor_window = monitor.window.value;
  bound.log_interval = monitor.log_interval.value;
}

}  // namespace

std::optional<BoundPolicy> bind(const Policy& policy, const ModelShape& shape, const BindOptions& options,
                                Diagnostics& diagnostics) {
  const BindContext context{policy, shape, options, diagnostics};
  if (!check_inputs(context)) return std::nullopt;
  const std::optional<uint32_t> capacity = bind_capacity(context);
  if (!capacity) return std::nullopt;
  std::optional<std::vector<uint32_t>> pins = bind_pins(context, *capacity);

  BoundPolicy bound;
  bound.name = policy.name.value;
  bound.shape = shape;
  bound.capacity = *capacity;
  copy_cache(context, bound);
  bind_memory(context, bound);
  const bool prefetch_fits = bind_prefetch(context, bound);
  warn_about_capacity(context, bound);
  warn_about_pressure(context, bound);
  if (!pins || !prefetch_fits) return std::nullopt;

  bound.pins = std::move(*pins);
  bound.miss = bind_miss(policy.schedule, bound.expert_size_gb);
  bound.overlap = policy.schedule.overlap.value;
  bound.priority_routing = policy.schedule.priority_routing.value;
  copy_monitor(policy, bound);
  bound.exactness = bound.miss == MissAction::load ? Exactness::exact : exactness(policy);
  bound.timing_free = timing_free(policy);
  return bound;
}

}  // namespace moe::ir
