// SPDX-License-Identifier: Apache-2.0
// Keys that were set and that nothing reads: legal, and most likely not what the author meant.
#include <fmt/format.h>

#include "frontend/in_force.h"
#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/lower_keys.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class UnreadKeys {
 public:
  UnreadKeys(const InForce& in_force, const ir::Policy& policy, ir::Diagnostics& diagnostics)
      : in_force_(in_force), policy_(policy), diagnostics_(diagnostics) {}

  // A key that repeats its default changes nothing either way, and printed policies have every key.
  void check(std::string_view block, const BlockValues& values) {
    for (const BlockValues::Value& value : values.all()) {
      const std::optional<ir::Key> key = ir::find_key(block, value.key->name);
      const std::optional<ir::KeyValue> written = to_key_value(*value.key, value.value);
      if (!key || !written || *written == ir::get(defaults_, *key)) continue;
      report(*key, value.key_span);
    }
  }

  void check(const std::vector<ir::Assignment>& overrides) {
    for (const ir::Assignment& assignment : overrides) report(assignment.key, assignment.span);
  }

 private:
  void report(ir::Key key, ir::SourceSpan span) {
    if (too_many(diagnostics_)) return;
    const std::string_view reader = missing_reader(key, in_force_, policy_);
    if (reader.empty()) return;
    const std::string name = quote(ir::info_of(key).name);
    if (key == ir::Key::mode) {
      diagnostics_.warning("MOE2022", span, fmt::format("nothing reads {}: `on miss` replaces it", name), "remove it");
    } else if (key == ir::Key::approximate) {
      diagnostics_.warning("MOE2022", span, fmt::format("nothing needs {}: no action changes the output", name),
                           "remove it");
    } else {
      diagnostics_.warning("MOE2022", span, fmt::format("nothing reads {}: it belongs to {}", name, quote(reader)),
                           fmt::format("remove it, or write {}", quote(reader)));
    }
  }

  const InForce& in_force_;
  const ir::Policy& policy_;
  ir::Diagnostics& diagnostics_;
  const ir::Rules defaults_;
};

// Written, but wrong: who knows what it would have read.
bool is_lost(const BlockValues& values, std::string_view key) {
  const BlockValues::Value* value = values.find(key);
  return value != nullptr && std::holds_alternative<std::monostate>(value->value);
}

}  // namespace

void check_unread_keys(const PolicyValues& values, const ir::Policy& policy, ir::Diagnostics& diagnostics) {
<<<<<<< HEAD
  if (is_lost(values.cache, "eviction") || is_lost(values.prefetch, "strategy") || is_lost(values.schedule, "mode")) {
    return;
  }
  const InForce in_force = find_in_force(policy);
  UnreadKeys unread(in_force, policy, diagnostics);
  unread.check("cache", values.cache);
  unread.check("prefetch", values.prefetch);
  unread.check("schedule", values.schedule);
  for (const ir::Band& band : policy.bands) unread.check(band.overrides);
  for (const ir::PhaseRule& phase : policy.phases) unread.check(phase.overrides);
=======
  UnreadKeys unread(diagnostics);
  const ir::CacheRule cache;  // the defaults
  const ir::PrefetchRule prefetch;
  const ir::ScheduleRule schedule;

  const ir::Eviction eviction = policy.cache.eviction.value.kind;
  if (is_lost(values.cache, "eviction")) return;
  const bool lfu = eviction == ir::Eviction::lfu;
  const bool freq = eviction == ir::Eviction::freq_threshold;
  unread.check(values.cache, "frequency_decay", lfu, cache.frequency_decay.value, "eviction = lfu");
  unread.check(values.cache, "decay_interval", lfu, static_cast<double>(cache.decay_interval.value), "eviction = lfu");
  unread.check(values.cache, "score_ema_alpha", eviction == ir::Eviction::score, cache.score_ema_alpha.value,
               "eviction = score");
  unread.check(values.cache, "freq_threshold", freq, cache.freq_threshold.value, "eviction = freq_threshold");
  unread.check(values.cache, "freq_window", freq, static_cast<double>(cache.freq_window.value),
               "eviction = freq_threshold");
  unread.check(values.cache, "memory_headroom", policy.cache.memory_threshold.has_value(), cache.memory_headroom.value,
               "memory_threshold");

  if (is_lost(values.prefetch, "strategy") || is_lost(values.schedule, "mode")) return;
  const ir::Strategy strategy = policy.prefetch.strategy.value.links.front();
  const bool fetches = strategy != ir::Strategy::none;
  const bool counts = strategy == ir::Strategy::history || strategy == ir::Strategy::lookahead;
  const std::string_view any = "strategy";
  unread.check(values.prefetch, "budget", fetches, prefetch.budget.value, any);
  unread.check(values.prefetch, "lookahead", fetches, prefetch.lookahead.value, any);
  unread.check(values.prefetch, "history_window", counts, prefetch.history_window.value, "strategy = history");
  unread.check(values.prefetch, "affinity_threshold", false, prefetch.affinity_threshold.value, "strategy = affinity");
  unread.check(values.prefetch, "min_probability", fetches, prefetch.min_probability.value, any);
  unread.check(values.prefetch, "bandwidth", fetches, prefetch.bandwidth.value, any);
  unread.check(values.prefetch, "cancel_stale", fetches, 1, any);

  const bool hybrid = policy.schedule.mode.value == ir::ScheduleMode::hybrid;
  unread.check(values.schedule, "offload_threshold_ms", hybrid, schedule.offload_threshold_ms.value, "mode = hybrid");
>>>>>>> irbase
}

}  // namespace moe::frontend
