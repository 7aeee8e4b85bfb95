// SPDX-License-Identifier: Apache-2.0
// Tiers below the cache, and the precision in which the first one holds an expert.
#include <algorithm>
#include <cmath>

#include "ir/environment.h"
#include "ir/interpreter.h"

namespace moe::ir {

// A band's `tiers` replace the policy's in its layers: one model for each block, with its layers' experts.
void Interpreter::place_tiers() {
  tiers_.resize(policy_.shape.num_layers);
  if (!policy_.source) return;
  const Policy& source = *policy_.source;
  const auto in_force = [&](uint32_t layer) -> const TiersRule* {
    const Band* band = source.band_of(layer);
    if (band != nullptr && band->tiers) return &*band->tiers;
    return source.tiers ? &*source.tiers : nullptr;
  };
  std::map<const TiersRule*, std::vector<uint32_t>> layers;
  for (uint32_t layer = 0; layer < policy_.shape.num_layers; ++layer) {
    if (const TiersRule* rule = in_force(layer)) layers[rule].push_back(layer);
  }
  for (const auto& [rule, its_layers] : layers) {
    const auto number = static_cast<uint32_t>(its_layers.size());
    tier_models_.push_back(std::make_unique<TierModel>(*rule, source.cache.eviction.value, policy_, number));
    for (const uint32_t layer : its_layers) tiers_[layer] = tier_models_.back().get();
  }
}

TierModel::Answers Interpreter::answers(Context& context) {
  TierModel::Answers answers;
  answers.in_first = [&](uint32_t key) { return is_resident(key); };
  answers.enter_first = [&](uint32_t key) { promote_to_first(key, context); };
  answers.leave_first = [&](uint32_t key) {
    if (instance_of_key(key).residents.at(key).pinned) return false;
    leave(key, /*as_victim=*/false, context);
    return true;
  };
  answers.holds = [&](const Expr& condition, uint32_t key) {
    ExpertEnvironment environment(*this, context, instance_of_key(key), key);
    return evaluate(condition, environment) != 0;
  };
  answers.victim = [&](const EvictionRule& rule, const Keys& held) { return victim_of_tier(rule, held, context); };
  return answers;
}

// As a prefetch, of an expert that has just been used from elsewhere.
void Interpreter::promote_to_first(uint32_t key, Context& context) {
  Instance& instance = instance_of_key(key);
  if (instance.order[0]) instance.order[0]->miss(key);
  const Place place = find_place(instance, key, nullptr, unprotected(instance, context), context);
  if (!place.found) return;
  Resident state;
  state.last_use = instance.accesses;
  state.loaded_at = instance.accesses;
  state.ema = context.access.at(key)->weight;
  state.unused_prefetch = true;
  take_place(instance, place, key, state, context);
  context.decision.prefetched.push_back(key);
}

// Who leaves a tier below the first. Ties: the least recently loaded or used.
uint32_t Interpreter::victim_of_tier(const EvictionRule& rule, const Keys& held, Context& context) {
  if (rule.kind == Eviction::random) return held[lots_.below(static_cast<uint32_t>(held.size()))];
  const auto value = [&](uint32_t key) -> double {
    switch (rule.kind) {
      case Eviction::lfu:
        return experts_[key].seen;
      case Eviction::belady:
        return future_ == nullptr ? -HUGE_VAL : -future_->next_use(key, context.accesses);
      case Eviction::least: {
        ExpertEnvironment environment(*this, context, instance_of_key(key), key);
        const double v = evaluate(rule.value, environment);
        return std::isnan(v) ? -HUGE_VAL : v;
      }
      default:  // lru, fifo: the order itself
        return 0;
    }
  };
  return *std::min_element(held.begin(), held.end(), [&](uint32_t a, uint32_t b) { return value(a) < value(b); });
}

// The first rung whose threshold the value reaches; a NaN reaches none.
size_t Interpreter::rung_of(uint32_t key, Context& context) {
  const Ladder& ladder = *tiers_of_layer(layer_of(key))->ladder();
  ExpertEnvironment environment(*this, context, instance_of_key(key), key);
  const double value = evaluate(ladder.by, environment);
  size_t rung = 0;
  while (rung + 1 < ladder.rungs.size() && !(value >= ladder.rungs[rung].at_least)) ++rung;
  return rung;
}

// Before it is resident: the ladder sees it as it comes.
void Interpreter::enter_first_tier(uint32_t key, Resident& state, Context& context) {
  TierModel* tiers = tiers_of_layer(layer_of(key));
  if (tiers == nullptr) return;
  if (const Ladder* ladder = tiers->ladder()) {
    state.rung = rung_of(key, context);
    context.decision.precisions.push_back({key, ladder->rungs[state.rung].dtype, false});
  }
  tiers->load(key, answers(context), context.decision.moves);
}

// A stream is in the first tier for one dispatch, in the precision that the ladder gives it.
void Interpreter::pass_through(uint32_t key, Context& context) {
  const TierModel* tiers = tiers_of_layer(layer_of(key));
  if (tiers == nullptr || tiers->ladder() == nullptr) return;
  context.decision.precisions.push_back({key, tiers->ladder()->rungs[rung_of(key, context)].dtype, false});
}

void Interpreter::leave_first_tier(uint32_t key, Context& context) {
  TierModel* tiers = tiers_of_layer(layer_of(key));
  if (tiers != nullptr) tiers->evict(key, answers(context), context.decision.moves);
}

// End of a dispatch: moves with `when`, and residents that the ladder now puts on a higher rung. None goes down a rung
// while it stays: a slot is as wide as the widest rung, so that would free nothing.
void Interpreter::move_between_tiers(Context& context) {
  TierModel* tiers = tiers_of_layer(context.layer);
  if (tiers == nullptr) return;
  context.cause = Cause::tiers;
  Instance& instance = instance_of_layer(context.layer);
  for (const ExpertDecision& expert : context.decision.experts) {
    const uint32_t key = key_of(context.layer, expert.expert);
    tiers->access(key, answers(context), context.decision.moves);
    const auto found = instance.residents.find(key);
    if (tiers->ladder() == nullptr || found == instance.residents.end()) continue;
    const size_t rung = rung_of(key, context);
    if (rung >= found->second.rung) continue;
    found->second.rung = rung;
    context.decision.precisions.push_back({key, tiers->ladder()->rungs[rung].dtype, true});
  }
}

}  // namespace moe::ir
