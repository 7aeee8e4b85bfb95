// SPDX-License-Identifier: Apache-2.0
#include "ir/environment.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace moe::ir {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

double ExpertEnvironment::variable(Variable v, bool of_victim) {
  if (!is_of_expert(v)) return state_.metric(v, context_);
  const std::optional<uint32_t> key = of_victim ? victim_ : key_;
  return key ? of_expert(v, *key) : 0;
}

void ExpertEnvironment::history(Variable v, uint32_t window, std::vector<double>& out) {
  state_.metrics_.history(v, window, out);
}

double ExpertEnvironment::rate(ExprOp op, uint32_t window, uint32_t largest, bool of_victim) {
  const std::optional<uint32_t> key = of_victim ? victim_ : key_;
  if (!key) return 0;
  const Interpreter::RateKey wanted{op, window, largest};
  const auto found = std::find(state_.rate_keys_.begin(), state_.rate_keys_.end(), wanted);
  return state_.experts_[*key].rates[static_cast<size_t>(found - state_.rate_keys_.begin())];
}

double ExpertEnvironment::recency(uint32_t key) const {
  const auto resident = instance_.residents.find(key);
  if (resident != instance_.residents.end()) {
    return static_cast<double>(instance_.accesses - resident->second.last_use);
  }
  const auto last = instance_.last_access.find(key);
  return last == instance_.last_access.end() ? kNever : static_cast<double>(instance_.accesses - last->second);
}

double ExpertEnvironment::of_expert(Variable v, uint32_t key) {
  const auto resident = instance_.residents.find(key);
  const bool here = resident != instance_.residents.end();
  const auto access = context_.access.find(key);
  const bool selected = access != context_.access.end();
  const uint32_t num_layers = state_.policy_.shape.num_layers;
  const uint32_t layer = state_.layer_of(key);
  const Interpreter::ExpertState& known = state_.experts_[key];
  switch (v) {
    case Variable::freq:
      return here ? resident->second.freq : 0;
    case Variable::recency:
      return recency(key);
    case Variable::age:
      return here ? static_cast<double>(instance_.accesses - resident->second.loaded_at) : 0;
    case Variable::uses:
      return here ? static_cast<double>(resident->second.uses) : 0;
    case Variable::seen:
      return known.seen;
    case Variable::request_uses:
      return static_cast<double>(known.request_uses);
    case Variable::idle:
      if (known.last_dispatch == 0) return kNever;
      return static_cast<double>(state_.layer_dispatches_[layer] - known.last_dispatch);
    case Variable::value:
      return state_.learner_ ? state_.learner_->value(layer, key % state_.policy_.shape.num_experts) : 0;
    case Variable::score:
      if (here) return resident->second.ema;
      return selected ? access->second->weight : 0;
    case Variable::weight:
      return selected ? access->second->weight : 0;
    case Variable::tokens:
      return selected ? access->second->num_selections : 0;
    case Variable::layer:
      return layer;
    case Variable::expert:
      return key % state_.policy_.shape.num_experts;
    case Variable::distance:  // the next layer is at 0, the layer in progress comes last
      return (layer + num_layers - context_.layer + num_layers - 1) % num_layers;
    case Variable::size:
      return state_.policy_.expert_bytes(*context_.rules);
    case Variable::predicted:
      return state_.predicted_of(key);
    case Variable::load_ms:
      return state_.load_ms(context_, context_.loads_chosen);
    case Variable::cpu_ms:
      return state_.cpu_ms(context_, selected ? access->second->num_selections : 0);
    case Variable::position: {
      const auto place = context_.position.find(key);
      return place == context_.position.end() ? 0 : place->second;
    }
    case Variable::resident:
      return context_.resident_at_start.contains(key) ? 1 : 0;
    case Variable::foretold:
      return here ? resident->second.foretold : 0;
    case Variable::next_use:
      return state_.future_ == nullptr ? kNever : state_.future_->next_use(key, context_.accesses);
    default:
      return 0;
  }
}

}  // namespace moe::ir
