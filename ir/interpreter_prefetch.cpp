// SPDX-License-Identifier: Apache-2.0
// The prefetch half of the reference interpreter: strategies, candidates, and whom a candidate may replace.
#include <algorithm>

#include "ir/environment.h"
#include "ir/interpreter.h"

namespace moe::ir {

bool Interpreter::hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) {
  if (layer >= policy_.shape.num_layers || ids.size() != probabilities.size()) return false;
  std::set<uint32_t> seen;
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= policy_.shape.num_experts || !seen.insert(ids[i]).second) return false;
    const double probability = static_cast<double>(probabilities[i]);
    if (!(probability >= 0 && probability <= 1)) return false;
    candidates.push_back({layer, ids[i], probability});
  }
  // Highest probability first; stable: ties as hinted.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.predicted > b.predicted; });
  pending_hints_[layer] = candidates;
  return true;
}

// Made when their strategy is first in force, and kept: they go on learning while another is. The rule's numbers are
// those in force now.
Predictor* Interpreter::predictor(Strategy strategy, const BoundRules& rules) {
  const bool stateless = strategy == Strategy::none || strategy == Strategy::gate || strategy == Strategy::learned ||
                         strategy == Strategy::most;
  if (stateless) return nullptr;
  predictor_rule_.lookahead = rules.lookahead;
  predictor_rule_.history_window = rules.history_window;
  predictor_rule_.affinity_threshold = rules.affinity_threshold;
  predictor_rule_.store = rules.store;
  predictor_rule_.strategy.value = strategy;
  // history and lookahead look at the same windows.
  std::unique_ptr<Predictor>& made = predictors_[strategy == Strategy::lookahead ? Strategy::history : strategy];
  if (made) return made.get();
  PredictorSetup setup;
  setup.num_layers = policy_.shape.num_layers;
  setup.num_experts = policy_.shape.num_experts;
  setup.top_k = policy_.shape.top_k;
  setup.rule = &predictor_rule_;
  setup.frequency_decay = rules.frequency_decay;
  setup.decay_interval = rules.decay_interval;
  setup.profile = policy_.options.profile.get();
  switch (strategy) {
    case Strategy::history:
    case Strategy::lookahead:
      made = make_history(setup);
      break;
    case Strategy::affinity:
      made = make_affinity(setup);
      break;
    case Strategy::sequence:
      made = make_sequence(setup);
      break;
    default:
      made = make_trajectory(setup);
      break;
  }
  return made.get();
}

void Interpreter::observe(Context& context) {
  for (const Strategy strategy : context.rules->strategy.links) (void)predictor(strategy, *context.rules);
  const Observation observation = observation_of(context);
  for (auto& [strategy, source] : predictors_) source->observe(observation);
}

std::vector<Candidate> Interpreter::hinted(uint32_t layer, const BoundRules& rules) const {
  const uint32_t num_layers = policy_.shape.num_layers;
  std::vector<Candidate> all;
  for (uint32_t i = 1; i <= rules.lookahead && i <= num_layers; ++i) {
    const auto& hint = pending_hints_[(layer + i) % num_layers];
    if (hint) all.insert(all.end(), hint->begin(), hint->end());
  }
  return all;
}

