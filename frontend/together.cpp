// SPDX-License-Identifier: Apache-2.0
#include "frontend/together.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "frontend/limits.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

/// Experts that one dispatch may fetch; nullopt: no model, no number.
std::optional<uint64_t> places_of(const ir::Rules& rules) {
  const auto& capacity = rules.cache.capacity;
  if (capacity.span.is_default() || capacity.value.kind != ir::Capacity::Kind::slots) return std::nullopt;
  // One dispatch fetches for as many layers as it looks ahead, each with a cache of its own under `scope = layer`.
  const ir::StrategyChain& chain = rules.prefetch.strategy.value;
  const bool several = chain.has(ir::Strategy::lookahead) || chain.has(ir::Strategy::gate) ||
                       chain.has(ir::Strategy::sequence) || chain.has(ir::Strategy::trajectory) ||
                       chain.has(ir::Strategy::most);
  const uint64_t layers = rules.cache.scope.value == ir::Scope::layer && several ? rules.prefetch.lookahead.value : 1;
  return capacity.value.amount * layers;
}

double capped_headroom(const ir::CacheRule& cache) {
  return std::min(ir::CacheRule{}.memory_headroom.value, 0.9 * cache.memory_threshold->value);
}

}  // namespace

void Facts::apply(const std::vector<ir::Assignment>& overrides) {
  own.clear();
  for (const ir::Assignment& assignment : overrides) {
    own.push_back(assignment.key);
    switch (assignment.key) {
      case ir::Key::eviction:
        rules.cache.eviction = {std::get<ir::EvictionRule>(assignment.value).kind, assignment.span};
        break;
      case ir::Key::capacity:
      case ir::Key::memory_threshold:
      case ir::Key::memory_headroom:
      case ir::Key::strategy:
      case ir::Key::budget:
      case ir::Key::lookahead:
      case ir::Key::mode:
      case ir::Key::overlap:
        ir::assign(rules, assignment);
        break;
      default:
        break;
    }
  }
}

bool Facts::is_own(ir::Key key) const { return std::find(own.begin(), own.end(), key) != own.end(); }

bool is_judged(ir::Key key) {
  switch (key) {
    case ir::Key::eviction:
    case ir::Key::capacity:
    case ir::Key::memory_threshold:
    case ir::Key::memory_headroom:
    case ir::Key::strategy:
    case ir::Key::budget:
    case ir::Key::lookahead:
    case ir::Key::mode:
    case ir::Key::overlap:
      return true;
    default:
      return false;
  }
}

Facts facts_of(const ir::Policy& policy) {
  Facts facts;
  ir::CacheRule& cache = facts.rules.cache;
  cache.capacity = policy.cache.capacity;
  cache.scope = policy.cache.scope;
  cache.eviction = {policy.cache.eviction.value.kind, policy.cache.eviction.span};
  cache.memory_threshold = policy.cache.memory_threshold;
  cache.memory_headroom = policy.cache.memory_headroom;
  facts.rules.prefetch.strategy = policy.prefetch.strategy;
  facts.rules.prefetch.budget = policy.prefetch.budget;
  facts.rules.prefetch.lookahead = policy.prefetch.lookahead;
  facts.rules.schedule.mode = policy.schedule.mode;
  facts.rules.schedule.overlap = policy.schedule.overlap;
  return facts;
}

void Judge::judge(const Facts& facts) {
  if (too_many(diagnostics_)) return;
  check_headroom(facts);
  check_budget(facts);
  check_overlap(facts);
  check_segments(facts);
}

// At or over the threshold experts leave until the headroom is reached: it cannot lie above.
void Judge::check_headroom(const Facts& facts) {
  const ir::CacheRule& cache = facts.rules.cache;
  if (!cache.memory_threshold || cache.memory_headroom.value <= cache.memory_threshold->value) return;
  if (cache.memory_headroom.span.is_default()) return;  // follows the threshold
  const bool of_threshold = facts.is_own(ir::Key::memory_threshold) && !facts.is_own(ir::Key::memory_headroom);
  const ir::SourceSpan span = of_threshold ? cache.memory_threshold->span : cache.memory_headroom.span;
  const std::string threshold = number_text(cache.memory_threshold->value);
  if (!is_new("MOE2101", span)) return;
  diagnostics_.error("MOE2101", span,
                     fmt::format("`memory_headroom` is above `memory_threshold`, which is {}", threshold),
                     fmt::format("write `memory_headroom = {}` or less", threshold));
}

