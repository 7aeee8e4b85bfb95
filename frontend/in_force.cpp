// SPDX-License-Identifier: Apache-2.0
#include "frontend/in_force.h"

#include <algorithm>

#include "ir/keys.h"

namespace moe::frontend {
namespace {

class Finder {
 public:
  explicit Finder(const ir::Policy& policy) : policy_(policy) {}

  InForce find() {
    add_cache(policy_.cache);
    add_prefetch(policy_.prefetch);
    add_schedule(policy_.schedule);
    found_.answers_always = !policy_.schedule.on_miss.value.empty();
    for (const ir::Band& band : policy_.bands) {
      add(band.overrides);
      if (band.tiers) add_tiers(*band.tiers);
    }
    for (const ir::PhaseRule& phase : policy_.phases) add(phase.overrides);
    for (const ir::AdaptRule& rule : policy_.adapt) {
      add(rule.condition);
      add(rule.actions);
    }
    for (const ir::Choose& choose : policy_.choose) add(choose.reward);
    if (policy_.tiers) add_tiers(*policy_.tiers);
    if (policy_.memory) {
      add(policy_.memory->on_warn);
      add(policy_.memory->on_shed);
    }
    return std::move(found_);
  }

 private:
  void add(const ir::Expr& expr) {
    if (expr.empty()) return;
    found_.exprs.push_back(&expr);
    for (const ir::ExprNode& node : expr.nodes) {
      if (node.op == ir::ExprOp::variable) found_.variables.set(static_cast<size_t>(node.variable));
    }
  }

  void add(const ir::EvictionRule& rule, ir::SourceSpan span) {
    found_.evictions.push_back({&rule, span});
    add(rule.value);
    for (const ir::EvictionRule& segment : rule.segments) {  // none of them segmented
      found_.evictions.push_back({&segment, span});
      add(segment.value);
    }
  }

  void add(const std::vector<ir::Arm>& arms) {
    found_.answers_misses = found_.answers_misses || !arms.empty();
    for (const ir::Arm& arm : arms) {
      add(arm.condition);
      found_.approximates = found_.approximates || arm.action >= ir::MissAction::degrade;
      found_.loads_behind = found_.loads_behind || arm.action == ir::MissAction::cpu_load;
    }
  }

  void add_cache(const ir::CacheRule& cache) {
    add(cache.eviction.value, cache.eviction.span);
    add(cache.admit.value.condition);
  }

  void add_prefetch(const ir::PrefetchRule& prefetch) {
    found_.strategies.push_back({&prefetch.strategy.value, prefetch.strategy.span});
    add(prefetch.strategy.value.value);
    add(prefetch.when.value);
    add(prefetch.admit.value.condition);
    if (prefetch.evict) add(prefetch.evict->value, prefetch.evict->span);
  }

  void add_schedule(const ir::ScheduleRule& schedule) {
    found_.modes.push_back({&schedule.mode.value, schedule.mode.span});
    add(schedule.on_miss.value);
    add(schedule.order.value);
    add_drop(schedule.drop.value);
    add(schedule.gpu_time.value);
    add(schedule.cpu_time.value);
    add(schedule.cpu_setup.value);
    add(schedule.load_time.value);
  }

  void add_drop(const ir::Expr& drop) {
    found_.approximates = found_.approximates || !drop.empty();
    add(drop);
  }

  void add_tiers(const ir::TiersRule& tiers) {
    for (const ir::Move& move : tiers.moves) add(move.condition);
    if (tiers.eviction) add(tiers.eviction->value, tiers.eviction->span);
    if (tiers.precision) add(tiers.precision->value.by);
  }

  void add(const std::vector<ir::RuleAction>& actions) {
    for (const ir::RuleAction& action : actions) {
      if (action.kind == ir::RuleAction::Kind::assign) add(action.assignment);
      found_.presses = found_.presses || action.kind == ir::RuleAction::Kind::trigger_pressure;
    }
  }

  void add(const std::vector<ir::Assignment>& assignments) {
    for (const ir::Assignment& assignment : assignments) add(assignment);
  }

  void add(const ir::Assignment& assignment) {
    found_.set.set(static_cast<size_t>(assignment.key));
    if (const auto* rule = std::get_if<ir::EvictionRule>(&assignment.value)) add(*rule, assignment.span);
    if (const auto* rule = std::get_if<ir::AdmitRule>(&assignment.value)) add(rule->condition);
    if (const auto* chain = std::get_if<ir::StrategyChain>(&assignment.value)) {
      found_.strategies.push_back({chain, assignment.span});
      add(chain->value);
    }
    if (const auto* mode = std::get_if<ir::ScheduleMode>(&assignment.value)) {
      found_.modes.push_back({mode, assignment.span});
    }
    if (const auto* arms = std::get_if<std::vector<ir::Arm>>(&assignment.value)) add(*arms);
    if (const auto* expr = std::get_if<ir::Expr>(&assignment.value)) {
      assignment.key == ir::Key::drop ? add_drop(*expr) : add(*expr);
    }
  }

