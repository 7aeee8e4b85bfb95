// SPDX-License-Identifier: Apache-2.0
// What changes over time: slots of the layers, rules that fire, policies that are chosen.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/environment.h"
#include "ir/interpreter.h"

namespace moe::ir {

// ---- Metrics --------------------------------------------------------------------------------------------------------

double Interpreter::metric(Variable v, const Context& context) const {
  const Instance& instance = instance_of_layer(context.layer);
  const double bytes = policy_.expert_bytes(*context.rules);
  size_t num_resident = 0;
  uint64_t slots = 0;
  for (const Instance& each : instances_) {
    num_resident += each.residents.size();
    slots += each.capacity;
  }
  const double kv_used = context.input == nullptr ? 0 : context.input->measured.kv_used;
  const double used = static_cast<double>(num_resident) * bytes + kv_used;
  switch (v) {
    case Variable::memory_used:
      return used;
    case Variable::memory_free: {
      const bool has_budget = policy_.source && policy_.source->memory && policy_.source->memory->budget;
      const double all =
          has_budget ? static_cast<double>(policy_.source->memory->budget->value) : static_cast<double>(slots) * bytes;
      return std::max(0.0, all - used);
    }
    case Variable::cache_fill:
      return static_cast<double>(num_resident) / static_cast<double>(slots);
    case Variable::kv_used:
      return kv_used;
    case Variable::entropy:
      return metrics_.entropy(context.layer);
    case Variable::phase:
      return static_cast<double>(context.input == nullptr ? Phase::decode : context.input->phase);
    case Variable::batch:
      return context.input == nullptr ? 0 : context.input->num_tokens;
    case Variable::capacity:
      return instance.capacity;
    case Variable::num_experts:
      return policy_.shape.num_experts;
    case Variable::num_layers:
      return policy_.shape.num_layers;
    case Variable::top_k:
      return policy_.shape.top_k;
    case Variable::queue_depth:
      return context.input == nullptr ? 0 : context.input->measured.queue_depth;
    default:
      return metrics_.rate(v);
  }
}

// Step 5, after pressure and time to live: counters, then slots, then rules in order of text, then policies.
void Interpreter::end_dispatch(Context& context) {
  move_between_tiers(context);
  Metrics::Sample sample;
  sample.accesses = context.decision.experts.size();
  sample.hits = context.hits;
  sample.evictions = context.decision.evicted.size();
  sample.prefetched = context.decision.prefetched.size();
  sample.prefetch_used = context.prefetch_used;
  sample.measured = context.input->measured;
  metrics_.add(sample);
  for (const Variable v : remembered_) metrics_.remember(v, metric(v, context));
  if (policy_.per_layer && policy_.per_layer->capacities.value.empty()) {
    const uint64_t interval = policy_.per_layer->rebalance_interval.value;
    if (interval != 0 && num_dispatches_ % interval == 0) rebalance(policy_.per_layer->allocation.value, context);
  }
  adapt(context);
  choose(context);
}

// ---- Slots of the layers --------------------------------------------------------------------------------------------

std::vector<double> Interpreter::entropy_signal() const {
  std::vector<double> signal;
  for (uint32_t layer = 0; layer < policy_.shape.num_layers; ++layer) signal.push_back(metrics_.entropy(layer));
  return signal;
}

// For utility: at which depth of the layer's order of last use an access would have hit, residents before ghosts.
void Interpreter::note_depth(Instance& instance, uint32_t key) {
  if (!policy_.per_layer) return;
  size_t depth = 0;
  const auto resident = instance.residents.find(key);
  if (resident != instance.residents.end()) {
    for (const auto& [other, state] : instance.residents) {
      depth += state.last_use > resident->second.last_use ? 1 : 0;
    }
  } else {
    const auto ghost = std::find(instance.ghosts.begin(), instance.ghosts.end(), key);
    if (ghost == instance.ghosts.end()) return;
    depth = instance.capacity + static_cast<size_t>(ghost - instance.ghosts.begin());
    instance.ghosts.erase(ghost);
  }
  if (instance.hits_at_depth.size() <= depth) instance.hits_at_depth.resize(depth + 1);
  instance.hits_at_depth[depth] += 1;
}

// Slot by slot to the layer whose next slot promises most hits; ties to the layer with fewer slots, then the lower one.
std::vector<uint32_t> Interpreter::by_utility(const AllocationLimits& limits) const {
  std::vector<uint32_t> slots(instances_.size(), limits.min_capacity);
  const uint64_t most = uint64_t{limits.max_capacity} * slots.size();
  uint64_t rest = std::min(limits.total, most);
  rest -= std::min(rest, uint64_t{limits.min_capacity} * slots.size());
  for (; rest > 0; --rest) {
    std::optional<size_t> best;
    const auto gain = [&](size_t i) {
      const auto& hits = instances_[i].hits_at_depth;
      return slots[i] < hits.size() ? hits[slots[i]] : 0;
    };
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] >= limits.max_capacity) continue;
      const bool better = !best || gain(i) > gain(*best) || (gain(i) == gain(*best) && slots[i] < slots[*best]);
      if (better) best = i;
    }
    slots[*best] += 1;
  }
  return slots;
}