// A budget above the capacity would evict what it has just fetched.
void Judge::check_budget(const Facts& facts) {
  const auto& budget = facts.rules.prefetch.budget;
  const std::optional<uint64_t> places = places_of(facts.rules);
  if (!places || budget.value <= *places || budget.span.is_default()) return;
  const ir::SourceSpan capacity = facts.rules.cache.capacity.span;
  const bool of_capacity = facts.is_own(ir::Key::capacity) && !facts.is_own(ir::Key::budget);
  const ir::SourceSpan span = of_capacity ? capacity : budget.span;
  if (!is_new("MOE2106", span)) return;
  auto& error = diagnostics_.error("MOE2106", span,
                                   fmt::format("`budget` is larger than the {} experts that the cache holds", *places),
                                   fmt::format("write `budget = {}`, or raise `capacity`", *places));
  error.related_span = of_capacity ? budget.span : capacity;
  error.related_message = of_capacity ? "the budget is set here" : "the capacity is set here";
}

// Host compute and transfer must run side by side for one to be the cheaper.
void Judge::check_overlap(const Facts& facts) {
  const ir::ScheduleRule& schedule = facts.rules.schedule;
  const ir::ScheduleMode mode = schedule.mode.value;
  if (schedule.overlap.value || (mode != ir::ScheduleMode::hybrid && mode != ir::ScheduleMode::balance)) return;
  const bool of_mode = facts.is_own(ir::Key::mode) && !facts.is_own(ir::Key::overlap);
  const ir::SourceSpan span = of_mode ? schedule.mode.span : schedule.overlap.span;
  if (!is_new("MOE2102", span)) return;
  diagnostics_.error("MOE2102", span, fmt::format("`mode = {}` needs `overlap = true`", to_word(mode)),
                     "remove `overlap = false`, or choose another mode");
}

void Judge::check_segments(const Facts& facts) {
  const ir::CacheRule& cache = facts.rules.cache;
  const bool one = !cache.capacity.span.is_default() && cache.capacity.value.kind == ir::Capacity::Kind::slots &&
                   cache.capacity.value.amount < 2;
  if (!one || !(cache.eviction.value == ir::Eviction::segmented)) return;
  if (!is_new("MOE2132", cache.capacity.span)) return;
  diagnostics_.warning("MOE2132", cache.capacity.span, "a cache of one expert has no place for a second segment",
                       "raise `capacity` to at least 2, or write one rule");
}

// Defaults that follow what was written. Only where both are known.
void adapt_defaults(ir::Policy& policy) {
  if (policy.cache.memory_threshold && policy.cache.memory_headroom.span.is_default()) {
    policy.cache.memory_headroom.value = capped_headroom(policy.cache);
  }
  const std::optional<uint64_t> places = places_of(policy.rules());
  ir::Sourced<uint32_t>& budget = policy.prefetch.budget;
  if (places && budget.span.is_default() && budget.value > *places) budget.value = static_cast<uint32_t>(*places);
}

// The same for overrides, which then say what they imply.
void append_defaults(const Facts& base, bool fetches, std::vector<ir::Assignment>& overrides) {
  Facts facts = base;
  facts.apply(overrides);
  const ir::CacheRule& cache = facts.rules.cache;
  if (facts.is_own(ir::Key::memory_threshold) && cache.memory_threshold && cache.memory_headroom.span.is_default() &&
      capped_headroom(cache) != cache.memory_headroom.value) {
    overrides.push_back({ir::Key::memory_headroom, capped_headroom(cache), {}});
  }
  const ir::Sourced<uint32_t>& budget = facts.rules.prefetch.budget;
  const std::optional<uint64_t> places = places_of(facts.rules);
  if (fetches && places && budget.span.is_default() && budget.value > *places) {
    overrides.push_back({ir::Key::budget, *places, {}});
  }
}

}  // namespace moe::frontend
