// SPDX-License-Identifier: Apache-2.0
// Binding a policy to a model. Codes of this phase are 22xx:
//   2200 the IR is broken            2201 bytes below one expert          2202 size of an expert unknown
//   2203 auto without a budget       2204 auto leaves no place            2205 pin beyond the model
//   2206 more pins than slots        2207 pins fill the cache (W)         2208 capacity below top_k (W)
//   2209 recency that cannot hit (W) 2210 budget above capacity           2211 expert_size_gb not used (W)
//   2212 lookahead beyond model (W)  2213 capacity above the model (W)    2214 capacity of 0 asked for
//   2215 model shape out of range    2216 pressure never reached (W)      2217 pressure at one expert (W)
//   2218 a band beyond the model     2219 capacity of a band, one cache   2220 min_capacity above the budget
//   2221 hottest without a profile   2222 a | b with one slot (W)         2223 an alternative of another scope
//   2224 the profile is of another model              2225 the profile's weights are of another window (W)
//   2226 the learner is too large
#include "ir/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/allocate.h"
#include "ir/bind_capacity.h"
#include "ir/keys.h"
#include "ir/predictor.h"
#include "ir/shape.h"

namespace moe::ir {
namespace {

bool check_profile(const BindContext& context) {
  const Profile* profile = context.options.profile.get();
  if (profile == nullptr) return true;
  if (profile->num_layers == context.shape.num_layers && profile->num_experts == context.shape.num_experts) return true;
  context.diagnostics.error(
      "MOE2224", context.rules.prefetch.profile.span,
      fmt::format("the profile is of a model with {} layers of {} experts, this one has {} of {}", profile->num_layers,
                  profile->num_experts, context.shape.num_layers, context.shape.num_experts),
      "make one for this model with `moec profile`");
  return false;
}

// A broken IR or shape is nothing the author can mend in the text, but it must not pass.
bool check_inputs(const BindContext& context) {
  const std::vector<std::string> broken = verify(context.policy);
  for (const std::string& sentence : broken) {
    context.diagnostics.error("MOE2200", context.policy.span, fmt::format("the policy cannot be bound: {}", sentence));
  }
  const std::string problem = shape_problem(context.shape);
  if (!problem.empty()) context.diagnostics.error("MOE2215", context.policy.span, problem);
  return broken.empty() && problem.empty() && check_profile(context);
}

bool check_bands(const BindContext& context) {
  bool fine = true;
  for (const Band& band : context.policy.bands) {
    if (band.last >= context.shape.num_layers) {
      context.diagnostics.error("MOE2218", band.span,
                                fmt::format("the band {}..{} leaves the model, which has {} layers", band.first,
                                            band.last, context.shape.num_layers),
                                fmt::format("end it at {} or before", context.shape.num_layers - 1));
      fine = false;
    }
    for (const Assignment& assignment : band.overrides) {
      if (assignment.key != Key::capacity || context.per_layer()) continue;
      context.diagnostics.error("MOE2219", assignment.span,
                                "one cache for all layers has one capacity: a band cannot change it",
                                "write `scope = layer` in `cache`");
      fine = false;
    }
  }
  return fine;
}

bool check_alternatives(const BindContext& context) {
  bool fine = true;
  for (const Policy& other : context.policy.alternatives) {
    if (scope_of(other) == scope_of(context.policy)) continue;
    context.diagnostics.error(
        "MOE2223", other.name.span,
        fmt::format("`{}` has another scope than `{}`, and a cache cannot change it while it runs", other.name.value,
                    context.policy.name.value),
        "give both the same `scope`");
    fine = false;
  }
  return fine;
}

// Weights of another window, or none, would start the learner from zero without a word.
void warn_about_weights(const BindContext& context) {
  const std::optional<LearnRule>& learn = context.policy.learn;
  const Profile* profile = context.options.profile.get();
  if (!learn || profile == nullptr) return;
  const bool named = !learn->profile.value.empty();
  const SourceSpan span = named ? learn->profile.span : learn->window.span;
  if (profile->learned.empty()) {
    if (!named) return;
    context.diagnostics.warning("MOE2225", span, "the profile has no weights of a learner, which starts from zero",
                                "remove `profile`, or fit weights with `moec profile`");
    return;
  }
  const uint64_t wanted = Learner::num_weights(context.shape.num_experts, learn->window.value);
  const uint64_t given = profile->learned.front().size();
  if (given == wanted) return;
  context.diagnostics.warning(
      "MOE2225", span,
      fmt::format("the profile has {} weights for each layer, a window of {} takes {}: the learner starts from zero",
                  given, learn->window.value, wanted),
      "give `window` the value that the profile was made with");
}

bool check_learner(const BindContext& context) {
  constexpr double kMostBytes = 0x1p32;  // far above what pays: the default window on 61 layers of 256 takes 1.5 GB
  if (!context.policy.learn) return true;
  const LearnRule& learn = *context.policy.learn;
  const auto weights = static_cast<double>(Learner::num_weights(context.shape.num_experts, learn.window.value));
  const double bytes = weights * sizeof(double) * context.shape.num_layers;
  if (bytes <= kMostBytes) return true;
  context.diagnostics.error(
      "MOE2226", learn.window.span,
      fmt::format("a learner that looks back on {} dispatches takes {:.1f} GB on this model, more than {:.1f}",
                  learn.window.value, bytes * 1e-9, kMostBytes * 1e-9),
      fmt::format("write `window = {}` or less",
                  std::max<uint64_t>(1, static_cast<uint64_t>(learn.window.value * kMostBytes / bytes))));
  return false;
}

// A capacity of one expert that the text itself writes has been warned of when it was checked.
void warn_about_segments(const BindContext& context, uint32_t capacity) {
  if (context.rules.cache.eviction.value.kind != Eviction::segmented || capacity >= 2) return;
  const Capacity& written = context.rules.cache.capacity.value;
  if (written.kind == Capacity::Kind::slots && written.amount < 2 && !context.options.capacity_slots) return;
  context.diagnostics.warning("MOE2222", context.rules.cache.eviction.span,
                              "a cache with one slot has no place for a second segment",
                              "raise `capacity` to at least 2 slots, or name one rule");
}

/// Binds what one phase, band, rule or alternative puts in force, for the sake of its findings; those that the policy
/// itself has are not said again.
class VariantCheck {
 public:
  explicit VariantCheck(const BindContext& context) : context_(context) {}