// Every expert of the next layer, the most probable first, ties by the lower id.
std::vector<Candidate> Interpreter::learned(uint32_t layer) const {
  std::vector<Candidate> all;
  if (!learner_) return all;
  const uint32_t next = (layer + 1) % policy_.shape.num_layers;
  for (uint32_t expert = 0; expert < policy_.shape.num_experts; ++expert) {
    all.push_back({next, expert, learner_->use_probability(next, expert)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.predicted > b.predicted; });
  return all;
}

// most(E): the experts of the next layers in turn, per layer by falling E, ties by the lower id; those above 0.
std::vector<Candidate> Interpreter::by_expression(Context& context) {
  const uint32_t num_layers = policy_.shape.num_layers;
  std::vector<Candidate> all;
  for (uint32_t i = 1; i <= context.rules->lookahead && i <= num_layers; ++i) {
    const uint32_t layer = (context.layer + i) % num_layers;
    std::vector<Candidate> of_layer;
    for (uint32_t expert = 0; expert < policy_.shape.num_experts; ++expert) {
      ExpertEnvironment environment(*this, context, instance_of_layer(layer), key_of(layer, expert));
      const double value = evaluate(context.rules->strategy.value, environment);
      if (value > 0) of_layer.push_back({layer, expert, value});
    }
    std::stable_sort(of_layer.begin(), of_layer.end(),
                     [](const Candidate& a, const Candidate& b) { return a.predicted > b.predicted; });
    all.insert(all.end(), of_layer.begin(), of_layer.end());
  }
  return all;
}

// What the first strategy of the chain that says anything says now, before any filter.
std::vector<Candidate> Interpreter::predictions(Context& context) {
  for (const Strategy strategy : context.rules->strategy.links) {
    std::vector<Candidate> all;
    if (strategy == Strategy::gate) {
      all = hinted(context.layer, *context.rules);
    } else if (strategy == Strategy::learned) {
      all = learned(context.layer);
    } else if (strategy == Strategy::most) {
      all = by_expression(context);
    } else if (Predictor* const source = predictor(strategy, *context.rules)) {
      all = source->predict(context.layer);
    }
    if (all.empty()) continue;
    if (account_ != nullptr) account_->predictor = strategy;
    return all;
  }
  return {};
}

// Step 4.
void Interpreter::prefetch(Context& context) {
  const BoundRules& rules = *context.rules;
  context.cause = Cause::prefetch;
  observe(context);
  const std::vector<Candidate> predicted = predictions(context);
  predicted_.clear();
  for (const Candidate& candidate : predicted) {
    const uint32_t key = key_of(candidate.layer, candidate.expert);
    predicted_.emplace(key, candidate.predicted);
    const auto resident = instance_of_key(key).residents.find(key);
    if (resident != instance_of_key(key).residents.end() && candidate.predicted > 0) {
      resident->second.foretold = candidate.predicted;
    }
  }
  std::map<uint32_t, uint32_t> listed;  // per target layer
  std::vector<Candidate> kept;
  const Candidate* over_budget = nullptr;
  for (const Candidate& candidate : predicted) {
    if (kept.size() >= rules.budget) {
      over_budget = &candidate;
      break;
    }
    const std::optional<Refusal> why = filtered(candidate, ++listed[candidate.layer], context);
    if (why) {
      note_prefetch(candidate, why, {}, context);
    } else {
      kept.push_back(candidate);
    }
  }
  for (const Candidate& candidate : kept) try_prefetch(candidate, context);
  if (over_budget != nullptr) note_prefetch(*over_budget, Refusal::over_budget, {}, context);
}

// Why a candidate, the `listed`-th of its layer, is none; nullopt: it is one.
std::optional<Refusal> Interpreter::filtered(const Candidate& candidate, uint32_t listed, Context& context) {
  const BoundRules& rules = *context.rules;
  const uint32_t key = key_of(candidate.layer, candidate.expert);
  if (listed > rules.top) return Refusal::beyond_top;
  if (candidate.predicted < rules.min_probability) return Refusal::improbable;
  if (is_resident(key)) return Refusal::resident;
  if (context.selected.contains(key)) return Refusal::selected;
  ExpertEnvironment environment(*this, context, instance_of_key(key), key);
  if (!rules.prefetch_when.empty() && evaluate(rules.prefetch_when, environment) == 0) return Refusal::condition;
  return std::nullopt;
}

// What the last predictions say about an expert; 0 when they say nothing.
double Interpreter::predicted_of(uint32_t key) const {
  const auto found = predicted_.find(key);
  return found == predicted_.end() ? 0 : found->second;
}

// Gives the candidate a free place or a victim's; drops it when there is neither.
void Interpreter::try_prefetch(const Candidate& candidate, Context& context) {
  const uint32_t key = key_of(candidate.layer, candidate.expert);
  Instance& instance = instance_of_layer(candidate.layer);
  const bool aside = std::find(instance.side.begin(), instance.side.end(), key) != instance.side.end();
  if (instance.residents.contains(key) || aside) {  // there already, or named twice
    return note_prefetch(candidate, Refusal::resident, {}, context);
  }
  if (context.rules->side_buffer) {
    if (!admits(context.rules->prefetch_admit, instance, key, {}, context)) {
      return note_prefetch(candidate, Refusal::not_admitted, {}, context);
    }
    note_prefetch(candidate, std::nullopt, {}, context);
    instance.side.push_back(key);
    context.decision.prefetched.push_back(key);
    return;
  }
  const MayLeave may_leave = [&](uint32_t resident_key) {
    return !instance.residents.at(resident_key).pinned && is_here(instance, resident_key) &&
           !context.selected.contains(resident_key) && predicted_of(resident_key) < candidate.predicted;
  };
  const EvictionRule* instead = context.rules->prefetch_evict ? &*context.rules->prefetch_evict : nullptr;
  if (instance.order[0]) instance.order[0]->miss(key);
  const Place place = find_place(instance, key, instead, may_leave, context);
  if (!place.found) return note_prefetch(candidate, Refusal::no_place, place, context);
  if (!admits(context.rules->prefetch_admit, instance, key, place, context)) {
    return note_prefetch(candidate, Refusal::not_admitted, place, context);
  }
  note_prefetch(candidate, std::nullopt, place, context);
  Resident state;
  state.last_use = instance.accesses;
  state.loaded_at = instance.accesses;
  state.ema = candidate.predicted;
  state.foretold = candidate.predicted;
  state.awaits_layer = true;
  state.unused_prefetch = true;
  take_place(instance, place, key, state, context);
  context.decision.prefetched.push_back(key);
}

}  // namespace moe::ir
