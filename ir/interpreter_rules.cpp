// SPDX-License-Identifier: Apache-2.0
// Which rules are in force, and what happens to a cache when they change.
#include <algorithm>

#include "ir/interpreter.h"
#include "ir/visit.h"

namespace moe::ir {
// Rates are kept for every expert from the start, whichever rule will read them.
void Interpreter::collect_rates() {
  const auto collect = [&](const Expr& expr) {
    reads_seen_ = reads_seen_ || expr.reads(Variable::seen);
    for (const ExprNode& node : expr.nodes) {
      const bool looks_back = node.op == ExprOp::avg_over || node.op == ExprOp::max_over || node.op == ExprOp::trend;
      if (looks_back) remembered_.insert(node.variable);
      if (node.op != ExprOp::use_rate && node.op != ExprOp::weight_rate) continue;
      const RateKey rate{node.op, node.window, node.largest};
      if (std::find(rate_keys_.begin(), rate_keys_.end(), rate) == rate_keys_.end()) rate_keys_.push_back(rate);
    }
  };
  visit_exprs(static_cast<const BoundRules&>(policy_), collect);
  if (policy_.source) visit_exprs(*policy_.source, collect);
  reads_seen_ = reads_seen_ || std::any_of(tier_models_.begin(), tier_models_.end(),
                                           [](const auto& tiers) { return tiers->eviction().kind == Eviction::lfu; });
  for (ExpertState& state : experts_) state.rates.assign(rate_keys_.size(), 0);
}

const BoundRules* Interpreter::rules_for(uint32_t layer, Phase phase) {
  if (policy_.source == nullptr) return &policy_;
  RulesQuery query;
  query.layer = layer;
  query.phase = phase;
  query.alternative = alternative_;
  query.overrides = overrides_;
  std::string name = std::to_string(layer) + '/' + std::to_string(static_cast<int>(phase)) + '/' +
                     (alternative_ ? std::to_string(*alternative_) : "-");
  for (const RuleState& state : rule_states_) name += state.active ? '1' : '0';
  std::unique_ptr<BoundRules>& rules = variants_[name];
  if (!rules) rules = std::make_unique<BoundRules>(rules_in_force(policy_, query));
  return rules.get();
}

// An instance takes over new rules when its layer's dispatch begins: structures first, then the capacity.
void Interpreter::install(Instance& instance, const BoundRules* rules, uint32_t layer, Context& context) {
  if (instance.rules == rules) return;
  const BoundRules* before = instance.rules;
  const uint32_t old_capacity = instance.capacity;
  if (!policy_.per_layer) instance.capacity = rules->capacity;
  instance.rules = rules;
  context.layer = layer;
  if (context.rules == nullptr) context.rules = rules;
  if (before != nullptr && before->freq_window != rules->freq_window) recount_window(instance);
  if (before == nullptr || !(before->eviction == rules->eviction)) {
    adopt_eviction(instance, *rules);
  } else if (old_capacity != instance.capacity) {
    for (const uint8_t segment : {uint8_t{0}, uint8_t{1}}) {
      if (instance.order[segment]) instance.order[segment]->resize(segment_capacity(instance, segment));
    }
  }
  shrink(instance, context);
}

// Another length of freq_threshold's window: the counts anew.
void Interpreter::recount_window(Instance& instance) {
  instance.window_count.clear();
  const size_t size = instance.window.size();
  const size_t length = std::min<size_t>(size, instance.rules->freq_window);
  for (size_t i = size - length; i < size; ++i) instance.window_count[instance.window[i]] += 1;
}

// Residents enter the new structures in order of last use, ties by the earlier load.
void Interpreter::adopt_eviction(Instance& instance, const BoundRules& rules) {
  for (const uint8_t segment : {uint8_t{0}, uint8_t{1}}) {
    const bool used = segment == 0 || rules.eviction.kind == Eviction::segmented;
    instance.order[segment] =
        used ? make_queue_rule(rule_of(instance, segment).kind, segment_capacity(instance, segment)) : nullptr;
  }
  Keys keys;
  for (const auto& [key, state] : instance.residents) keys.push_back(key);
  std::sort(keys.begin(), keys.end(), [&](uint32_t a, uint32_t b) {
    const Resident& left = instance.residents[a];
    const Resident& right = instance.residents[b];
    if (left.last_use != right.last_use) return left.last_use < right.last_use;
    return left.load_number < right.load_number;
  });
  // Of two segments the first holds what was used last.
  const size_t in_second = is_segmented(instance) && keys.size() > segment_capacity(instance, 0)
                               ? keys.size() - segment_capacity(instance, 0)
                               : 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    const uint8_t segment = i < in_second ? 1 : 0;
    instance.residents[keys[i]].segment = segment;
    if (instance.order[segment]) instance.order[segment]->insert(keys[i]);
  }
}

// Capacity that shrinks evicts by the rule in force.
void Interpreter::shrink(Instance& instance, Context& context) {
  while (instance.residents.size() > instance.capacity) {
    const std::optional<uint32_t> victim =
        victim_of_cache(instance, [&](uint32_t key) { return !instance.residents.at(key).pinned; }, context);
    if (!victim) return;
    leave(*victim, /*as_victim=*/true, context);
  }
  if (!is_segmented(instance)) return;
  // What does not fit into the first segment any more goes to the second.
  const MayLeave anyone = [](uint32_t) { return true; };
  while (segment_size(instance, 0) > segment_capacity(instance, 0)) {
    const std::optional<uint32_t> victim =
        choose_victim(rule_of(instance, 0), instance, 0, policy_.num_keys(), anyone, context);
    if (!victim) return;
    move_to_segment(instance, *victim, 1);
  }
}

}  // namespace moe::ir
