// SPDX-License-Identifier: Apache-2.0
// The steps of a dispatch. interpreter_record.cpp counts what is used, interpreter_rules.cpp says which rules are in
// force, interpreter_schedule.cpp what a miss does, interpreter_evict.cpp who leaves, interpreter_prefetch.cpp what is
// fetched early, interpreter_adapt.cpp what changes over time.
#include "ir/interpreter.h"

#include <algorithm>
#include <cmath>

#include "ir/environment.h"

namespace moe::ir {
namespace {

constexpr size_t kMostFreqWindow = size_t{1} << 20U;  // what a policy may write

}  // namespace

Interpreter::Interpreter(const BoundPolicy& policy)
    : policy_(policy),
      instances_(policy.num_instances()),
      experts_(policy.num_keys()),
      layer_dispatches_(policy.shape.num_layers),
      lots_(policy.options.seed, 1),
      pending_hints_(policy.shape.num_layers),
      rule_states_(policy.adapt.size()),
      choose_states_(policy.source ? policy.source->choose.size() : 0),
      arms_(policy.options.seed, 2),
      metrics_(policy.shape.num_layers, policy.monitor_window,
               policy.per_layer ? policy.per_layer->entropy_window.value : PerLayerRule{}.entropy_window.value) {
  place_tiers();
  collect_rates();
  if (policy_.learn) {
    learner_ = std::make_unique<Learner>(policy_.shape.num_layers, policy_.shape.num_experts, *policy_.learn,
                                         policy_.options.profile.get());
  }
  Context start;
  for (uint32_t i = 0; i < instances_.size(); ++i) {
    if (policy_.per_layer) instances_[i].capacity = policy_.capacity_of(i);
    install(instances_[i], rules_for(i, Phase::decode), i, start);
  }
  const auto load_at_start = [&](uint32_t key, bool pinned) {
    Resident state;
    state.load_number = ++num_loads_;
    state.pinned = pinned;
    Instance& instance = instance_of_key(key);
    if (is_segmented(instance) && segment_size(instance, 0) >= segment_capacity(instance, 0)) state.segment = 1;
    start.rules = instance.rules;
    enter_first_tier(key, state, start);
    if (instance.order[state.segment]) instance.order[state.segment]->insert(key);
    instance.residents[key] = state;
  };
  for (const uint32_t key : policy_.pins) load_at_start(key, true);
  for (const uint32_t key : policy_.preload) load_at_start(key, false);
}

Interpreter::~Interpreter() = default;

std::vector<uint32_t> Interpreter::resident() const {
  std::vector<uint32_t> keys;
  for (const Instance& instance : instances_) {
    for (const auto& [key, state] : instance.residents) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

uint32_t Interpreter::capacity(uint32_t layer) const { return instance_of_layer(layer).capacity; }

const std::string& Interpreter::policy_in_force() const {
  return alternative_ ? policy_.source->alternatives[*alternative_].name.value : policy_.name;
}

// ---- One dispatch ---------------------------------------------------------------------------------------------------

std::optional<Decision> Interpreter::dispatch(const DispatchInput& input) {
  if (!is_valid(input)) return std::nullopt;
  std::optional<std::vector<ExpertDecision>> experts = unique_experts(input);
  if (!experts) return std::nullopt;
  Context context;
  context.decision.experts = std::move(*experts);
  begin(input, context);
  leave_dropped(input.dropped, context);
  if (context.rules->protect_selected && !context.rules->one_by_one) {
    decide_together(context);
  } else {
    decide_one_by_one(context);
  }
  prefetch(context);
  pending_hints_[input.layer].reset();
  check_triggers(context);
  end_dispatch(context);
  return std::move(context.decision);
}

bool Interpreter::is_valid(const DispatchInput& input) const {
  const uint64_t num_selections = uint64_t{input.num_tokens} * input.top_k;
  if (input.layer >= policy_.shape.num_layers || input.ids.size() != num_selections) return false;
  if (!input.weights.empty() && input.weights.size() != num_selections) return false;
  if (!input.requests.empty() && input.requests.size() != input.num_tokens) return false;
  if (input.probabilities.empty()) return true;
  if (input.probabilities.size() != uint64_t{input.num_tokens} * policy_.shape.num_experts) return false;
  return std::all_of(input.probabilities.begin(), input.probabilities.end(), [](float p) { return p >= 0 && p <= 1; });
}

// The unique experts in order of first appearance, or nullopt when the dispatch is invalid.
std::optional<std::vector<ExpertDecision>> Interpreter::unique_experts(const DispatchInput& input) const {
  std::vector<ExpertDecision> experts;
  std::map<uint32_t, size_t> position;
  for (uint64_t token = 0; token < input.num_tokens; ++token) {
    std::set<int32_t> ids_of_token;
    for (uint64_t i = token * input.top_k; i < (token + 1) * input.top_k; ++i) {
      const int32_t id = input.ids[i];
      if (input.allow_padding && id == kNoExpert) continue;
      if (id < 0 || static_cast<uint32_t>(id) >= policy_.shape.num_experts) return std::nullopt;
      if (!ids_of_token.insert(id).second) return std::nullopt;
      const double weight = input.weights.empty() ? 1.0 : static_cast<double>(input.weights[i]) + 0.0;  // -0 is 0
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

// Rules, request and clocks of the dispatch; what `drop` leaves out is gone before anything else sees it.
void Interpreter::begin(const DispatchInput& input, Context& context) {
  context.input = &input;
  context.layer = input.layer;
  context.rules = rules_for(input.layer, input.phase);
  for (const ExpertDecision& expert : context.decision.experts) {
    context.access[key_of(context.layer, expert.expert)] = &expert;
  }
  if (account_ != nullptr) note_begin(context);
  install(instance_of_layer(input.layer), context.rules, input.layer, context);
  context.access.clear();
  num_dispatches_ += 1;
  layer_dispatches_[input.layer] += 1;
  const uint32_t request = input.requests.empty() ? 0 : input.requests.front();
  new_request_ = request_ != request;
  request_ = request;
  if (new_request_) {
    for (ExpertState& state : experts_) state.request_uses = 0;
  }
  update_rates(context);
  drop(context);
  put_in_order(context);
  for (const ExpertDecision& expert : context.decision.experts) {
    const uint32_t key = key_of(context.layer, expert.expert);
    context.selected.insert(key);
    context.access[key] = &expert;
  }
  publish(context);
  record_use(context);
  if (context.rules->balance) balance(context);
}

// Whether an access now would hit: it is resident, and a load behind has arrived.
bool Interpreter::is_here(const Instance& instance, uint32_t key) const {
  const auto found = instance.residents.find(key);
  return found != instance.residents.end() && found->second.arrives <= layer_dispatches_[layer_of(key)];
}

// `order`: the dispatch's experts by rising value, ties as they appear.
void Interpreter::put_in_order(Context& context) {
  std::vector<ExpertDecision>& experts = context.decision.experts;
  Instance& instance = instance_of_layer(context.layer);
  for (const ExpertDecision& expert : experts) {
    const uint32_t key = key_of(context.layer, expert.expert);
    context.position[key] = static_cast<uint32_t>(context.position.size());
    context.access[key] = &expert;
    if (is_here(instance, key)) context.resident_at_start.insert(key);
  }
  if (!context.rules->order.empty()) {
    std::map<uint32_t, double> value;
    for (const ExpertDecision& expert : experts) {
      ExpertEnvironment environment(*this, context, instance, key_of(context.layer, expert.expert));
      value[expert.expert] = evaluate(context.rules->order, environment);
    }
    std::stable_sort(experts.begin(), experts.end(), [&](const ExpertDecision& a, const ExpertDecision& b) {
      const double left = value[a.expert], right = value[b.expert];
      return std::isnan(left) || std::isnan(right) ? std::isnan(right) && !std::isnan(left) : left < right;
    });
  }
  if (context.rules->side_buffer) {  // hits first, then those from the buffer, then misses
    const auto rank = [&](const ExpertDecision& expert) {
      const uint32_t key = key_of(context.layer, expert.expert);
      if (is_here(instance, key)) return 0;
      return std::find(instance.side.begin(), instance.side.end(), key) != instance.side.end() ? 1 : 2;
    };
    std::stable_sort(experts.begin(), experts.end(),
                     [&](const ExpertDecision& a, const ExpertDecision& b) { return rank(a) < rank(b); });
  }
  context.access.clear();
}

// Loads behind that arrive with this dispatch count as used now, in order of loading, before its own accesses.
void Interpreter::publish(Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  const uint64_t now = layer_dispatches_[context.layer];
  for (auto& [key, state] : instance.residents) {
    if (state.arrives == now && layer_of(key) == context.layer) state.last_use = instance.accesses;
  }
}

void Interpreter::drop(Context& context) {
  if (context.rules->drop.empty()) return;
  std::vector<ExpertDecision>& experts = context.decision.experts;
  for (const ExpertDecision& expert : experts) context.access[key_of(context.layer, expert.expert)] = &expert;
  std::vector<ExpertDecision> kept;
  for (const ExpertDecision& expert : experts) {
    const uint32_t key = key_of(context.layer, expert.expert);
    ExpertEnvironment environment(*this, context, instance_of_layer(context.layer), key);
    if (evaluate(context.rules->drop, environment) != 0) {
      context.decision.dropped.push_back(expert.expert);
    } else {
      kept.push_back(expert);
    }
  }
  context.access.clear();
  experts = std::move(kept);
}

// Step 0.
void Interpreter::leave_dropped(std::span<const uint32_t> dropped, Context& context) {
  context.cause = Cause::dropped;
  for (uint32_t key : dropped) {
    if (key >= policy_.num_keys() || !is_resident(key)) continue;
    if (!instance_of_key(key).residents[key].pinned) leave(key, /*as_victim=*/false, context);
  }
}

// Steps 1 to 3 with protect_selected = true.
void Interpreter::decide_together(Context& context) {
  std::vector<Miss> misses;
  for (ExpertDecision& expert : context.decision.experts) {
    const bool hit = count_access(expert, context);
    if (!hit) misses.push_back({&expert, instance_of_layer(context.layer).accesses});
  }
  leave_below_threshold(context);
  settle_side_buffer(context);
  choose_actions(misses, context);
  for (const Miss& miss : misses) miss.expert->action = act_on_miss(miss, context);
  end_exemptions(context);
}

// Steps 1, 2, 3 and 5 with protect_selected = false. Step 3 of the dispatch ends with step 3 of its last access.
void Interpreter::decide_one_by_one(Context& context) {
  size_t num_remaining = context.decision.experts.size();
  if (num_remaining == 0) end_exemptions(context);
  for (ExpertDecision& expert : context.decision.experts) {
    const bool hit = count_access(expert, context);
    leave_below_threshold(context);
    settle_side_buffer(context);
    if (!hit) {
      std::vector<Miss> miss = {{&expert, instance_of_layer(context.layer).accesses}};
      choose_actions(miss, context);
      expert.action = act_on_miss(miss.front(), context);
    }
    if (--num_remaining == 0) end_exemptions(context);
    check_triggers(context);
  }
}

// Step 1 for one access. True: a hit.
bool Interpreter::count_access(const ExpertDecision& expert, Context& context) {
  Instance& instance = instance_of_layer(context.layer);
  const BoundRules& rules = *context.rules;
  const uint32_t key = key_of(context.layer, expert.expert);
  instance.accesses += 1;
  context.accesses += 1;

  if (instance.accesses % rules.decay_interval == 0) {
    for (auto& [resident_key, state] : instance.residents) state.freq *= rules.frequency_decay;
    if (reads_seen_) {
      for (uint32_t other = 0; other < experts_.size(); ++other) {
        if (&instance_of_key(other) == &instance) experts_[other].seen *= rules.frequency_decay;
      }
    }
  }
  experts_[key].seen += 1;
  instance.last_access[key] = instance.accesses;
  instance.window.push_back(key);
  instance.window_count[key] += 1;
  if (instance.window.size() > rules.freq_window) {
    instance.window_count[instance.window[instance.window.size() - 1 - rules.freq_window]] -= 1;
  }
  if (instance.window.size() > kMostFreqWindow) instance.window.pop_front();
  note_depth(instance, key);

  const auto found = instance.residents.find(key);
  const auto aside = std::find(instance.side.begin(), instance.side.end(), key);
  if (aside != instance.side.end()) {  // it takes its place once the dispatch's hits have been touched
    instance.side.erase(aside);
    context.from_side.push_back({&expert, instance.accesses});
    context.hits += 1;
    context.prefetch_used += 1;
    return true;
  }
  if (found == instance.residents.end() || !is_here(instance, key) || context.on_cpu.contains(key)) return false;
  Resident& state = found->second;
  state.last_use = instance.accesses;
  state.uses += 1;
  state.freq += 1;
  state.ema = rules.score_ema_alpha * expert.weight + (1 - rules.score_ema_alpha) * state.ema;
  context.hits += 1;
  if (state.unused_prefetch) context.prefetch_used += 1;
  state.unused_prefetch = false;
  if (instance.order[state.segment]) instance.order[state.segment]->hit(key);
  if (state.segment == 1) promote(instance, key, context);
  return true;
}

// What waited in the side buffer and was a hit takes a place as a load does, in order of access; what cannot stays for
// this dispatch only, and what was not selected is forgotten at the end of the dispatch.
void Interpreter::settle_side_buffer(Context& context) {
  for (const auto& [expert, access_number] : context.from_side) (void)try_load(*expert, access_number, context);
  context.from_side.clear();
}

// End of step 3: what was prefetched for this layer is judged like every other resident from now on.
void Interpreter::end_exemptions(Context& context) {
  context.cause = Cause::exemption;
  Instance& instance = instance_of_layer(context.layer);
  Keys leaving;
  for (auto& [key, state] : instance.residents) {
    if (!state.awaits_layer || layer_of(key) != context.layer) continue;
    state.awaits_layer = false;
    const bool by_share = context.rules->eviction == Eviction::freq_threshold;
    if (by_share && share(instance, key) < context.rules->freq_threshold) leaving.push_back(key);
  }
  std::sort(leaving.begin(), leaving.end(), [&](uint32_t a, uint32_t b) {
    return goes_before(context.rules->eviction, instance, a, b, share(instance, a), share(instance, b));
  });
  for (uint32_t key : leaving) leave(key, /*as_victim=*/false, context);
  std::erase_if(instance.side, [&](uint32_t key) { return layer_of(key) == context.layer; });
}

// Memory pressure, then TTL.
void Interpreter::check_triggers(Context& context) {
  relieve_pressure(context, /*asked_for=*/false);
  expire(context);
}

}  // namespace moe::ir
