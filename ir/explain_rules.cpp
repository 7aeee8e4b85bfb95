// SPDX-License-Identifier: Apache-2.0
// What stays, what a hit and a miss do, what is fetched early.
#include <fmt/format.h>

#include "ir/bind_capacity.h"
#include "ir/explain_parts.h"

namespace moe::ir::plain {
namespace {

std::string holds(const Policy& policy, const CacheRule& cache) {
  const Scope scope = scope_of(policy);
  if (policy.per_layer && !policy.per_layer->capacities.value.empty()) {
    return "each layer has a cache of its own, whose size is fixed";
  }
  const std::string_view whose =
      scope == Scope::layer ? "each layer has a cache of its own, which" : "one cache serves all layers and";
  const std::string_view first = policy.per_layer ? " at first" : "";
  return fmt::format("{} holds {}{}", whose, held(cache.capacity.value, scope), first);
}

std::string sparing(const CacheRule& cache) {
  const bool protects = cache.protect_selected.value;
  if (protects && cache.one_by_one.value) {
    return "accesses are decided one after another, and the experts of the dispatch in progress are spared";
  }
  if (protects) {
    return "experts of the dispatch in progress are spared; when nobody else can go, the newcomer is used and not kept";
  }
  return "accesses are decided one after another, so that an expert may have to leave in the very dispatch that uses "
         "it";
}

void per_layer(const PerLayerRule& rule, Sentences& out) {
  if (!rule.capacities.value.empty()) {
    std::vector<std::string> sizes;
    for (const uint32_t capacity : rule.capacities.value) sizes.push_back(fmt::format("{}", capacity));
    out.push_back(
        sentence(fmt::format("from layer 0 on the layers hold {} experts, and the last number repeats", list(sizes))));
    return;
  }
  if (rule.total_budget) {
    out.push_back(sentence(fmt::format("the layers share {}", count(rule.total_budget->value, "slot"))));
  }
  if (rule.rebalance_interval.value == 0 || rule.allocation.value == Allocation::uniform) {
    out.push_back("Every layer has the same number of slots, and that does not change.");
    return;
  }
  const std::string by = rule.allocation.value == Allocation::utility
                             ? "where one more slot would have brought most hits"
                             : fmt::format("by how evenly a layer's last {} used its experts (entropy)",
                                           count(rule.entropy_window.value, "dispatch"));
  out.push_back(sentence(fmt::format("every {} the slots are shared anew, {}; a layer has {} to {}",
                                     count(rule.rebalance_interval.value, "dispatch"), by, rule.min_capacity.value,
                                     count(rule.max_capacity.value, "slot"))));
}

void pressure(const CacheRule& cache, Sentences& out) {
  if (cache.ttl) {
    out.push_back(
        sentence(fmt::format("an expert that was not used for {} leaves", count(cache.ttl->value, "access"))));
  }
  if (!cache.memory_threshold) return;
  out.push_back(sentence(fmt::format("when residents take {} of {} they leave, by the same rule, until they take {}",
                                     share(cache.memory_threshold->value), size(cache.memory_budget_gb.value * 1e9),
                                     share(cache.memory_headroom.value))));
}

std::string hit_effect(Eviction rule) {
  switch (rule) {
    case Eviction::lru:
      return "it becomes the most recently used";
    case Eviction::lfu:
      return "its count of uses grows by one";
    case Eviction::score:
      return "its average moves towards the router weight that it has now";
    case Eviction::freq_threshold:
      return "its share of the recent accesses grows";
    case Eviction::fifo:
    case Eviction::random:
    case Eviction::belady:
      return "who leaves next does not depend on it";
    case Eviction::segmented:
      return "from the second part it returns to the first";
    case Eviction::least:
      return "what the rule reads of it is brought up to date";
    default:
      return "the rule's order of experts notes the use";
  }
}

std::string needed_time(const Expr& expr) { return expr.empty() ? "measured" : code(expr); }

void arms(const ScheduleRule& schedule, Sentences& out) {
  const std::vector<Arm>& arms = schedule.on_miss.value;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (arms[i].condition.empty()) {
      out.push_back(sentence(fmt::format("{}{}", i == 0 ? "" : "otherwise ", action(arms[i].action))));
    } else {
      out.push_back(sentence(
          fmt::format("{}if {}, {}", i == 0 ? "" : "else, ", code(arms[i].condition), action(arms[i].action))));
    }
  }
}

void bounds(const ScheduleRule& schedule, Sentences& out) {
  const std::string_view next = schedule.on_miss.value.size() > 1
                                    ? "the next arm that needs none takes over, and the host where there is none"
                                    : "the host computes the expert";
  if (schedule.deadline) {
    out.push_back(sentence(
        fmt::format("a load that would take longer than {} is not started: {}", time(schedule.deadline->value), next)));
  }
  if (schedule.max_loads) {
    out.push_back(sentence(fmt::format(
        "at most {} of a dispatch are loaded, {}; for the others {}", count(schedule.max_loads->value, "miss"),
        schedule.loads_in_order.value ? "the first" : "those of the largest router weight", next)));
  }
  if (schedule.arrival.value > 0) {
    out.push_back(sentence(arrives(schedule.arrival.value)));
  }
}

// Layers that a strategy looks at.
std::string ahead(Strategy strategy, uint32_t lookahead) {
  if (strategy == Strategy::affinity || strategy == Strategy::learned) return "the next layer";
  if (lookahead == kAllLayers) {
    return strategy == Strategy::history ? "the layer itself" : "all layers to come";
  }
  if (strategy == Strategy::trajectory) {
    return lookahead == 1 ? "all layers to come" : fmt::format("the layers from {} ahead on", lookahead);
  }
  if (lookahead == 1) return "the next layer";
  if (strategy == Strategy::history) return fmt::format("the layer {} ahead", lookahead);
  return fmt::format("the next {} layers", lookahead);
}

std::string guess(Strategy strategy, const PrefetchRule& rule) {
  const std::string where = ahead(strategy, rule.lookahead.value);
  switch (strategy) {
    case Strategy::history:
    case Strategy::lookahead:
      return fmt::format("what {} used most in the last {}", where, count(rule.history_window.value, "dispatch"));
    case Strategy::gate:
      return fmt::format("what the engine guesses for {}", where);
    case Strategy::affinity:
      return fmt::format("what often followed in {} after the experts of this dispatch, in {} of the cases or more",
                         where, share(rule.affinity_threshold.value));
    case Strategy::sequence:
      return fmt::format("what {} used in the most similar of {}", where, count(rule.store.value, "past request"));
    case Strategy::learned:
      return fmt::format("what the learned model expects of {}", where);
    case Strategy::trajectory:
      return fmt::format("what {} used in the most similar of {}", where, count(rule.store.value, "past token"));
    case Strategy::most:
      return fmt::format("the experts of {} with the largest {}", where, code(rule.strategy.value.value));
    case Strategy::none:
      break;
  }
  return "nothing";
}

std::string taken_place(const PrefetchRule& rule, const CacheRule& cache) {
  if (rule.side_buffer.value) {
    return "what is fetched waits beside the cache and evicts nobody; it takes a place when it is used, and is gone if "
           "its layer "
           "runs "
           "without it";
  }
  const std::string who = rule.evict ? leaver(rule.evict->value, cache) : "the cache's rule says who leaves";
  return fmt::format(
      "what is fetched takes a free slot or replaces an expert that this dispatch does not use and that is less likely "
      "to be "
      "needed: "
      "{}",
      who);
}

}  // namespace