// A resized layer keeps its contents and counters; what no longer fits leaves by the rule in force.
void Interpreter::rebalance(Allocation allocation, Context& context) {
  if (!policy_.per_layer) return;
  context.cause = Cause::rebalance;
  AllocationLimits limits = limits_of(policy_);
  if (!policy_.per_layer->total_budget) {
    limits.total = uint64_t{policy_.shape.num_layers} * context.rules->capacity;
  }
  std::vector<uint32_t> slots;
  switch (allocation) {
    case Allocation::uniform:
      slots = allocate(limits, std::vector<double>(instances_.size(), 1));
      break;
    case Allocation::entropy:
      slots = allocate(limits, entropy_signal());
      break;
    case Allocation::utility:
      slots = by_utility(limits);
      break;
  }
  for (size_t i = 0; i < instances_.size(); ++i) {
    Instance& instance = instances_[i];
    instance.hits_at_depth.clear();
    if (instance.capacity == slots[i]) continue;
    instance.capacity = slots[i];
    for (const uint8_t segment : {uint8_t{0}, uint8_t{1}}) {
      if (instance.order[segment]) instance.order[segment]->resize(segment_capacity(instance, segment));
    }
    shrink(instance, context);
  }
}

// ---- Rules ----------------------------------------------------------------------------------------------------------

// Adds what this dispatch contributes to a stretch. True: the stretch is complete.
bool Interpreter::stretch_done(const AdaptRule& rule, uint64_t& counter, const Context& context) const {
  const bool token_ends = context.layer + 1 == policy_.shape.num_layers;
  switch (rule.unit) {
    case AdaptRule::Unit::accesses:
      counter += context.decision.experts.size();
      break;
    case AdaptRule::Unit::dispatches:
      counter += 1;
      break;
    case AdaptRule::Unit::tokens:
      counter += token_ends ? context.input->num_tokens : 0;
      break;
  }
  return counter >= rule.stretch.value;
}

void Interpreter::adapt(Context& context) {
  bool changed = false;
  for (size_t i = 0; i < policy_.adapt.size(); ++i) {
    const AdaptRule& rule = policy_.adapt[i];
    RuleState& state = rule_states_[i];
    ExpertEnvironment environment(*this, context, instance_of_layer(context.layer), std::nullopt);
    if (evaluate(rule.condition, environment) != 0) {
      state.failed = 0;
      const bool complete = stretch_done(rule, state.held, context);
      const bool rested = !state.last_fired || num_dispatches_ - *state.last_fired > rule.cooldown.value;
      if (state.fired || !complete || !rested) continue;
      state.fired = true;
      state.last_fired = num_dispatches_;
      changed = changed || !state.active;
      state.active = true;
      context.decision.rules_fired.push_back(static_cast<uint32_t>(i));
      act(rule, context);
    } else {
      state.held = 0;
      state.fired = false;
      if (!rule.revert || !state.active || !stretch_done(rule, state.failed, context)) continue;
      state.active = false;
      changed = true;
    }
  }
  if (changed) refresh_overrides();
}

