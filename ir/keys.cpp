// SPDX-License-Identifier: Apache-2.0
#include "ir/keys.h"

#include <algorithm>
#include <array>
#include <type_traits>

namespace moe::ir {
namespace {

constexpr std::array<KeyInfo, kNumKeys> kKeys = {{
    {Key::capacity, "cache", "capacity"},
    {Key::eviction, "cache", "eviction"},
    {Key::admit, "cache", "admit"},
    {Key::frequency_decay, "cache", "frequency_decay"},
    {Key::decay_interval, "cache", "decay_interval"},
    {Key::score_ema_alpha, "cache", "score_ema_alpha"},
    {Key::freq_threshold, "cache", "freq_threshold"},
    {Key::freq_window, "cache", "freq_window"},
    {Key::ttl, "cache", "ttl"},
    {Key::memory_threshold, "cache", "memory_threshold"},
    {Key::memory_headroom, "cache", "memory_headroom"},
    {Key::memory_budget_gb, "cache", "memory_budget_gb"},
    {Key::expert_size_gb, "cache", "expert_size_gb"},
    {Key::protect_selected, "cache", "protect_selected", Type::boolean},
    {Key::one_by_one, "cache", "one_by_one", Type::boolean},
    {Key::strategy, "prefetch", "strategy"},
    {Key::budget, "prefetch", "budget"},
    {Key::lookahead, "prefetch", "lookahead"},
    {Key::history_window, "prefetch", "history_window"},
    {Key::affinity_threshold, "prefetch", "affinity_threshold"},
    {Key::min_probability, "prefetch", "min_probability"},
    {Key::bandwidth, "prefetch", "bandwidth", Type::ratio},
    {Key::cancel_stale, "prefetch", "cancel_stale", Type::boolean},
    {Key::store, "prefetch", "store"},
    {Key::top, "prefetch", "top"},
    {Key::side_buffer, "prefetch", "side_buffer", Type::boolean},
    {Key::profile, "prefetch", "profile"},
    {Key::prefetch_when, "prefetch", "when", Type::boolean},
    {Key::prefetch_admit, "prefetch", "admit"},
    {Key::prefetch_evict, "prefetch", "evict"},
    {Key::mode, "schedule", "mode"},
    {Key::offload_threshold_ms, "schedule", "offload_threshold_ms", Type::time},
    {Key::overlap, "schedule", "overlap", Type::boolean},
    {Key::priority_routing, "schedule", "priority_routing", Type::boolean},
    {Key::on_miss, "schedule", "on_miss"},
    {Key::deadline, "schedule", "deadline", Type::time},
    {Key::max_loads, "schedule", "max_loads"},
    {Key::loads_in_order, "schedule", "loads_in_order", Type::boolean},
    {Key::arrival, "schedule", "arrival"},
    {Key::order, "schedule", "order"},
    {Key::approximate, "schedule", "approximate", Type::boolean},
    {Key::drop, "schedule", "drop", Type::boolean},
    {Key::gpu_time, "schedule", "gpu_time", Type::time},
    {Key::cpu_time, "schedule", "cpu_time", Type::time},
    {Key::cpu_setup, "schedule", "cpu_setup", Type::time},
    {Key::load_time, "schedule", "load_time", Type::time},
}};

constexpr bool in_order() {
  for (size_t i = 0; i < kKeys.size(); ++i) {
    if (kKeys[i].key != static_cast<Key>(i)) return false;
  }
  return true;
}
static_assert(in_order());

/// Calls `visit` with the field that a key names.
template <class RulesRef, class Visit>
auto with_field(RulesRef& rules, Key key, Visit visit) {
  auto& [cache, prefetch, schedule] = rules;
  switch (key) {
    case Key::capacity:
      return visit(cache.capacity);
    case Key::eviction:
      return visit(cache.eviction);
    case Key::admit:
      return visit(cache.admit);
    case Key::frequency_decay:
      return visit(cache.frequency_decay);
    case Key::decay_interval:
      return visit(cache.decay_interval);
    case Key::score_ema_alpha:
      return visit(cache.score_ema_alpha);
    case Key::freq_threshold:
      return visit(cache.freq_threshold);
    case Key::freq_window:
      return visit(cache.freq_window);
    case Key::ttl:
      return visit(cache.ttl);
    case Key::memory_threshold:
      return visit(cache.memory_threshold);
    case Key::memory_headroom:
      return visit(cache.memory_headroom);
    case Key::memory_budget_gb:
      return visit(cache.memory_budget_gb);
    case Key::expert_size_gb:
      return visit(cache.expert_size_gb);
    case Key::protect_selected:
      return visit(cache.protect_selected);
    case Key::one_by_one:
      return visit(cache.one_by_one);
    case Key::strategy:
      return visit(prefetch.strategy);
    case Key::budget:
      return visit(prefetch.budget);
    case Key::lookahead:
      return visit(prefetch.lookahead);
    case Key::history_window:
      return visit(prefetch.history_window);
    case Key::affinity_threshold:
      return visit(prefetch.affinity_threshold);
    case Key::min_probability:
      return visit(prefetch.min_probability);
    case Key::bandwidth:
      return visit(prefetch.bandwidth);
    case Key::cancel_stale:
      return visit(prefetch.cancel_stale);
    case Key::store:
      return visit(prefetch.store);
    case Key::top:
      return visit(prefetch.top);
    case Key::side_buffer:
      return visit(prefetch.side_buffer);
    case Key::profile:
      return visit(prefetch.profile);
    case Key::prefetch_when:
      return visit(prefetch.when);
    case Key::prefetch_admit:
      return visit(prefetch.admit);
    case Key::prefetch_evict:
      return visit(prefetch.evict);
    case Key::mode:
      return visit(schedule.mode);
    case Key::offload_threshold_ms:
      return visit(schedule.offload_threshold_ms);
    case Key::overlap:
      return visit(schedule.overlap);
    case Key::priority_routing:
      return visit(schedule.priority_routing);
    case Key::on_miss:
      return visit(schedule.on_miss);
    case Key::deadline:
      return visit(schedule.deadline);
    case Key::max_loads:
      return visit(schedule.max_loads);
    case Key::loads_in_order:
      return visit(schedule.loads_in_order);
    case Key::arrival:
      return visit(schedule.arrival);
    case Key::order:
      return visit(schedule.order);
    case Key::approximate:
      return visit(schedule.approximate);
    case Key::drop:
      return visit(schedule.drop);
    case Key::gpu_time:
      return visit(schedule.gpu_time);
    case Key::cpu_time:
      return visit(schedule.cpu_time);
    case Key::cpu_setup:
      return visit(schedule.cpu_setup);
    case Key::load_time:
      return visit(schedule.load_time);
  }
  return visit(cache.capacity);
}

/// How KeyValue holds a T: uint32_t as uint64_t, all others as themselves.
template <class T>
using Held = std::conditional_t<std::is_same_v<T, uint32_t>, uint64_t, T>;

struct Getter {
  template <class T>
  KeyValue operator()(const Sourced<T>& field) const {
    return Held<T>(field.value);
  }
  template <class T>
  KeyValue operator()(const std::optional<Sourced<T>>& field) const {
    return field ? KeyValue(Held<T>(field->value)) : KeyValue();
  }
};

struct Setter {
  const Assignment& assignment;