std::string action(MissAction action) {
  switch (action) {
    case MissAction::load:
      return "the expert is loaded, and the dispatch waits for it";
    case MissAction::cpu:
      return "the host computes the expert, and nothing is loaded";
    case MissAction::cpu_load:
      return "the host computes the expert now, and it is loaded behind for the next time";
    case MissAction::degrade:
      return "a copy of lower precision that is resident is used now, and the full one is loaded behind; without a "
             "copy "
             "the next arm is asked";
    case MissAction::shared:
      return "the shared expert stands in for it";
    case MissAction::skip:
      break;
  }
  return "the expert is left out";
}

std::string arrives(uint32_t dispatches) {
  const std::string when = dispatches == 1 ? "dispatch" : count(dispatches, "dispatch");
  return fmt::format("what is loaded behind can be hit only after its layer's next {}", when);
}

std::string handled(const Expr& order) {
  const bool falls = order.root().op == ExprOp::negate;  // `most(E)` is held as `least(-E)`
  Expr value = order;
  if (falls) value.nodes.resize(order.root().operand[0] + 1);  // children stand before their parents
  return fmt::format("the experts of a dispatch are handled by {} {}", falls ? "falling" : "rising", code(value));
}

std::string miss(const ScheduleRule& schedule) {
  const std::vector<Arm>& arms = schedule.on_miss.value;
  if (arms.size() == 1) return action(arms[0].action);
  if (!arms.empty()) {
    std::vector<std::string> cases;
    for (const Arm& arm : arms) {
      const std::string when = arm.condition.empty() ? "otherwise" : fmt::format("if {}", code(arm.condition));
      cases.push_back(fmt::format("{} {}", when, plain::action(arm.action)));
    }
    return fmt::format("{}", fmt::join(cases, "; "));
  }
  switch (schedule.mode.value) {
    case ScheduleMode::gpu_only:
      return action(MissAction::load);
    case ScheduleMode::cpu_fallback:
      return action(MissAction::cpu_load);
    case ScheduleMode::hybrid:
      return fmt::format(
          "the host computes the expert where that is sooner than loading it; where costs are not known, it does so if "
          "the transfer at 25 GB/s takes more than {}",
          time(schedule.offload_threshold_ms.value));
    case ScheduleMode::balance:
      break;
  }
  return fmt::format(
      "the experts of a dispatch are shared out between accelerator and host so that both end together, hits too (time "
      "of an expert on the accelerator: {}, on the host: {}, of a load: {})",
      needed_time(schedule.gpu_time.value), needed_time(schedule.cpu_time.value),
      needed_time(schedule.load_time.value));
}

