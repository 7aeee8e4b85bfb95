// SPDX-License-Identifier: Apache-2.0
// One key's value in a clause: what a phase, a band or a rule puts in force.
#include <fmt/format.h>

#include "ir/explain_parts.h"

namespace moe::ir::plain {
namespace {

std::string yes_or_no(bool value, std::string_view yes, std::string_view no) { return std::string(value ? yes : no); }

std::string number(const KeyValue& value) {
  if (const auto* whole = std::get_if<uint64_t>(&value)) return fmt::format("{}", *whole);
  if (const auto* real = std::get_if<double>(&value)) return print_number(*real);
  return "none";
}

std::string admits(const AdmitRule& rule, std::string_view what) {
  if (rule.kind == Admit::never) return fmt::format("{} is never kept", what);
  if (rule.kind == Admit::always) return fmt::format("{} is always kept", what);
  return fmt::format("{} is kept only if {}", what, code(rule.condition));
}

std::string needs(std::string_view what, const Expr& expr) {
  return fmt::format("{} is reckoned as {}", what, expr.empty() ? "measured" : code(expr));
}

std::string cache_clause(Key key, const CacheRule& cache, Scope scope) {
  switch (key) {
    case Key::capacity:
      return fmt::format("{} holds {}", scope == Scope::layer ? "a layer's cache" : "the cache",
                         held(cache.capacity.value, scope));
    case Key::eviction:
      return leaver(cache);
    case Key::admit:
      return admits(cache.admit.value, "a missing expert");
    case Key::frequency_decay:
      return fmt::format("counts of uses shrink to {} at a time", share(cache.frequency_decay.value));
    case Key::decay_interval:
      return fmt::format("counts of uses shrink every {}", count(cache.decay_interval.value, "access"));
    case Key::score_ema_alpha:
      return fmt::format("each use moves the average of router weights by {} of the way",
                         share(cache.score_ema_alpha.value));
    case Key::freq_threshold:
      return fmt::format("experts whose share is below {} leave", share(cache.freq_threshold.value));
    case Key::freq_window:
      return fmt::format("shares are over the last {}", count(cache.freq_window.value, "access"));
    case Key::ttl:
      if (!cache.ttl) return "nobody leaves for not being used";
      return fmt::format("an expert that was not used for {} leaves", count(cache.ttl->value, "access"));
    case Key::memory_threshold:
      if (!cache.memory_threshold) return "memory pressure drives nobody out";
      return fmt::format("experts leave from {} of memory on", share(cache.memory_threshold->value));
    case Key::memory_headroom:
      return fmt::format("under memory pressure experts leave until {} is reached", share(cache.memory_headroom.value));
    case Key::memory_budget_gb:
      return fmt::format("memory pressure is measured by {}", size(cache.memory_budget_gb.value * 1e9));
    case Key::expert_size_gb:
      return fmt::format("an expert counts as {}", size(cache.expert_size_gb.value * 1e9));
    case Key::protect_selected:
      return yes_or_no(cache.protect_selected.value, "experts of the dispatch in progress are spared",
                       "an expert may have to leave in the very dispatch that uses it");
    default:
      return yes_or_no(cache.one_by_one.value, "accesses are decided one after another",
                       "the accesses of a dispatch are decided together");
  }
}

std::string prefetch_clause(Key key, const PrefetchRule& prefetch, const CacheRule& cache) {
  switch (key) {
    case Key::strategy:
      return fetched(prefetch);
    case Key::budget:
      return fmt::format("up to {} a dispatch {} fetched early", count(prefetch.budget.value, "expert"),
                         prefetch.budget.value == 1 ? "is" : "are");
    case Key::lookahead:
    case Key::history_window:
    case Key::affinity_threshold:
    case Key::store:
      return prefetch.strategy.value.is_none() ? "nothing is fetched early"
                                               : "what is fetched early is " + guesses(prefetch);
    case Key::min_probability:
      return fmt::format("what is less likely than {} is not fetched early", share(prefetch.min_probability.value));
    case Key::bandwidth:
      return fmt::format("prefetches get {} of the link", share(prefetch.bandwidth.value));
    case Key::cancel_stale:
      return yes_or_no(prefetch.cancel_stale.value, "a prefetch whose layer has passed is dropped",
                       "a prefetch is carried out even when its layer has passed");
    case Key::top:
      if (!prefetch.top) return "all candidates of a layer are considered";
      return fmt::format("only the first {} of a layer are considered", count(prefetch.top->value, "candidate"));
    case Key::side_buffer:
      return yes_or_no(prefetch.side_buffer.value, "what is fetched early waits beside the cache",
                       "what is fetched early takes a place in the cache");
    case Key::profile:
      if (prefetch.profile.value.empty()) return "no profile is read";
      return fmt::format("what is likely is known from the profile `{}`", prefetch.profile.value);
    case Key::prefetch_when:
      if (prefetch.when.value.empty()) return "fetching early is not tied to a condition";
      return fmt::format("experts are fetched early only while {}", code(prefetch.when.value));
    case Key::prefetch_admit:
      return admits(prefetch.admit.value, "a candidate of prefetch");
    default:
      if (!prefetch.evict) return "the cache's rule says whom a prefetch replaces";
      return "for a prefetch " + leaver(prefetch.evict->value, cache);
  }
}

std::string schedule_clause(Key key, const ScheduleRule& schedule) {
  switch (key) {
    case Key::mode:
    case Key::on_miss:
    case Key::offload_threshold_ms:
      return "on a miss " + miss(schedule);
    case Key::overlap:
      return yes_or_no(schedule.overlap.value, "transfers run beside compute", "transfers do not run beside compute");
    case Key::priority_routing:
      return yes_or_no(schedule.priority_routing.value, "loads that the dispatch waits for go by router weight",
                       "loads that the dispatch waits for go in order");
    case Key::deadline:
      if (!schedule.deadline) return "a load may take as long as it takes";
      return fmt::format("a load that would take longer than {} is not started", time(schedule.deadline->value));
    case Key::max_loads:
      if (!schedule.max_loads) return "a dispatch may load as many as it misses";
      return fmt::format("at most {} of a dispatch are loaded", count(schedule.max_loads->value, "miss"));
    case Key::loads_in_order:
      return yes_or_no(schedule.loads_in_order.value, "of too many loads the first stay",
                       "of too many loads those of the largest router weight stay");
    case Key::arrival:
      if (schedule.arrival.value == 0) return "what is loaded behind can be hit at once";
      return arrives(schedule.arrival.value);
    case Key::order:
      if (schedule.order.value.empty()) return "experts are handled as they appear";
      return handled(schedule.order.value);
    case Key::approximate:
      return yes_or_no(schedule.approximate.value, "the model's output may change",
                       "the model's output must not change");
    case Key::drop:
      if (schedule.drop.value.empty()) return "no selected expert is left out";
      return fmt::format("a selected expert is left out if {}", code(schedule.drop.value));
    case Key::gpu_time:
      return needs("an expert's time on the accelerator", schedule.gpu_time.value);
    case Key::cpu_time:
      return needs("an expert's time on the host", schedule.cpu_time.value);
    case Key::cpu_setup:
      return needs("the host's time to begin", schedule.cpu_setup.value);
    case Key::load_time:
      return needs("the time of a load", schedule.load_time.value);
    default:
      return fmt::format("{} = {}", info_of(key).name, number(get({{}, {}, schedule}, key)));
  }
}

}  // namespace

std::string clause(Key key, const Rules& rules, Scope scope) {
  if (key <= Key::one_by_one) return cache_clause(key, rules.cache, scope);
  if (key <= Key::prefetch_evict) return prefetch_clause(key, rules.prefetch, rules.cache);
  return schedule_clause(key, rules.schedule);
}

}  // namespace moe::ir::plain
