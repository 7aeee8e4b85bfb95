// SPDX-License-Identifier: Apache-2.0
// The prefetch half of the reference interpreter: strategies, candidates, and whom a candidate may replace.
#include <algorithm>

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

void Interpreter::record_history(const Context& context) {
  std::set<uint32_t> used;
  for (const ExpertDecision& expert : context.decision.experts) used.insert(expert.expert);
  history_[context.layer].push_back(used);
  if (history_[context.layer].size() > policy_.history_window) history_[context.layer].pop_front();
}

// Layers that the strategy speaks about after a dispatch of `layer`, nearest first, no layer twice.
std::vector<uint32_t> Interpreter::target_layers(uint32_t layer) const {
  const uint32_t num_layers = policy_.shape.num_layers;
  std::vector<uint32_t> targets;
  if (policy_.strategy == Strategy::none) return targets;
  if (policy_.strategy == Strategy::history) {
    targets.push_back(static_cast<uint32_t>((uint64_t{layer} + policy_.lookahead) % num_layers));
    return targets;
  }
  for (uint32_t i = 1; i <= policy_.lookahead && i <= num_layers; ++i) targets.push_back((layer + i) % num_layers);
  return targets;
}

// What the strategy says now, best first within each target layer, before min_probability.
std::vector<Interpreter::Candidate> Interpreter::predictions(uint32_t layer) const {
  std::vector<Candidate> all;
  for (uint32_t target : target_layers(layer)) {
    std::vector<Candidate> of_target;
    if (policy_.strategy != Strategy::gate) {
      of_target = history_of(target);
    } else if (pending_hints_[target]) {
      of_target = *pending_hints_[target];
    }
    all.insert(all.end(), of_target.begin(), of_target.end());
  }
  return all;
}

// The experts in the layer's window: most frequent first, then more recent use, then lower id.
std::vector<Interpreter::Candidate> Interpreter::history_of(uint32_t layer) const {
  struct Use {
    uint32_t expert = 0;
    uint64_t count = 0;
    size_t last = 0;  // position in the window
  };
  const std::deque<std::set<uint32_t>>& window = history_[layer];
  std::map<uint32_t, Use> uses;
  for (size_t i = 0; i < window.size(); ++i) {
    for (uint32_t expert : window[i]) {
      Use& use = uses[expert];
      use = {expert, use.count + 1, i};
    }
  }
  std::vector<Use> sorted;
  for (const auto& [expert, use] : uses) sorted.push_back(use);
  std::sort(sorted.begin(), sorted.end(), [](const Use& a, const Use& b) {
    if (a.count != b.count) return a.count > b.count;
    if (a.last != b.last) return a.last > b.last;
    return a.expert < b.expert;
  });
  std::vector<Candidate> candidates;
  for (const Use& use : sorted) {
    candidates.push_back({layer, use.expert, static_cast<double>(use.count) / static_cast<double>(window.size())});
  }
  return candidates;
}

// Step 4.
void Interpreter::prefetch(Context& context) {
  record_history(context);
  const std::vector<Candidate> predicted = predictions(context.layer);
  std::vector<Candidate> kept;
  for (const Candidate& candidate : predicted) {
    const uint32_t key = key_of(candidate.layer, candidate.expert);
    if (candidate.predicted < policy_.min_probability) continue;
    if (is_resident(key) || context.selected.contains(key)) continue;
    if (kept.size() < policy_.budget) kept.push_back(candidate);
  }
  for (const Candidate& candidate : kept) try_prefetch(candidate, predicted, context);
}

// What the strategy says about a resident; 0 when it says nothing.
double Interpreter::predicted_of(uint32_t key, const std::vector<Candidate>& predicted) const {
  for (const Candidate& candidate : predicted) {
    if (key_of(candidate.layer, candidate.expert) == key) return candidate.predicted;
  }
  return 0;
}

// Gives the candidate a free place or a victim's; drops it when there is neither.
void Interpreter::try_prefetch(const Candidate& candidate, const std::vector<Candidate>& predicted, Context& context) {
  const uint32_t key = key_of(candidate.layer, candidate.expert);
  Instance& instance = instance_of_layer(candidate.layer);
  if (is_full(instance)) {
    Keys candidates;
    for (uint32_t resident_key : without(unpinned(instance), context.selected)) {
      if (predicted_of(resident_key, predicted) < candidate.predicted) candidates.push_back(resident_key);
    }
    const std::optional<uint32_t> victim = choose_victim(instance, candidates);
    if (!victim) return;
    leave(*victim, context);
  }
  Resident state;
  state.load_number = ++num_loads_;
  state.last_use = instance.accesses;
  state.ema = candidate.predicted;
  state.awaits_layer = true;
  instance.residents[key] = state;
  context.decision.prefetched.push_back(key);
}

}  // namespace moe::ir