std::string guesses(const PrefetchRule& prefetch) {
  std::vector<std::string> links;
  for (const Strategy strategy : prefetch.strategy.value.links) links.push_back(guess(strategy, prefetch));
  return fmt::format("{}", fmt::join(links, "; where that says nothing, "));
}

std::string fetched(const PrefetchRule& prefetch) {
  if (prefetch.strategy.value.is_none()) return "nothing is fetched before it is asked for";
  return fmt::format("up to {} a dispatch {} fetched early: {}", count(prefetch.budget.value, "expert"),
                     prefetch.budget.value == 1 ? "is" : "are", guesses(prefetch));
}

Sentences stays(const Policy& policy) {
  const CacheRule cache = rules_of(policy).cache;
  Sentences out{sentence(holds(policy, cache))};
  if (policy.per_layer) per_layer(*policy.per_layer, out);
  out.push_back(sentence("when it is full, " + leaver(cache)));
  out.push_back(sentence(sparing(cache)));
  const AdmitRule& admit = cache.admit.value;
  if (admit.kind == Admit::never) {
    out.push_back("No miss brings an expert in: only what is pinned, loaded at start or fetched early is resident.");
  } else if (admit.kind == Admit::when) {
    out.push_back(sentence(fmt::format("a missing expert that is loaded is kept only if {}", code(admit.condition))));
  }
  if (!cache.pins.empty()) {
    out.push_back(sentence(fmt::format("pinned, so loaded at start and never evicted: {}", experts(cache.pins))));
  }
  if (!cache.preload.empty()) {
    out.push_back(sentence(fmt::format("loaded at start as far as there is room, and evicted like any other: {}",
                                       experts(cache.preload))));
  }
  pressure(cache, out);
  return out;
}

Sentences on_hit(const Policy& policy) {
  return {sentence(fmt::format("the expert is used where it is; {}", hit_effect(policy.cache.eviction.value.kind)))};
}

Sentences on_miss(const Policy& policy) {
  const ScheduleRule& schedule = policy.schedule;
  Sentences out;
  if (schedule.on_miss.value.empty()) {
    out.push_back(sentence(miss(schedule)));
  } else {
    arms(schedule, out);
  }
  bounds(schedule, out);
  if (!schedule.drop.value.empty()) {
    out.push_back(sentence(fmt::format("before anything else, a selected expert is left out of the dispatch if {}",
                                       code(schedule.drop.value))));
  }
  if (!schedule.order.value.empty()) {
    out.push_back(sentence(handled(schedule.order.value)));
  }
  if (schedule.priority_routing.value) out.push_back("Loads that the dispatch waits for go by router weight.");
  if (!schedule.overlap.value) out.push_back("Transfers do not run beside compute.");
  return out;
}

Sentences early(const Policy& policy) {
  const PrefetchRule& rule = policy.prefetch;
  Sentences out{sentence(fetched(rule))};
  if (rule.strategy.value.is_none()) return out;
  if (rule.min_probability.value > 0) {
    out.push_back(
        sentence(fmt::format("what is less likely than {} is not fetched", share(rule.min_probability.value))));
  }
  if (rule.top) {
    out.push_back(
        sentence(fmt::format("only the first {} of a layer are considered", count(rule.top->value, "candidate"))));
  }
  if (!rule.when.value.empty())
    out.push_back(sentence(fmt::format("an expert is fetched early only while {}", code(rule.when.value))));
  if (rule.admit.value.kind == Admit::when) {
    out.push_back(sentence(fmt::format("a candidate is fetched only if {}", code(rule.admit.value.condition))));
  }
  out.push_back(sentence(taken_place(rule, policy.cache)));
  if (rule.bandwidth.value < 1) {
    out.push_back(sentence(
        fmt::format("prefetches get {} of the link; demand loads go first in any case", share(rule.bandwidth.value))));
  }
  out.push_back(rule.cancel_stale.value ? "A prefetch that has not started when its layer has passed is dropped."
                                        : "A prefetch is carried out even when its layer has passed.");
  if (!rule.profile.value.empty()) {
    out.push_back(sentence(fmt::format("what is likely is known from the profile `{}`", rule.profile.value)));
  }
  return out;
}

}  // namespace moe::ir::plain
