// SPDX-License-Identifier: Apache-2.0
#include "runtime/policy/check_params.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "runtime/decision/predict/layout.h"
#include "runtime/decision/state.h"
#include "runtime/policy/checker.h"

namespace moe {
namespace {

using decision::Eviction;
using decision::Params;
using decision::Strategy;

constexpr uint32_t kMaxLayers = 4096;
constexpr uint64_t kMaxFreqWindow = uint64_t{1} << 20;
constexpr uint32_t kMaxWindow = 4096;
constexpr uint32_t kMaxArms = 256;
constexpr uint32_t kMaxRemembered = 64;
constexpr uint32_t kMaxRates = 64;
constexpr uint32_t kMaxVariants = 4096;
constexpr uint32_t kMaxMaskBits = 16;
constexpr uint32_t kMaxRules = 1u << 16;
constexpr uint32_t kMaxBudget = 1u << 20;
constexpr uint64_t kMaxStateBytes = uint64_t{1} << 34;

void check_shape(const Params& p, Checker& c) {
  c.range(p.num_layers, 1, kMaxLayers, "num_layers");
  c.range(p.num_experts, 1, decision::kMaxExperts, "num_experts");
  c.range(p.top_k, 1, p.num_experts, "top_k");
  c.range(p.scope_layer, 0, 1, "scope_layer");
  if (c.good()) c.range(p.capacity, 1, p.scope_layer ? p.num_experts : p.num_keys(), "capacity");
}

void check_cache(const Params& p, Checker& c) {
  c.range(p.eviction, 0, static_cast<uint32_t>(Eviction::segmented), "eviction");
  if (p.eviction == static_cast<uint32_t>(Eviction::segmented)) {
    for (const uint32_t rule : p.segments) c.range(rule, 0, static_cast<uint32_t>(Eviction::least), "segments");
  }
  c.range(p.admit, 0, 2, "admit");
  c.range(p.protect_selected, 0, 1, "protect_selected");
  if (p.eviction == static_cast<uint32_t>(Eviction::lfu)) {
    c.range(p.decay_interval, 1, UINT64_MAX, "decay_interval");
    c.above(p.frequency_decay, 0, 1, "frequency_decay");
  }
  if (p.eviction == static_cast<uint32_t>(Eviction::score)) c.above(p.score_ema_alpha, 0, 1, "score_ema_alpha");
  if (p.eviction == static_cast<uint32_t>(Eviction::freq_threshold)) {
    c.range(p.freq_window, 1, kMaxFreqWindow, "freq_window");
    if (!(p.freq_threshold >= 0 && p.freq_threshold <= 1)) c.found("`freq_threshold` is not in [0, 1]");
  }
  if (p.memory_threshold != 0) {
    c.above(p.memory_threshold, 0, 1, "memory_threshold");
    c.above(p.memory_headroom, 0, 1, "memory_headroom");
    if (!(p.memory_budget_gb > 0 && std::isfinite(p.memory_budget_gb))) c.found("`memory_budget_gb` is not above 0");
    if (!(p.expert_size_gb > 0 && std::isfinite(p.expert_size_gb))) c.found("`expert_size_gb` is not above 0");
  }
}

void check_transfers(const Params& p, Checker& c) {
  c.range(p.strategy, 0, static_cast<uint32_t>(Strategy::most), "strategy");
  c.range(p.budget, 0, kMaxBudget, "budget");
  if (p.strategy != static_cast<uint32_t>(Strategy::none)) {
    c.range(p.lookahead, 1, UINT32_MAX, "lookahead");
    c.above(p.bandwidth, 0, 1, "bandwidth");
    if (!(p.min_probability >= 0 && p.min_probability <= 1)) c.found("`min_probability` is not in [0, 1]");
    if (decision::has_history(p)) c.range(p.history_window, 1, kMaxWindow, "history_window");
  }
  c.range(p.prefetch_admit, 0, 2, "prefetch_admit");
  c.range(p.has_when, 0, 1, "has_when");
  c.range(p.has_drop, 0, 1, "has_drop");
  c.range(p.balance, 0, 1, "balance");
  c.range(p.side_buffer, 0, 1, "side_buffer");
  c.range(p.balance_times, 0, 15, "balance_times");
  c.range(p.has_prefetch_evict, 0, 1, "has_prefetch_evict");
  c.range(p.prefetch_evict, 0, static_cast<uint32_t>(Eviction::least), "prefetch_evict");
  const bool by_freq = p.prefetch_evict == static_cast<uint32_t>(Eviction::lfu);
  if (p.has_prefetch_evict != 0 && by_freq && (p.keeps & decision::kKeepsFreq) == 0) c.found("`keeps` lacks freq");
  c.range(p.has_order, 0, 1, "has_order");
  c.range(p.one_by_one, 0, 1, "one_by_one");
  c.range(p.hybrid, 0, 1, "hybrid");
  c.range(p.limits_loads, 0, 1, "limits_loads");
  c.range(p.loads_in_order, 0, 1, "loads_in_order");
  if (!(p.deadline_ms >= 0)) c.found("`deadline_ms` is not 0 or more");
  c.range(p.num_arms, 0, kMaxArms, "num_arms");
  if (p.num_arms != 0 && !p.arms) c.found("`arms` is NULL");
  for (uint32_t i = 0; c.good() && i < p.num_arms; ++i) {
    c.range(p.arms[i].action, 0, static_cast<uint32_t>(decision::MissAction::skip), "action of an arm");
  }
  c.range(p.miss, 0, static_cast<uint32_t>(decision::MissAction::skip), "miss");
  c.range(p.cancel_stale, 0, 1, "cancel_stale");
  c.range(p.overlap, 0, 1, "overlap");
  c.range(p.priority_routing, 0, 1, "priority_routing");
  c.range(p.monitor_window, 1, kMaxWindow, "monitor_window");
  c.range(p.log_interval, 1, UINT32_MAX, "log_interval");
}

void check_expressions(const Params& p, Checker& c) {
  constexpr uint32_t kEverything =
      (2 * decision::kKeepsEntropy - 1) | decision::kKeepsPredicted | decision::kKeepsForetold | decision::kKeepsValue;
  c.range(p.keeps & ~kEverything, 0, 0, "unknown bits of `keeps`");
  if ((p.keeps & (decision::kKeepsFreq | decision::kKeepsSeen)) != 0) {
    c.range(p.decay_interval, 1, UINT64_MAX, "decay_interval");
    c.above(p.frequency_decay, 0, 1, "frequency_decay");
  }
  c.range(p.num_rates, 0, kMaxRates, "num_rates");
  if (p.num_rates != 0 && !p.rates) c.found("`rates` is NULL");
  for (uint32_t i = 0; c.good() && i < p.num_rates; ++i) c.range(p.rates[i], 1, kMaxWindow, "a rate's time constant");
  c.range(p.num_weight_rates, 0, kMaxRates, "num_weight_rates");
  if (p.num_weight_rates != 0 && !p.weight_rates) c.found("`weight_rates` is NULL");
  for (uint32_t i = 0; c.good() && i < p.num_weight_rates; ++i) {
    c.range(p.weight_rates[i].window, 1, kMaxWindow, "a rate's time constant");
  }
}

/// Chains name each strategy once, and `none` alone.
void check_chain(const Params& p, Checker& c) {
  uint32_t seen = 0;
  bool ended = p.strategy == static_cast<uint32_t>(Strategy::none);
  for (uint32_t i = 0; i < 8; ++i) {
    const uint32_t link = decision::link_of(p, i);
    c.range(link, 0, static_cast<uint32_t>(Strategy::most), "a strategy of the chain");
    if (link != 0 && (ended || (seen & (1u << link)) != 0)) c.found("the strategies are no chain");
    ended = ended || link == 0;
    seen |= 1u << link;
  }
}

/// Tables of a profile: what a kernel reads without looking.
void check_shares(const Params& p, Checker& c) {
  if (!p.share_rows || !p.share_followers || !p.shares) return c.found("a table of `shares` is NULL");
  if (p.share_rows[0] != 0) return c.found("`share_rows` does not begin at 0");
  for (uint32_t key = 0; key < p.num_keys(); ++key) {
    const uint64_t begin = p.share_rows[key], end = p.share_rows[key + 1];
    if (end < begin || end - begin > p.num_experts) return c.found("`share_rows` is not a table of rows");
    for (uint64_t i = begin; i < end; ++i) {
      if (p.share_followers[i] >= p.num_experts) return c.found("an expert of `share_followers` is out of range");
      if (!(p.shares[i] > 0 && p.shares[i] <= 1)) return c.found("a share of `shares` is not in (0, 1]");
    }
  }
}

void check_predictors(const Params& p, Checker& c) {
  check_chain(p, c);
  if (!c.good()) return;
  c.range(p.profile, 0, 3, "profile");
  if (decision::has_predictor(p, Strategy::affinity)) {
    if (!(p.affinity_threshold >= 0 && p.affinity_threshold <= 1)) c.found("`affinity_threshold` is not in [0, 1]");
    c.range(p.decay_interval, 1, UINT64_MAX, "decay_interval");
    c.above(p.frequency_decay, 0, 1, "frequency_decay");
    if ((p.profile & decision::kProfileShares) != 0) check_shares(p, c);
  }
  if (decision::mixes_layers(p)) c.range(p.store, 1, kMaxWindow, "store");
  c.range(p.learn_window, 0, kMaxWindow, "learn_window");
  if (p.learn_window != 0) {
    c.range(p.learn_freeze, 0, 1, "learn_freeze");
    c.above(p.learn_rate, 0, 1, "learn_rate");
    c.above(p.learn_discount, 0, 1, "learn_discount");
    if ((p.profile & decision::kProfileWeights) != 0 && !p.weights) c.found("`weights` is NULL");
  }
}

void check_metrics(const Params& p, Checker& c) {
  c.range(p.num_remembered, 0, kMaxRemembered, "num_remembered");
  if (p.num_remembered != 0 && !p.remembered) c.found("`remembered` is NULL");
  uint64_t values = 0;
  for (uint32_t i = 0; c.good() && i < p.num_remembered; ++i) {
    const decision::Remembered& r = p.remembered[i];
    c.range(r.metric, 0, static_cast<uint32_t>(decision::Metric::capacity), "metric that is remembered");
    c.range(r.window, 1, kMaxWindow, "window of a metric");
    c.range(r.first, values, values, "place of a metric's values");
    values += r.window;
  }
  c.range(p.num_remembered_values, values, values, "num_remembered_values");
  if ((p.keeps & decision::kKeepsEntropy) != 0) c.range(p.entropy_window, 1, kMaxWindow, "entropy_window");
}

void check_room(const Params& p, Checker& c) {
  const decision::Room& room = p.room;
  c.range(room.capacity, 0, p.scope_layer ? p.num_experts : p.num_keys(), "room for places");
  c.range(room.rules, 0, (2U << static_cast<uint32_t>(Eviction::segmented)) - 1, "rules that have room");
  c.range(room.arrival, 0, 1, "room for arrival");
  c.range(room.side_buffer, 0, 1, "room for a side buffer");
  c.range(room.strategies, 0, (2U << static_cast<uint32_t>(Strategy::most)) - 1, "strategies that have room");
  c.range(room.history_window, 0, kMaxWindow, "room for history_window");
  c.range(room.budget, 0, kMaxBudget, "room for a budget");
  c.range(room.freq_window, 0, kMaxFreqWindow, "room for freq_window");
  c.range(room.ttl, 0, 1, "room for a ttl");
  c.range(room.capacity_varies, 0, decision::kByLayer, "capacity_varies");
  c.range(room.rules_differ, 0, 1, "rules_differ");
  c.range(room.history_varies, 0, 1, "history_varies");
  c.range(room.balance, 0, 1, "room for balance");
  c.range(room.lookahead, 0, UINT32_MAX, "room for lookahead");
  if (c.good()) c.range(room.total_capacity, 0, uint64_t{p.max_capacity()} * p.num_instances(), "total_capacity");
}

/// Who is resident from the start and may leave: with the pins no more than an instance holds, none twice.
void check_preload(const Params& p, Checker& c) {
  c.range(p.num_preload, 0, p.total_capacity() - p.num_pins, "num_preload");
  if (!c.good() || p.num_preload == 0) return;
  if (!p.preload) return c.found("`preload` is NULL");
  std::vector<uint32_t> keys(p.preload, p.preload + p.num_preload);
  if (p.num_pins != 0) keys.insert(keys.end(), p.pins, p.pins + p.num_pins);
  std::sort(keys.begin(), keys.end());
  if (keys.back() >= p.num_keys()) return c.found("a key of `preload` is out of range");
  if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) return c.found("`preload` repeats a key, or a pin");
  if (!p.scope_layer) return;
  const decision::PerLayer* const shared = p.changes != nullptr ? p.changes->per_layer : nullptr;
  const uint32_t* const slots = shared != nullptr ? shared->at_start : nullptr;
  std::vector<uint32_t> held(p.num_layers);
  for (const uint32_t key : keys) {
    const uint32_t layer = key / p.num_experts;
    if (++held[layer] > (slots != nullptr ? slots[layer] : p.capacity))
      return c.found("more `pins` and `preload` than `capacity`");
  }
}

void check_pins(const Params& p, Checker& c) {
  c.range(p.num_pins, 0, p.total_capacity(), "num_pins");
  if (!c.good() || p.num_pins == 0) return;
  if (!p.pins) return c.found("`pins` is NULL");
  uint32_t in_instance = 0;
  for (uint32_t i = 0; i < p.num_pins; ++i) {
    const uint32_t key = p.pins[i];
    if (key >= p.num_keys() || (i > 0 && p.pins[i - 1] >= key)) return c.found("`pins` are not ascending keys");
    const bool same = i > 0 && (!p.scope_layer || p.pins[i - 1] / p.num_experts == key / p.num_experts);
    in_instance = same ? in_instance + 1 : 1;
    if (in_instance > p.capacity) return c.found("more `pins` than `capacity`");
  }
}

Result<void> check_one(const Params& params) {
  Checker checker;
  check_shape(params, checker);
  if (checker.good()) check_room(params, checker);
  if (!checker.good()) return checker.result();  // the rest divides by the shape
  check_cache(params, checker);
  check_transfers(params, checker);
  check_pins(params, checker);
  if (checker.good()) check_preload(params, checker);
  check_expressions(params, checker);
  check_metrics(params, checker);
  check_tiers(params, checker);
  check_predictors(params, checker);
  if (checker.good()) checker.range(decision::state_bytes(params), 0, kMaxStateBytes, "size of the state in bytes");
  return checker.result();
}

/// Whether two variants lay out one state.
bool share_a_state(const Params& a, const Params& b) {
  return a.num_layers == b.num_layers && a.num_experts == b.num_experts && a.top_k == b.top_k &&
         a.scope_layer == b.scope_layer && a.changes == b.changes &&
         decision::state_bytes(a) == decision::state_bytes(b) && a.total_capacity() == b.total_capacity() &&
         a.max_budget() == b.max_budget();
}

void check_tables(const decision::Changes& t, const Params& p, Checker& c) {
  c.range(t.num_variants, 1, kMaxVariants, "num_variants");
  c.range(t.num_bands, 1, p.num_layers, "num_bands");
  c.range(t.num_mask_bits, 0, kMaxMaskBits, "num_mask_bits");
  c.range(t.num_alternatives, 1, kMaxRules, "num_alternatives");
  c.range(t.num_rules, 0, kMaxRules, "num_rules");
  c.range(t.num_actions, 0, kMaxRules * 64, "num_actions");
  c.range(t.num_choices, 0, kMaxRules, "num_choices");
  c.range(t.num_arms, 0, kMaxRules * 64, "num_arms");
  const bool complete = t.variants && t.selector && t.band_of_layer && t.alternative_of &&
                        (t.num_rules == 0 || t.rules) && (t.num_actions == 0 || t.actions) &&
                        (t.num_choices == 0 || (t.choices && t.arms));
  if (!complete) c.found("a table of `changes` is NULL");
  if (!c.good()) return;
  const uint64_t masks = uint64_t{1} << t.num_mask_bits;
  for (uint64_t i = 0; i < t.num_alternatives * masks * 2 * t.num_bands; ++i) {
    c.range(t.selector[i], 0, t.num_variants - 1, "selector");
  }
  for (uint32_t i = 0; i < p.num_layers; ++i) c.range(t.band_of_layer[i], 0, t.num_bands - 1, "band_of_layer");
  for (uint64_t i = 0; i < masks; ++i) {
    if (t.alternative_of[i] != decision::kNone)
      c.range(t.alternative_of[i], 0, t.num_alternatives - 1, "alternative_of");
  }
}

void check_rules(const decision::Changes& t, Checker& c) {
  for (uint32_t i = 0; i < t.num_rules; ++i) {
    const decision::AdaptRule& rule = t.rules[i];
    c.range(rule.unit, 0, static_cast<uint32_t>(decision::StretchUnit::tokens), "unit of a rule");
    c.range(rule.revert, 0, 1, "revert of a rule");
    c.range(rule.mask, 0, (uint64_t{1} << t.num_mask_bits) - 1, "mask of a rule");
    c.range(uint64_t{rule.first_action} + rule.num_actions, 0, t.num_actions, "actions of a rule");
  }
  for (uint32_t i = 0; i < t.num_actions; ++i) {
    c.range(t.actions[i].kind, 0, static_cast<uint32_t>(decision::RuleActionKind::signal), "kind of an action");
    const bool signals = t.actions[i].kind == static_cast<uint32_t>(decision::RuleActionKind::signal);
    if (signals && !t.actions[i].name) c.found("a signal has no name");
  }
  for (uint32_t i = 0; i < t.num_choices; ++i) {
    c.range(t.choices[i].num_arms, 1, kMaxRules, "arms of a choice");
    c.range(uint64_t{t.choices[i].first_arm} + t.choices[i].num_arms, 0, t.num_arms, "arms of a choice");
  }
  for (uint32_t i = 0; i < t.num_arms; ++i) c.range(t.arms[i], 0, t.num_alternatives - 1, "arm of a choice");
}

void check_per_layer(const decision::PerLayer& t, const Params& p, Checker& c) {
  c.range(p.scope_layer, 1, 1, "scope_layer of per_layer");
  c.range(p.room.capacity_varies, decision::kByLayer, decision::kByLayer, "capacity_varies of per_layer");
  c.range(t.allocation, 0, static_cast<uint32_t>(decision::Allocation::utility), "allocation");
  c.range(t.max_capacity, 0, p.max_capacity(), "max_capacity");
  c.range(t.min_capacity, 0, t.max_capacity, "min_capacity");
  c.range(t.has_total, 0, 1, "has_total");
  c.range(t.counts_depth, 0, 1, "counts_depth");
  if (!t.at_start) return c.found("`at_start` of per_layer is NULL");
  uint32_t in_layer = 0;
  for (uint32_t i = 0; t.interval != 0 && i < p.num_pins; ++i) {  // a layer keeps slots for what never leaves it
    in_layer = i > 0 && p.pins[i - 1] / p.num_experts == p.pins[i] / p.num_experts ? in_layer + 1 : 1;
    c.range(in_layer, 0, t.min_capacity, "pins of a layer under per_layer");
  }
  for (uint32_t i = 0; i < p.num_layers; ++i) c.range(t.at_start[i], 0, p.max_capacity(), "slots of a layer");
}

}  // namespace

Result<void> check_params(const Params& params) {
  if (Result<void> good = check_one(params); !good || params.changes == nullptr) return good;
  const decision::Changes& changes = *params.changes;
  Checker checker;
  check_tables(changes, params, checker);
  if (checker.good()) check_rules(changes, checker);
  if (checker.good() && changes.per_layer) check_per_layer(*changes.per_layer, params, checker);
  if (!checker.good()) return checker.result();
  for (uint32_t i = 0; i < changes.num_variants; ++i) {
    const Params& variant = changes.variants[i];
    if (Result<void> good = check_one(variant); !good) return good;
    if (variant.variant != i || !share_a_state(variant, params)) checker.found("variants do not share one state");
  }
  return checker.result();
}

}  // namespace moe