  template <class T>
  bool operator()(Sourced<T>& field) const {
    const Held<T>* value = std::get_if<Held<T>>(&assignment.value);
    if (value == nullptr) return false;
    if constexpr (std::is_same_v<T, uint32_t>) {
      if (*value > UINT32_MAX) return false;
    }
    field = {static_cast<T>(*value), assignment.span};
    return true;
  }
  template <class T>
  bool operator()(std::optional<Sourced<T>>& field) const {
    if (std::holds_alternative<std::monostate>(assignment.value)) {
      field.reset();
      return true;
    }
    Sourced<T> value;
    if (!(*this)(value)) return false;
    field = value;
    return true;
  }
};

}  // namespace

const KeyInfo& info_of(Key key) { return kKeys.at(static_cast<size_t>(key)); }

std::optional<Key> find_key(std::string_view block, std::string_view name) {
  const auto* found = std::find_if(kKeys.begin(), kKeys.end(),
                                   [&](const KeyInfo& info) { return info.block == block && info.name == name; });
  if (found == kKeys.end()) return std::nullopt;
  return found->key;
}

KeyValue get(const Rules& rules, Key key) { return with_field(rules, key, Getter{}); }

bool assign(Rules& rules, const Assignment& assignment) {
  return with_field(rules, assignment.key, Setter{assignment});
}

}  // namespace moe::ir
