// SPDX-License-Identifier: Apache-2.0
// Who leaves: by the eviction rule, by memory pressure, by time to live.
#include <algorithm>
#include <cmath>

#include "ir/environment.h"
#include "ir/interpreter.h"

namespace moe::ir {

void Interpreter::leave(uint32_t key, bool as_victim, Context& context) {
  Instance& instance = instance_of_key(key);
  const auto found = instance.residents.find(key);
  if (account_ != nullptr) note_departure(key, context);
  if (instance.order[found->second.segment]) instance.order[found->second.segment]->leave(key, as_victim);
  instance.residents.erase(found);
  context.decision.evicted.push_back(key);
  leave_first_tier(key, context);
  if (!policy_.per_layer || !as_victim) return;
  instance.ghosts.push_front(key);
  if (instance.ghosts.size() > limits_of(policy_).max_capacity) instance.ghosts.pop_back();
}

// ---- Segments: a | b ------------------------------------------------------------------------------------------------

bool Interpreter::is_segmented(const Instance& instance) const {
  return instance.rules->eviction.kind == Eviction::segmented;
}

const EvictionRule& Interpreter::rule_of(const Instance& instance, uint8_t segment) const {
  const EvictionRule& rule = instance.rules->eviction;
  return rule.kind == Eviction::segmented ? rule.segments[segment] : rule;
}

// Two thirds, at least one slot, and the rest.
uint32_t Interpreter::segment_capacity(const Instance& instance, uint8_t segment) const {
  if (!is_segmented(instance)) return segment == 0 ? instance.capacity : 0;
  const uint32_t first = std::max<uint32_t>(1, static_cast<uint32_t>(uint64_t{instance.capacity} * 2 / 3));
  return segment == 0 ? first : instance.capacity - std::min(first, instance.capacity);
}

size_t Interpreter::segment_size(const Instance& instance, uint8_t segment) const {
  return static_cast<size_t>(std::count_if(instance.residents.begin(), instance.residents.end(),
                                           [&](const auto& entry) { return entry.second.segment == segment; }));
}

// Entering a segment counts as an insertion there.
void Interpreter::move_to_segment(Instance& instance, uint32_t key, uint8_t segment) {
  Resident& state = instance.residents.at(key);
  if (instance.order[state.segment]) instance.order[state.segment]->leave(key, /*as_victim=*/segment == 1);
  state.segment = segment;
  state.load_number = ++num_loads_;
  state.freq = 1;
  if (!instance.order[segment]) return;
  instance.order[segment]->miss(key);
  instance.order[segment]->insert(key);
}

// A hit in b goes to a, whose victim goes to b. Nobody may leave a: it stays in b.
void Interpreter::promote(Instance& instance, uint32_t key, Context& context) {
  if (segment_size(instance, 0) < segment_capacity(instance, 0)) return move_to_segment(instance, key, 0);
  const std::optional<uint32_t> demoted =
      choose_victim(rule_of(instance, 0), instance, 0, key, unprotected(instance, context), context);
  if (!demoted) return;
  move_to_segment(instance, key, 0);
  move_to_segment(instance, *demoted, 1);
}

// ---- The rule -------------------------------------------------------------------------------------------------------

// One binary64 division. Before the instance's first access it is 0/0, which compares false with everything.
double Interpreter::share(const Instance& instance, uint32_t key) const {
  const auto found = instance.window_count.find(key);
  const uint64_t count = found == instance.window_count.end() ? 0 : found->second;
  return static_cast<double>(count) / static_cast<double>(std::min(instance.accesses, instance.rules->freq_window));
}

// Whether resident `a` leaves before resident `b`. The values are those of least(E), or shares.
bool Interpreter::goes_before(const EvictionRule& rule, const Instance& instance, uint32_t a, uint32_t b,
                              double value_a, double value_b) const {
  const Resident& left = instance.residents.at(a);
  const Resident& right = instance.residents.at(b);
  const auto smaller = [&](auto value_of_a, auto value_of_b) {
    if (value_of_a < value_of_b) return true;
    if (value_of_b < value_of_a) return false;
    return left.load_number < right.load_number;
  };
  switch (rule.kind) {
    case Eviction::lru:
      return smaller(left.last_use, right.last_use);
    case Eviction::lfu:
      return smaller(left.freq, right.freq);
    case Eviction::freq_threshold:
      return smaller(value_a, value_b);
    case Eviction::belady:  // farthest first
      return smaller(value_b, value_a);
    case Eviction::score:
      value_a = left.ema;
      value_b = right.ema;
      [[fallthrough]];
    case Eviction::least: {  // a NaN is smallest
      const bool nan_a = std::isnan(value_a), nan_b = std::isnan(value_b);
      if (nan_a != nan_b) return nan_a;
      return nan_a ? left.load_number < right.load_number : smaller(value_a, value_b);
    }
    default:  // fifo
      return left.load_number < right.load_number;
  }
}

std::optional<uint32_t> Interpreter::pick_victim(const EvictionRule& rule, Instance& instance, uint8_t segment,
                                                 uint32_t newcomer, const MayLeave& may_leave, Context& context) {
  const bool own_rule = &rule == &rule_of(instance, segment);
  if (own_rule && instance.order[segment]) return instance.order[segment]->victim(newcomer, may_leave);
  Keys candidates;
  for (const auto& [key, state] : instance.residents) {
    if (state.segment == segment && may_leave(key)) candidates.push_back(key);
  }
  if (candidates.empty()) return std::nullopt;
  if (rule.kind == Eviction::random) return candidates[lots_.below(static_cast<uint32_t>(candidates.size()))];
  std::optional<uint32_t> victim;
  double value_of_victim = 0;
  for (const uint32_t key : candidates) {
    double value = 0;
    if (rule.kind == Eviction::freq_threshold) value = share(instance, key);
    if (rule.kind == Eviction::belady) value = future_ == nullptr ? HUGE_VAL : future_->next_use(key, context.accesses);
    if (rule.kind == Eviction::least) {
      ExpertEnvironment environment(*this, context, instance, key);
      value = evaluate(rule.value, environment);
    }
    if (victim && !goes_before(rule, instance, key, *victim, value, value_of_victim)) continue;
    victim = key;
    value_of_victim = value;
  }
  return victim;
}

Interpreter::MayLeave Interpreter::unprotected(const Instance& instance, const Context& context) const {
  const bool protect = context.rules->protect_selected;
  return [this, &instance, &context, protect](uint32_t key) {
    const Resident& state = instance.residents.at(key);
    return !state.pinned && is_here(instance, key) && !(protect && context.selected.contains(key));
  };
}

// Where a newcomer would go. With `instead` that rule names the leaver and not the cache's.
Interpreter::Place Interpreter::find_place(Instance& instance, uint32_t newcomer, const EvictionRule* instead,
                                           const MayLeave& may_leave, Context& context) {
  Place place;
  const bool has_room = instance.residents.size() < instance.capacity;
  if (!is_segmented(instance)) {
    if (!has_room) {
      place.leaver = choose_victim(instead != nullptr ? *instead : rule_of(instance, 0), instance, 0, newcomer,
                                   may_leave, context);
    }
    place.found = has_room || place.leaver;
    return place;
  }
  if (segment_size(instance, 0) < segment_capacity(instance, 0)) {
    place.found = has_room;
    if (!has_room) {  // b holds more than its part: after a shrink, or because of pins
      place.leaver = choose_victim(rule_of(instance, 1), instance, 1, newcomer, may_leave, context);
      place.found = place.leaver.has_value();
    }
    return place;
  }
  place.demoted = choose_victim(rule_of(instance, 0), instance, 0, newcomer, may_leave, context);
  if (!place.demoted) return place;
  place.found = true;
  if (segment_size(instance, 1) < segment_capacity(instance, 1)) return place;
  const EvictionRule& second = instead != nullptr ? *instead : rule_of(instance, 1);
  place.leaver = choose_victim(second, instance, 1, *place.demoted, may_leave, context);
  if (!place.leaver) std::swap(place.leaver, place.demoted);  // nobody may leave b: a's victim leaves at once
  return place;
}

void Interpreter::take_place(Instance& instance, const Place& place, uint32_t key, Resident state, Context& context) {
  if (place.leaver) leave(*place.leaver, /*as_victim=*/true, context);
  if (place.demoted) move_to_segment(instance, *place.demoted, 1);
  enter_first_tier(key, state, context);
  state.load_number = ++num_loads_;  // after those that made way
  instance.residents[key] = state;
  if (instance.order[0]) instance.order[0]->insert(key);
}

bool Interpreter::admits(const AdmitRule& rule, Instance& instance, uint32_t key, const Place& place,
                         Context& context) {
  if (rule.kind != Admit::when) return rule.kind == Admit::always;
  ExpertEnvironment environment(*this, context, instance, key);
  environment.set_victim(place.leaver);
  return evaluate(rule.condition, environment) != 0;
}

// The next to leave the whole cache: of two segments b's, while b has anybody who may.
std::optional<uint32_t> Interpreter::victim_of_cache(Instance& instance, const MayLeave& may_leave, Context& context) {
  const uint32_t nobody = policy_.num_keys();
  if (is_segmented(instance)) {
    const auto of_second = choose_victim(rule_of(instance, 1), instance, 1, nobody, may_leave, context);
    if (of_second) return of_second;
  }
  return choose_victim(rule_of(instance, 0), instance, 0, nobody, may_leave, context);
}

// Step 2: whose share is below the threshold, smallest share first. Prefetched ones that wait for their layer stay.
void Interpreter::leave_below_threshold(Context& context) {
  const BoundRules& rules = *context.rules;
  if (!(rules.eviction == Eviction::freq_threshold)) return;
  context.cause = Cause::threshold;
  Instance& instance = instance_of_layer(context.layer);
  Keys leaving;
  for (const auto& [key, state] : instance.residents) {
    if (state.pinned || state.awaits_layer) continue;
    if (share(instance, key) < rules.freq_threshold) leaving.push_back(key);
  }
  std::sort(leaving.begin(), leaving.end(), [&](uint32_t a, uint32_t b) {
    return goes_before(rules.eviction, instance, a, b, share(instance, a), share(instance, b));
  });
  for (uint32_t key : leaving) leave(key, /*as_victim=*/false, context);
}

// ---- Memory pressure and TTL ----------------------------------------------------------------------------------------

double Interpreter::memory_used(const BoundRules& rules) const {
  size_t num_resident = 0;
  for (const Instance& instance : instances_) num_resident += instance.residents.size();
  return static_cast<double>(num_resident) * rules.expert_size_gb / rules.memory_budget_gb;
}

// The dispatching layer's instance first, then the next layers' in turn; with protection, what is selected goes last.
// `asked_for`: by a rule's `trigger memory_pressure`, whatever the threshold.
void Interpreter::relieve_pressure(Context& context, bool asked_for) {
  const BoundRules& rules = *context.rules;
  const bool due = rules.memory_threshold != 0 && memory_used(rules) >= rules.memory_threshold;
  if (!due && !asked_for) return;
  context.cause = asked_for ? Cause::asked : Cause::pressure;
  const uint32_t num_instances = policy_.num_instances();
  const uint32_t first = policy_.scope == Scope::layer ? context.layer : 0;
  for (bool spare_selected : {true, false}) {
    if (spare_selected && !rules.protect_selected) continue;
    for (uint32_t i = 0; i < num_instances; ++i) {
      Instance& instance = instances_[(first + i) % num_instances];
      if (relieve_instance(instance, spare_selected, context)) return;
    }
  }
}

// True: memory is back to the headroom. False: nobody is left to leave.
bool Interpreter::relieve_instance(Instance& instance, bool spare_selected, Context& context) {
  const MayLeave may_leave = [&](uint32_t key) {
    return !instance.residents.at(key).pinned && !(spare_selected && context.selected.contains(key));
  };
  while (!(memory_used(*context.rules) <= context.rules->memory_headroom)) {
    const std::optional<uint32_t> victim = victim_of_cache(instance, may_leave, context);
    if (!victim) return false;
    leave(*victim, /*as_victim=*/false, context);
  }
  return true;
}

void Interpreter::expire(Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  const uint64_t ttl = context.rules->ttl;
  if (ttl == 0 || instance.accesses < ttl) return;
  context.cause = Cause::ttl;
  Keys leaving;
  for (const auto& [key, state] : instance.residents) {
    if (!state.pinned && state.last_use <= instance.accesses - ttl) leaving.push_back(key);
  }
  std::sort(leaving.begin(), leaving.end(), [&](uint32_t a, uint32_t b) {
    const Resident& left = instance.residents[a];
    const Resident& right = instance.residents[b];
    if (left.last_use != right.last_use) return left.last_use < right.last_use;
    return left.load_number < right.load_number;
  });
  for (uint32_t key : leaving) leave(key, /*as_victim=*/false, context);
}

}  // namespace moe::ir