  bool all() {
    for (const Band& band : context_.policy.bands) check(rules_of(context_.policy, band), {});
    for (const PhaseRule& phase : context_.policy.phases) check(context_.rules, phase.overrides);
    for (const AdaptRule& rule : context_.policy.adapt) check_actions(rule.actions);
    if (context_.policy.memory) {
      check_actions(context_.policy.memory->on_warn);
      check_actions(context_.policy.memory->on_shed);
    }
    for (const Policy& other : context_.policy.alternatives) {
      const Rules rules = rules_of(other);
      check(rules, {});
      for (const Band& band : other.bands) check(rules_of(other, band), {});
      for (const PhaseRule& phase : other.phases) check(rules, phase.overrides);
    }
    return fine_;
  }

 private:
  void check_actions(const std::vector<RuleAction>& actions) {
    std::vector<Assignment> assignments;
    for (const RuleAction& action : actions) {
      if (action.kind == RuleAction::Kind::assign) assignments.push_back(action.assignment);
    }
    if (!assignments.empty()) check(context_.rules, assignments);
  }

  void check(Rules rules, const std::vector<Assignment>& assignments) {
    for (const Assignment& assignment : assignments) assign(rules, assignment);
    Diagnostics found;
    const BindContext variant{context_.policy, rules, context_.shape, context_.options, found};
    BoundRules out;
    const std::optional<uint32_t> capacity = bind_capacity(variant);
    if (capacity) {
      bind_rules(variant, *capacity, out);
      warn_about_segments(variant, *capacity);
    }
    for (const Diagnostic& finding : found.items()) {
      if (finding.severity == Severity::error) fine_ = false;
      if (!is_known(finding)) add(finding);
    }
  }

  bool is_known(const Diagnostic& finding) const {
    const auto same = [&](const Diagnostic& d) { return d.code == finding.code && d.span == finding.span; };
    return std::any_of(context_.diagnostics.items().begin(), context_.diagnostics.items().end(), same);
  }

  void add(const Diagnostic& d) {
    if (d.severity == Severity::error) {
      context_.diagnostics.error(d.code, d.span, d.message, d.hint);
    } else {
      context_.diagnostics.warning(d.code, d.span, d.message, d.hint);
    }
  }

