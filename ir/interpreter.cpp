// SPDX-License-Identifier: Apache-2.0
#include "ir/interpreter.h"

#include <algorithm>
#include <cmath>

namespace moe::ir {

Interpreter::Interpreter(const BoundPolicy& policy)
    : policy_(policy),
      instances_(policy.num_instances()),
      history_(policy.shape.num_layers),
      pending_hints_(policy.shape.num_layers) {
  for (uint32_t key : policy_.pins) {
    Resident pin;
    pin.load_number = ++num_loads_;
    pin.pinned = true;
    instance_of_key(key).residents[key] = pin;
  }
}

Interpreter::Instance& Interpreter::instance_of_layer(uint32_t layer) {
  return instances_[policy_.scope == Scope::layer ? layer : 0];
}

std::vector<uint32_t> Interpreter::resident() const {
  std::vector<uint32_t> keys;
  for (const Instance& instance : instances_) {
    for (const auto& [key, state] : instance.residents) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

// ---- One dispatch ---------------------------------------------------------------------------------------------------

std::optional<Decision> Interpreter::dispatch(const DispatchInput& input) {
  std::optional<std::vector<ExpertDecision>> experts = unique_experts(input);
  if (!experts) return std::nullopt;
  Context context;
  context.layer = input.layer;
  for (const ExpertDecision& expert : *experts) context.selected.insert(key_of(input.layer, expert.expert));
  context.decision.experts = std::move(*experts);

  leave_dropped(input.dropped, context);
  if (policy_.protect_selected) {
    decide_together(context);
  } else {
    decide_one_by_one(context);
  }
  prefetch(context);
  pending_hints_[input.layer].reset();
  check_triggers(context);
  return std::move(context.decision);
}

// The unique experts in order of first appearance, or nullopt when the dispatch is invalid.
std::optional<std::vector<ExpertDecision>> Interpreter::unique_experts(const DispatchInput& input) const {
  const uint64_t num_selections = uint64_t{input.num_tokens} * input.top_k;
  if (input.layer >= policy_.shape.num_layers || input.ids.size() != num_selections) return std::nullopt;
  if (!input.weights.empty() && input.weights.size() != num_selections) return std::nullopt;

  std::vector<ExpertDecision> experts;
  std::map<uint32_t, size_t> position;
  for (uint64_t token = 0; token < input.num_tokens; ++token) {
    std::set<int32_t> ids_of_token;
    for (uint64_t i = token * input.top_k; i < (token + 1) * input.top_k; ++i) {
      const int32_t id = input.ids[i];
      if (input.allow_padding && id == kNoExpert) continue;
      if (id < 0 || static_cast<uint32_t>(id) >= policy_.shape.num_experts) return std::nullopt;
      if (!ids_of_token.insert(id).second) return std::nullopt;
      const double weight = input.weights.empty() ? 1.0 : static_cast<double>(input.weights[i]);
      if (!std::isfinite(weight) || weight < 0) return std::nullopt;

      const auto expert = static_cast<uint32_t>(id);
      if (!position.contains(expert)) {
        position[expert] = experts.size();
        experts.push_back({expert, Action::hit, 1, weight});
      } else {
        ExpertDecision& known = experts[position[expert]];
        known.num_selections += 1;
        known.weight = std::max(known.weight, weight);
      }
    }
  }
  return experts;
}

// Step 0.
void Interpreter::leave_dropped(std::span<const uint32_t> dropped, Context& context) {
  for (uint32_t key : dropped) {
    if (key >= policy_.num_keys() || !is_resident(key)) continue;
    if (!instance_of_key(key).residents[key].pinned) leave(key, context);
  }
}

// Steps 1 to 3 with protect_selected = true.
void Interpreter::decide_together(Context& context) {
  struct Miss {
    ExpertDecision* expert;
    uint64_t access_number;
  };
  std::vector<Miss> misses;
  for (ExpertDecision& expert : context.decision.experts) {
    const bool hit = count_access(expert, context);
    if (!hit) misses.push_back({&expert, instance_of_layer(context.layer).accesses});
  }
  leave_below_threshold(context);
  for (const Miss& miss : misses) miss.expert->action = act_on_miss(*miss.expert, miss.access_number, context);
  end_exemptions(context);
}

// Steps 1, 2, 3 and 5 with protect_selected = false. Step 3 of the dispatch ends with step 3 of its last access.
void Interpreter::decide_one_by_one(Context& context) {
  size_t num_remaining = context.decision.experts.size();
  if (num_remaining == 0) end_exemptions(context);
  for (ExpertDecision& expert : context.decision.experts) {
    const bool hit = count_access(expert, context);
    leave_below_threshold(context);
    if (!hit) expert.action = act_on_miss(expert, instance_of_layer(context.layer).accesses, context);
    if (--num_remaining == 0) end_exemptions(context);
    check_triggers(context);
  }
}

// Step 1 for one access. True: a hit.
bool Interpreter::count_access(const ExpertDecision& expert, Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  const uint32_t key = key_of(context.layer, expert.expert);
  instance.accesses += 1;

  if (policy_.eviction == Eviction::lfu && instance.accesses % policy_.decay_interval == 0) {
    for (auto& [resident_key, state] : instance.residents) state.freq *= policy_.frequency_decay;
  }
  if (policy_.eviction == Eviction::freq_threshold) {
    instance.window.push_back(key);
    instance.window_count[key] += 1;
    if (instance.window.size() > policy_.freq_window) {
      instance.window_count[instance.window.front()] -= 1;
      instance.window.pop_front();
    }
  }

  const auto found = instance.residents.find(key);
  if (found == instance.residents.end()) return false;
  Resident& state = found->second;
  state.last_use = instance.accesses;
  state.uses += 1;
  state.freq += 1;
  state.ema = policy_.score_ema_alpha * expert.weight + (1 - policy_.score_ema_alpha) * state.ema;
  return true;
}

// Step 3 for one miss.
Action Interpreter::act_on_miss(const ExpertDecision& expert, uint64_t access_number, Context& context) {
  if (policy_.miss == MissAction::cpu) return Action::cpu;
  const bool loaded = try_load(expert, access_number, context);
  if (policy_.miss == MissAction::cpu_load) return loaded ? Action::cpu_load : Action::cpu;
  return loaded ? Action::load : Action::stream;
}

// False: not admitted, or no place and no victim.
bool Interpreter::try_load(const ExpertDecision& expert, uint64_t access_number, Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  const uint32_t key = key_of(context.layer, expert.expert);
  if (policy_.admit == Admit::never) return false;
  const bool by_share = policy_.eviction == Eviction::freq_threshold;
  if (by_share && !(share(instance, key) >= policy_.freq_threshold)) return false;

  if (is_full(instance)) {
    Keys candidates = unpinned(instance);
    if (policy_.protect_selected) candidates = without(candidates, context.selected);
    const std::optional<uint32_t> victim = choose_victim(instance, candidates);
    if (!victim) return false;
    const bool newcomer_is_candidate = by_share && !policy_.protect_selected;
    if (newcomer_is_candidate && share(instance, key) < share(instance, *victim)) return false;
    leave(*victim, context);
  }

  Resident state;
  state.load_number = ++num_loads_;
  state.last_use = access_number;
  state.uses = 1;
  state.freq = 1;
  state.ema = expert.weight;
  instance.residents[key] = state;
  return true;
}

// Memory pressure, then TTL.
void Interpreter::check_triggers(Context& context) {
  relieve_pressure(context);
  expire(context);
}

// ---- Who leaves -----------------------------------------------------------------------------------------------------

void Interpreter::leave(uint32_t key, Context& context) {
  instance_of_key(key).residents.erase(key);
  context.decision.evicted.push_back(key);
}

// One binary64 division. Before the instance's first access it is 0/0, which compares false with everything.
double Interpreter::share(const Instance& instance, uint32_t key) const {
  const auto found = instance.window_count.find(key);
  const uint64_t count = found == instance.window_count.end() ? 0 : found->second;
  return static_cast<double>(count) / static_cast<double>(std::min(instance.accesses, policy_.freq_window));
}

// Whether resident `a` leaves before resident `b`.
bool Interpreter::goes_before(const Instance& instance, uint32_t a, uint32_t b) const {
  const Resident& left = instance.residents.at(a);
  const Resident& right = instance.residents.at(b);
  const auto smaller = [&](auto value_of_a, auto value_of_b) {
    if (value_of_a < value_of_b) return true;
    if (value_of_b < value_of_a) return false;
    return left.load_number < right.load_number;
  };
  switch (policy_.eviction) {
    case Eviction::lru:
      return smaller(left.last_use, right.last_use);
    case Eviction::fifo:
      return left.load_number < right.load_number;
    case Eviction::lfu:
      return smaller(left.freq, right.freq);
    case Eviction::score:
      return smaller(left.ema, right.ema);
    case Eviction::freq_threshold:
      return smaller(share(instance, a), share(instance, b));
    default:
      break;
  }
  return false;
}

std::optional<uint32_t> Interpreter::choose_victim(const Instance& instance, const Keys& candidates) const {
  std::optional<uint32_t> victim;
  for (uint32_t key : candidates) {
    if (!victim || goes_before(instance, key, *victim)) victim = key;
  }
  return victim;
}

Interpreter::Keys Interpreter::unpinned(const Instance& instance) const {
  Keys keys;
  for (const auto& [key, state] : instance.residents) {
    if (!state.pinned) keys.push_back(key);
  }
  return keys;
}

Interpreter::Keys Interpreter::without(const Keys& keys, const std::set<uint32_t>& excluded) {
  Keys rest;
  for (uint32_t key : keys) {
    if (!excluded.contains(key)) rest.push_back(key);
  }
  return rest;
}

// Step 2: whose share is below the threshold, smallest share first. Prefetched ones that wait for their layer stay.
void Interpreter::leave_below_threshold(Context& context) {
  if (policy_.eviction != Eviction::freq_threshold) return;
  Instance& instance = instance_of_layer(context.layer);
  Keys leaving;
  for (uint32_t key : unpinned(instance)) {
    if (instance.residents[key].awaits_layer) continue;
    if (share(instance, key) < policy_.freq_threshold) leaving.push_back(key);
  }
  std::sort(leaving.begin(), leaving.end(), [&](uint32_t a, uint32_t b) { return goes_before(instance, a, b); });
  for (uint32_t key : leaving) leave(key, context);
}

// End of step 3: what was prefetched for this layer is judged like every other resident from now on.
void Interpreter::end_exemptions(Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  Keys leaving;
  for (auto& [key, state] : instance.residents) {
    if (!state.awaits_layer || key / policy_.shape.num_experts != context.layer) continue;
    state.awaits_layer = false;
    const bool by_share = policy_.eviction == Eviction::freq_threshold;
    if (by_share && share(instance, key) < policy_.freq_threshold) leaving.push_back(key);
  }
  std::sort(leaving.begin(), leaving.end(), [&](uint32_t a, uint32_t b) { return goes_before(instance, a, b); });
  for (uint32_t key : leaving) leave(key, context);
}

// ---- Memory pressure and TTL ----------------------------------------------------------------------------------------

double Interpreter::memory_used() const {
  size_t num_resident = 0;
  for (const Instance& instance : instances_) num_resident += instance.residents.size();
  return static_cast<double>(num_resident) * policy_.expert_size_gb / policy_.memory_budget_gb;
}

// The dispatching layer's instance first, then the next layers' in turn; with protection, what is selected goes last.
void Interpreter::relieve_pressure(Context& context) {
  if (policy_.memory_threshold == 0 || !(memory_used() >= policy_.memory_threshold)) return;
  const uint32_t num_instances = policy_.num_instances();
  const uint32_t first = policy_.scope == Scope::layer ? context.layer : 0;
  for (bool spare_selected : {true, false}) {
    if (spare_selected && !policy_.protect_selected) continue;
    for (uint32_t i = 0; i < num_instances; ++i) {
      Instance& instance = instances_[(first + i) % num_instances];
      if (relieve_instance(instance, spare_selected, context)) return;
    }
  }
}

// True: memory is back to the headroom. False: nobody is left to leave.
bool Interpreter::relieve_instance(Instance& instance, bool spare_selected, Context& context) {
  while (!(memory_used() <= policy_.memory_headroom)) {
    Keys candidates = unpinned(instance);
    if (spare_selected) candidates = without(candidates, context.selected);
    const std::optional<uint32_t> victim = choose_victim(instance, candidates);
    if (!victim) return false;
    leave(*victim, context);
  }
  return true;
}

void Interpreter::expire(Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  if (policy_.ttl == 0 || instance.accesses < policy_.ttl) return;
  Keys leaving;
  for (uint32_t key : unpinned(instance)) {
    if (instance.residents[key].last_use <= instance.accesses - policy_.ttl) leaving.push_back(key);
  }
  std::sort(leaving.begin(), leaving.end(), [&](uint32_t a, uint32_t b) {
    const Resident& left = instance.residents[a];
    const Resident& right = instance.residents[b];
    if (left.last_use != right.last_use) return left.last_use < right.last_use;
    return left.load_number < right.load_number;
  });
  for (uint32_t key : leaving) leave(key, context);
}

}  // namespace moe::ir
