// SPDX-License-Identifier: Apache-2.0
// Why the model's output can or cannot change, and why two runs decide alike or not. The verdicts are exactness() and
// timing_free(); here are their reasons.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/explain_parts.h"
#include "ir/visit.h"

namespace moe::ir::plain {
namespace {

// Under the policy or one of its alternatives.
bool can_be(const Policy& policy, Key key, const std::function<bool(const KeyValue&)>& test) {
  bool found = false;
  const auto visit = [&](const KeyValue& value) { found = found || test(value); };
  visit_values(policy, key, visit);
  for (const Policy& other : policy.alternatives) visit_values(other, key, visit);
  return found;
}

bool is_set(const KeyValue& value) {
  if (const auto* expr = std::get_if<Expr>(&value)) return !expr->empty();
  return !std::holds_alternative<std::monostate>(value);
}

bool has_action(const Policy& policy, MissAction wanted) {
  return can_be(policy, Key::on_miss, [wanted](const KeyValue& value) {
    const auto& arms = std::get<std::vector<Arm>>(value);
    return std::any_of(arms.begin(), arms.end(), [wanted](const Arm& arm) { return arm.action == wanted; });
  });
}

bool has_mode(const Policy& policy, ScheduleMode wanted) {
  const auto reads_mode = [](const Policy& p) { return p.schedule.on_miss.value.empty(); };
  const bool read =
      reads_mode(policy) || std::any_of(policy.alternatives.begin(), policy.alternatives.end(), reads_mode);
  return read &&
         can_be(policy, Key::mode, [wanted](const KeyValue& value) { return std::get<ScheduleMode>(value) == wanted; });
}

bool has_mode_with_host(const Policy& policy) {
  return has_mode(policy, ScheduleMode::cpu_fallback) || has_mode(policy, ScheduleMode::hybrid) ||
         has_mode(policy, ScheduleMode::balance);
}

bool converts(const TiersRule& tiers) {
  return tiers.precision || std::any_of(tiers.tiers.begin(), tiers.tiers.end(),
                                        [](const Tier& tier) { return tier.dtype.value != Dtype::as_stored; });
}

bool converts(const Policy& policy) {
  if (policy.tiers && converts(*policy.tiers)) return true;
  if (std::any_of(policy.bands.begin(), policy.bands.end(),
                  [](const Band& band) { return band.tiers && converts(*band.tiers); })) {
    return true;
  }
  return std::any_of(policy.alternatives.begin(), policy.alternatives.end(),
                     [](const Policy& other) { return other.tiers && converts(*other.tiers); });
}

std::vector<std::string> reasons_of_change(const Policy& policy) {
  std::vector<std::string> out;
  if (can_be(policy, Key::drop, is_set)) out.emplace_back("selected experts can be left out (`drop`)");
  if (has_action(policy, MissAction::degrade)) out.emplace_back("a miss can use a copy of lower precision (`degrade`)");
  if (has_action(policy, MissAction::shared)) out.emplace_back("the shared expert can stand in (`shared`)");
  if (has_action(policy, MissAction::skip)) out.emplace_back("a missing expert can be left out (`skip`)");
  if (converts(policy)) out.emplace_back("a tier keeps weights in another precision than they are stored in");
  return out;
}

std::vector<std::string> reasons_for_host(const Policy& policy) {
  std::vector<std::string> out;
  if (has_action(policy, MissAction::cpu) || has_action(policy, MissAction::cpu_load) || has_mode_with_host(policy)) {
    out.emplace_back("a miss can be computed on the host");
  }
  if (can_be(policy, Key::deadline, is_set))
    out.emplace_back("a load that is too slow can end on the host (`deadline`)");
  if (can_be(policy, Key::max_loads, is_set)) out.emplace_back("a load too many can end on the host (`max_loads`)");
  return out;
}

// What expressions read that clocks, links and memory decide.
std::vector<std::string> measured_variables(const Policy& policy) {
  std::set<Variable> read;
  visit_exprs(policy, [&](const Expr& expr) {
    for (const ExprNode& node : expr.nodes) {
      const bool reads = node.op == ExprOp::variable || node.op == ExprOp::avg_over || node.op == ExprOp::max_over ||
                         node.op == ExprOp::trend;
      if (reads && is_measured(node.variable)) read.insert(node.variable);
    }
  });
  std::vector<std::string> names;
  for (const Variable variable : read) names.push_back(fmt::format("`{}`", to_word(variable)));
  return names;
}

std::vector<std::string> reasons_of_timing(const Policy& policy) {
  std::vector<std::string> out;
  const std::vector<std::string> variables = measured_variables(policy);
  if (!variables.empty())
    out.push_back(fmt::format("{} {} measured", list(variables), variables.size() == 1 ? "is" : "are"));
  if (has_mode(policy, ScheduleMode::hybrid)) out.emplace_back("`hybrid` compares measured costs");
  const auto unset = [](const KeyValue& value) { return !is_set(value); };
  if (has_mode(policy, ScheduleMode::balance) &&
      (can_be(policy, Key::gpu_time, unset) || can_be(policy, Key::cpu_time, unset) ||
       can_be(policy, Key::load_time, unset))) {
    out.emplace_back("`balance` reckons with measured costs");
  }
  if (can_be(policy, Key::deadline, is_set)) out.emplace_back("`deadline` compares measured times");
  const bool reacts = policy.memory && !(policy.memory->on_warn.empty() && policy.memory->on_shed.empty());
  if (reacts) out.emplace_back("the engine tells how much memory keys and values take");
  if (!can_be(policy, Key::strategy, [](const KeyValue& v) { return !std::get<StrategyChain>(v).is_none(); }))
    return out;
  if (can_be(policy, Key::cancel_stale, [](const KeyValue& v) { return std::get<bool>(v); })) {
    out.emplace_back("whether a prefetch started before its layer had passed depends on the link (`cancel_stale`)");
  }
  const bool leaves_in_use =
      can_be(policy, Key::protect_selected, [](const KeyValue& v) { return !std::get<bool>(v); }) ||
      can_be(policy, Key::eviction,
             [](const KeyValue& v) { return std::get<EvictionRule>(v).kind == Eviction::freq_threshold; });
  if (leaves_in_use) {
    out.emplace_back(
        "an expert can have to leave while it is in use, and a prefetch may then find its slot not yet free");
  }
  return out;
}

}  // namespace

Sentences exact(const Policy& policy, Exactness exactness) {
  switch (exactness) {
    case Exactness::exact:
      return {
          "Exact: every expert that the router selects is computed with its own weights on the accelerator, so the "
          "output is the same bits as with all experts resident."};
    case Exactness::exact_on_host:
      return {
          sentence(fmt::format("exact on the host: {}. Where all runs on the host the output is the same bits as with "
                               "all experts resident; on "
                               "an accelerator the host rounds otherwise",
                               list(reasons_for_host(policy))))};
    case Exactness::approximate:
      break;
  }
  return {sentence(fmt::format("approximate: the output can differ from that with all experts resident, because {}",
                               list(reasons_of_change(policy))))};
}

Sentences timing(const Policy& policy) {
  if (timing_free(policy)) {
    return {
        "Decisions follow from the routing alone (`timing_free`): two runs over the same tokens decide alike, and a "
        "replay decides as a live run does."};
  }
  return {sentence(fmt::format("two runs over the same tokens may decide differently: {}",
                               fmt::join(reasons_of_timing(policy), "; ")))};
}

}  // namespace moe::ir::plain