  const BindContext& context_;
  bool fine_ = true;
};

void copy_monitor(const Policy& policy, BoundPolicy& bound) {
  const MonitorRule monitor = policy.monitor.value_or(MonitorRule{});
  for (const Sourced<std::string>& metric : monitor.metrics) bound.metrics.push_back(metric.value);
  bound.monitor_window = monitor.window.value;
  bound.log_interval = monitor.log_interval.value;
}

bool bind_per_layer(const BindContext& context, BoundPolicy& bound) {
  bound.per_layer = context.policy.per_layer;
  if (!bound.per_layer) return true;
  const PerLayerRule& rule = *bound.per_layer;
  const uint64_t layers = context.shape.num_layers;
  bound.total_budget = rule.total_budget ? rule.total_budget->value : layers * bound.capacity;
  if (!rule.capacities.value.empty() || layers * rule.min_capacity.value <= bound.total_budget) return true;
  const uint64_t share = bound.total_budget / layers;
  context.diagnostics.error("MOE2220",
                            rule.min_capacity.span.is_default() ? context.policy.span : rule.min_capacity.span,
                            fmt::format("`min_capacity` of {} in {} layers is more than the budget of {} slots",
                                        rule.min_capacity.value, layers, bound.total_budget),
                            share > 0 ? fmt::format("write `min_capacity = {}` or less", share)
                                      : fmt::format("raise `total_budget` to at least {}", layers));
  return false;
}

// `memory` as rules about the fast tier: used counts the cache's tokens' keys and values, at least the reserve.
void add_memory_rules(const MemoryRule& memory, std::vector<AdaptRule>& rules) {
  if (!memory.budget) return;
  const auto add = [&](double share, const std::vector<RuleAction>& actions) {
    if (actions.empty()) return;
    AdaptRule rule;
    std::vector<ExprNode>& nodes = rule.condition.nodes;
    const auto leaf = [&](Variable v) {
      ExprNode node;
      node.op = ExprOp::variable;
      node.variable = v;
      node.type = Type::size;
      nodes.push_back(node);
      return static_cast<uint32_t>(nodes.size() - 1);
    };
    const auto number = [&](double value, Type type) {
      ExprNode node;
      node.number = value;
      node.type = type;
      nodes.push_back(node);
      return static_cast<uint32_t>(nodes.size() - 1);
    };
    const auto join = [&](ExprOp op, Type type, uint32_t a, uint32_t b) {
      ExprNode node;
      node.op = op;
      node.type = type;
      node.operand = {a, b, 0};
      nodes.push_back(node);
      return static_cast<uint32_t>(nodes.size() - 1);
    };
    const uint32_t used = leaf(Variable::memory_used);
    const uint32_t reserve = number(static_cast<double>(memory.kv_reserve.value), Type::size);
    const uint32_t unused = join(ExprOp::subtract, Type::size, reserve, leaf(Variable::kv_used));
    const uint32_t held_back = join(ExprOp::max, Type::size, number(0, Type::size), unused);
    const uint32_t taken = join(ExprOp::add, Type::size, used, held_back);
    const uint32_t budget = number(static_cast<double>(memory.budget->value), Type::size);
    const uint32_t ratio = join(ExprOp::divide, Type::ratio, taken, budget);
    join(ExprOp::ge, Type::boolean, ratio, number(share, Type::ratio));
    rule.actions = actions;
    rule.revert = true;
    rule.span = actions.front().span;
    rules.push_back(std::move(rule));
  };
  add(memory.warn.value, memory.on_warn);
  add(memory.shed.value, memory.on_shed);
}

bool varies_never(const Policy& policy) {
  return policy.bands.empty() && policy.phases.empty() && policy.adapt.empty() && policy.alternatives.empty() &&
         !policy.memory;
}

BindOptions with_memory(BindOptions options, const Policy& policy) {
  if (options.fast_bytes != 0 || !policy.memory || !policy.memory->budget) return options;
  const uint64_t budget = policy.memory->budget->value;
  options.fast_bytes = budget - std::min(budget, policy.memory->kv_reserve.value);
  return options;
}

bool bind_experts(const BindContext& context, BoundPolicy& bound) {
  Capacities capacities(context.shape.num_layers, bound.capacity);
  if (context.per_layer()) {
    for (uint32_t layer = 0; layer < context.shape.num_layers; ++layer) capacities[layer] = bound.capacity_of(layer);
  }
  Capacities for_pins = capacities;
  if (bound.per_layer && bound.per_layer->capacities.value.empty()) {
    // A slot that a layer has at start beyond the equal share may go to another, its pins may not.
    const auto share =
        static_cast<uint32_t>(std::min<uint64_t>(bound.total_budget / context.shape.num_layers, UINT32_MAX));
    for (uint32_t& capacity : for_pins) capacity = std::min(capacity, share);
  }
  std::optional<std::vector<uint32_t>> pins = bind_pins(context, for_pins);
  if (!pins) return false;
  bound.pins = std::move(*pins);
  std::optional<std::vector<uint32_t>> preload = bind_preload(context, capacities, bound.pins);
  if (!preload) return false;
  bound.preload = std::move(*preload);
  return true;
}

}  // namespace

uint32_t BoundPolicy::capacity_of(uint32_t layer) const {
  if (per_layer) {
    const std::vector<uint32_t>& fixed = per_layer->capacities.value;
    if (!fixed.empty()) return std::min(fixed[std::min<size_t>(layer, fixed.size() - 1)], shape.num_experts);
    return allocate(limits_of(*this), std::vector<double>(shape.num_layers, 1))[layer];
  }
  if (scope == Scope::global || source == nullptr || source->bands.empty()) return capacity;
  RulesQuery query;
  query.layer = layer;
  return rules_in_force(*this, query).capacity;
}

uint64_t BoundPolicy::total_capacity() const {
  if (scope == Scope::global) return capacity;
  if (!per_layer && (source == nullptr || source->bands.empty())) return uint64_t{capacity} * shape.num_layers;
  uint64_t total = 0;
  for (uint32_t layer = 0; layer < shape.num_layers; ++layer) total += capacity_of(layer);
  return total;
}

AllocationLimits limits_of(const BoundPolicy& policy) {
  AllocationLimits limits;
  limits.total = policy.total_budget;
  limits.max_capacity = std::min(policy.per_layer->max_capacity.value, policy.shape.num_experts);
  // Pins never leave: a layer with fewer slots than pins would hold what others have slots for.
  std::vector<uint32_t> pinned(policy.shape.num_layers);
  uint32_t most_pinned = 0;
  for (const uint32_t key : policy.pins) most_pinned = std::max(most_pinned, ++pinned[key / policy.shape.num_experts]);
  limits.min_capacity = std::min(std::max(policy.per_layer->min_capacity.value, most_pinned), limits.max_capacity);
  return limits;
}

std::optional<BoundPolicy> bind(const Policy& policy, const ModelShape& shape, const BindOptions& given,
                                Diagnostics& diagnostics) {
  const BindOptions options = with_memory(given, policy);
  const Rules rules = rules_of(policy);
  const BindContext context{policy, rules, shape, options, diagnostics};
  if (!check_inputs(context)) return std::nullopt;
  const std::optional<uint32_t> capacity = bind_capacity(context);
  if (!capacity) return std::nullopt;

  BoundPolicy bound;
  bound.name = policy.name.value;
  bound.shape = shape;
  bound.scope = scope_of(policy);
  bound.options = options;
  bound.source = std::make_shared<const Policy>(policy);
  bound.learn = policy.learn;
  bound.adapt = policy.adapt;
  if (policy.memory) add_memory_rules(*policy.memory, bound.adapt);
  bool fine = bind_rules(context, *capacity, bound);
  warn_about_segments(context, *capacity);
  fine = check_bands(context) && fine;
  fine = check_alternatives(context) && fine;
  fine = check_learner(context) && fine;
  warn_about_weights(context);
  fine = bind_per_layer(context, bound) && fine;
  if (fine) fine = VariantCheck(context).all();
  if (!fine || !bind_experts(context, bound)) return std::nullopt;
  warn_about_policy(context, bound);
  copy_monitor(policy, bound);
  bound.exactness = exactness(policy);
  // hybrid without a cost model is one choice, known here.
  const bool always_loads = bound.hybrid && bound.miss == MissAction::load && varies_never(policy);
  if (always_loads && bound.exactness == Exactness::exact_on_host) bound.exactness = Exactness::exact;
  Policy without_cost_model = policy;
  if (bound.hybrid) without_cost_model.schedule.mode.value = ScheduleMode::gpu_only;
  bound.timing_free = timing_free(without_cost_model);
  return bound;
}

}  // namespace moe::ir