// What a rule does at once; assignments and `use` hold as long as it is active.
void Interpreter::act(const AdaptRule& rule, Context& context) {
  for (const RuleAction& action : rule.actions) {
    switch (action.kind) {
      case RuleAction::Kind::rebalance:
        rebalance(action.allocation, context);
        break;
      case RuleAction::Kind::trigger_pressure:
        relieve_pressure(context, /*asked_for=*/true);
        break;
      case RuleAction::Kind::signal:
        context.decision.signals.push_back(action.name);
        break;
      default:
        break;
    }
  }
}

// A key has the value of the latest active rule in order of text, and so has `use`.
void Interpreter::refresh_overrides() {
  overrides_.clear();
  std::optional<std::string> used;
  for (size_t i = 0; i < policy_.adapt.size(); ++i) {
    if (!rule_states_[i].active) continue;
    for (const RuleAction& action : policy_.adapt[i].actions) {
      if (action.kind == RuleAction::Kind::assign) overrides_.push_back(&action.assignment);
      if (action.kind == RuleAction::Kind::use) used = action.name;
    }
  }
  if (used) {
    for (size_t i = 0; i < policy_.source->alternatives.size(); ++i) {
      if (policy_.source->alternatives[i].name.value == *used) alternative_ = i;
    }
    if (*used == policy_.name) alternative_.reset();
  } else if (choose_states_.empty()) {
    alternative_.reset();
  }
}

// Epsilon-greedy: every period the arm in force is paid, then the best arm of the phase plays, or with the probability
// `explore` any; arms that never played go first, in order of text. A reward that is NaN counts as 0.
void Interpreter::choose(Context& context) {
  for (size_t c = 0; c < choose_states_.size(); ++c) {
    const Choose& rule = policy_.source->choose[c];
    ChooseState& state = choose_states_[c];
    ArmTable& table = state.tables[static_cast<size_t>(context.input->phase)];
    const size_t num_arms = rule.policies.size();
    table.plays.resize(num_arms);
    table.mean.resize(num_arms);
    if (num_dispatches_ == 1) state.arm = num_arms;  // nobody has played yet
    state.since += 1;
    if (state.arm != num_arms && state.since < rule.every.value) continue;
    if (state.arm != num_arms) {
      ExpertEnvironment environment(*this, context, instance_of_layer(context.layer), std::nullopt);
      const double paid = evaluate(rule.reward, environment);
      table.plays[state.arm] += 1;
      table.mean[state.arm] +=
          ((std::isnan(paid) ? 0 : paid) - table.mean[state.arm]) / static_cast<double>(table.plays[state.arm]);
    }
    size_t next = num_arms;
    for (size_t i = 0; i < num_arms && next == num_arms; ++i) next = table.plays[i] == 0 ? i : num_arms;
    if (next == num_arms) {
      next = 0;
      for (size_t i = 1; i < num_arms; ++i) next = table.mean[i] > table.mean[next] ? i : next;
      if (arms_.unit() < rule.explore.value) next = arms_.below(static_cast<uint32_t>(num_arms));
    }
    state.arm = next;
    state.since = 0;
    const std::string& name = rule.policies[next].value;
    alternative_.reset();
    for (size_t i = 0; i < policy_.source->alternatives.size(); ++i) {
      if (policy_.source->alternatives[i].name.value == name) alternative_ = i;
    }
    refresh_overrides();
  }
}

}  // namespace moe::ir