  const ir::Policy& policy_;
  InForce found_;
};

template <class Places, class Value>
bool any_is(const Places& places, const Value& value) {
  return std::any_of(places.begin(), places.end(), [&](const auto& at) { return *at.value == value; });
}

std::string_view reader_in_cache(ir::Key key, const InForce& in, const ir::Policy& policy) {
  const bool counts = in.evicts_by(ir::Eviction::lfu) || in.reads(ir::Variable::freq) || in.reads(ir::Variable::seen);
  const bool scores = in.evicts_by(ir::Eviction::score) || in.reads(ir::Variable::score);
  const bool pressed =
      policy.cache.memory_threshold || in.presses || in.set[static_cast<size_t>(ir::Key::memory_threshold)];
  switch (key) {
    case ir::Key::frequency_decay:
    case ir::Key::decay_interval:
      return counts || in.asks(ir::Strategy::affinity) ? "" : "eviction = lfu";
    case ir::Key::score_ema_alpha:
      return scores ? "" : "eviction = score";
    case ir::Key::freq_threshold:
    case ir::Key::freq_window:
      return in.evicts_by(ir::Eviction::freq_threshold) ? "" : "eviction = freq_threshold";
    case ir::Key::memory_budget_gb:
    case ir::Key::memory_headroom:
      return pressed ? "" : "memory_threshold";
    default:
      return "";
  }
}

// Preloading, `pin = hottest(...)`, affinity and the learner read a profile.
bool reads_profile(const InForce& in, const ir::Policy& policy) {
  const auto hottest = [](const std::vector<ir::Sourced<ir::Pin>>& pins) {
    return std::any_of(pins.begin(), pins.end(),
                       [](const auto& pin) { return pin.value.kind == ir::Pin::Kind::hottest; });
  };
  const auto in_band = [&](const ir::Band& band) {
    return (band.pins && hottest(*band.pins)) || (band.preload && hottest(*band.preload));
  };
  return in.asks(ir::Strategy::affinity) || hottest(policy.cache.pins) || hottest(policy.cache.preload) ||
         std::any_of(policy.bands.begin(), policy.bands.end(), in_band) || policy.learn;
}

// affinity and learned name the next layer.
bool looks_ahead(const InForce& in) {
  using ir::Strategy;
  return in.asks(Strategy::history) || in.asks(Strategy::lookahead) || in.asks(Strategy::gate) ||
         in.asks(Strategy::sequence) || in.asks(Strategy::trajectory) || in.asks(Strategy::most);
}

std::string_view reader_in_prefetch(ir::Key key, const InForce& in, const ir::Policy& policy) {
  switch (key) {
    case ir::Key::history_window:
      return in.asks(ir::Strategy::history) || in.asks(ir::Strategy::lookahead) ? "" : "strategy = history";
    case ir::Key::affinity_threshold:
      return in.asks(ir::Strategy::affinity) ? "" : "strategy = affinity";
    case ir::Key::store:
      return in.asks(ir::Strategy::sequence) || in.asks(ir::Strategy::trajectory) ? "" : "strategy = sequence";
    case ir::Key::profile:
      return reads_profile(in, policy) ? "" : "strategy = affinity";
    case ir::Key::lookahead:
      return looks_ahead(in) ? "" : "strategy = lookahead";
    case ir::Key::prefetch_evict:
      if (!in.asks_any()) return "strategy";
      return policy.prefetch.side_buffer.value && !in.set[static_cast<size_t>(ir::Key::side_buffer)]
                 ? "side_buffer = false"
                 : "";
    case ir::Key::budget:
    case ir::Key::min_probability:
    case ir::Key::bandwidth:
    case ir::Key::cancel_stale:
    case ir::Key::prefetch_when:
    case ir::Key::prefetch_admit:
    case ir::Key::top:
    case ir::Key::side_buffer:
      return in.asks_any() ? "" : "strategy";
    default:
      return "";
  }
}

}  // namespace

bool InForce::evicts_by(ir::Eviction rule) const { return any_is(evictions, rule); }

bool InForce::asks(ir::Strategy strategy) const {
  return std::any_of(strategies.begin(), strategies.end(), [&](const auto& at) { return at.value->has(strategy); });
}

bool InForce::asks_any() const {
  return std::any_of(strategies.begin(), strategies.end(), [](const auto& at) { return !at.value->is_none(); });
}

bool InForce::runs(ir::ScheduleMode mode) const { return !answers_always && any_is(modes, mode); }

InForce find_in_force(const ir::Policy& policy) { return Finder(policy).find(); }

std::string_view missing_reader(ir::Key key, const InForce& in_force, const ir::Policy& policy) {
  switch (key) {
    case ir::Key::mode:
      return in_force.answers_always ? "a policy without `on miss`" : "";
    case ir::Key::offload_threshold_ms:
      return in_force.runs(ir::ScheduleMode::hybrid) ? "" : "mode = hybrid";
    case ir::Key::gpu_time:
    case ir::Key::cpu_time:
    case ir::Key::cpu_setup:
    case ir::Key::load_time:
      return in_force.runs(ir::ScheduleMode::balance) ? "" : "mode = balance";
    case ir::Key::loads_in_order:
      return policy.schedule.max_loads || in_force.set[static_cast<size_t>(ir::Key::max_loads)] ? "" : "max_loads";
    case ir::Key::arrival:
      return in_force.loads_behind || in_force.runs(ir::ScheduleMode::cpu_fallback) ? "" : "cpu_load";
    case ir::Key::approximate:
      return in_force.approximates ? "" : "an action of `on miss` that changes the output, or drop";
    default:
      break;
  }
  const std::string_view cache = reader_in_cache(key, in_force, policy);
  return cache.empty() ? reader_in_prefetch(key, in_force, policy) : cache;
}

}  // namespace moe::frontend
