// SPDX-License-Identifier: Apache-2.0
// What is known of every expert, resident or not: counted per dispatch of its layer.
#include <algorithm>

#include "ir/interpreter.h"

namespace moe::ir {

// Before the first decision of a dispatch: what is counted per dispatch of the layer.
void Interpreter::record_use(Context& context) {
  for (const ExpertDecision& expert : context.decision.experts) {
    ExpertState& state = experts_[key_of(context.layer, expert.expert)];
    state.last_dispatch = layer_dispatches_[context.layer];
    state.request_uses += 1;
  }
  metrics_.add_use(context.layer, context.decision.experts);
  if (!learner_) return;
  learner_->observe(observation_of(context));
}

// rate += (x - rate) / N for every expert of the layer: x is 1 or the weight for those selected, 0 for the others.
void Interpreter::update_rates(Context& context) {
  if (rate_keys_.empty()) return;
  std::vector<double> weights(policy_.shape.num_experts, 0);
  std::set<uint32_t> used;
  for (const ExpertDecision& expert : context.decision.experts) {
    weights[expert.expert] = expert.weight;
    used.insert(expert.expert);
  }
  // The router's own probabilities know the experts that were not selected too.
  const std::span<const float> probabilities = context.input->probabilities;
  std::vector<double> routed = weights;
  if (!probabilities.empty()) {
    std::fill(routed.begin(), routed.end(), 0);
    for (size_t i = 0; i < probabilities.size(); ++i) {
      double& most = routed[i % routed.size()];
      most = std::max(most, static_cast<double>(probabilities[i]));
    }
  }
  std::vector<uint32_t> by_weight(routed.size());
  for (uint32_t i = 0; i < by_weight.size(); ++i) by_weight[i] = i;
  std::stable_sort(by_weight.begin(), by_weight.end(), [&](uint32_t a, uint32_t b) { return routed[a] > routed[b]; });
  for (size_t r = 0; r < rate_keys_.size(); ++r) {
    const RateKey& rate = rate_keys_[r];
    for (size_t rank = 0; rank < by_weight.size(); ++rank) {
      const uint32_t key = key_of(context.layer, by_weight[rank]);
      double x = used.contains(by_weight[rank]) ? 1 : 0;
      if (rate.op == ExprOp::weight_rate) {
        x = rate.largest == 0 || rank < rate.largest ? routed[by_weight[rank]] : 0;
      }
      double& value = experts_[key].rates[r];
      value = value + (x - value) / rate.window;
    }
  }
}

Observation Interpreter::observation_of(const Context& context) const {
  Observation observation;
  observation.layer = context.layer;
  observation.experts = context.decision.experts;
  observation.num_tokens = context.input->num_tokens;
  observation.request = *request_;
  observation.new_request = new_request_;
  observation.probabilities = context.input->probabilities;
  return observation;
}

}  // namespace moe::ir
