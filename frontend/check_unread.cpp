// SPDX-License-Identifier: Apache-2.0
// Keys that were set and that nothing reads: legal, and most likely not what the author meant.
#include <fmt/format.h>

#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class UnreadKeys {
 public:
  explicit UnreadKeys(ir::Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  // `default_value`: a key that repeats its default changes nothing either way, and printed policies have every key.
  void check(const BlockValues& values, std::string_view key, bool is_read, double default_value,
             std::string_view reader) {
    const Typed* value = values.get<Typed>(key);
    if (is_read || value == nullptr) return;
    const double written = value->type == Type::boolean ? (value->truth ? 1 : 0) : value->number;
    if (written == default_value) return;
    diagnostics_.warning("MOE2022", values.find(key)->key_span,
                         fmt::format("nothing reads {}: it belongs to {}", quote(key), quote(reader)),
                         fmt::format("remove it, or write {}", quote(reader)));
  }

 private:
  ir::Diagnostics& diagnostics_;
};

// Written, but wrong or not supported: who knows what it would have read.
bool is_lost(const BlockValues& values, std::string_view key) {
  return values.find(key) != nullptr && values.get<Typed>(key) == nullptr;
}

}  // namespace

void check_unread_keys(const PolicyValues& values, const ir::Policy& policy, ir::Diagnostics& diagnostics) {
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
}

}  // namespace moe::frontend
