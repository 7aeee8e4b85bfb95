// SPDX-License-Identifier: Apache-2.0
// What differs in a phase, in a band, and what adapts when.
#include <fmt/format.h>

#include <algorithm>

#include "ir/bind_capacity.h"
#include "ir/explain_parts.h"

namespace moe::ir::plain {
namespace {

bool is_guess(Key key) {
  return key == Key::strategy || key == Key::budget || key == Key::lookahead || key == Key::history_window ||
         key == Key::affinity_threshold || key == Key::store;
}

bool is_written(const Assignment& assignment) {
  // A default that follows another value of the same block is put there by the frontend: nobody wrote it.
  const bool follows = assignment.key == Key::budget || assignment.key == Key::memory_headroom;
  return !(follows && assignment.span.is_default());
}

// The clauses of some overrides. A strategy's clause says its budget and windows too, the arms' what a mode would.
std::vector<std::string> clauses(Rules rules, const std::vector<const Assignment*>& overrides, Scope scope) {
  for (const Assignment* assignment : overrides) assign(rules, *assignment);
  const auto has = [&](Key key) {
    return std::any_of(overrides.begin(), overrides.end(), [key](const Assignment* a) { return a->key == key; });
  };
  std::vector<std::string> out;
  for (const Assignment* assignment : overrides) {
    const Key key = assignment->key;
    if (key == Key::approximate && has(Key::on_miss)) continue;
    if (is_guess(key) && key != Key::strategy && has(Key::strategy)) continue;
    if ((key == Key::mode || key == Key::offload_threshold_ms) && has(Key::on_miss)) continue;
    if (key == Key::offload_threshold_ms && has(Key::mode)) continue;
    std::string text = clause(key, rules, scope);
    if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
  }
  return out;
}

std::vector<const Assignment*> written(const std::vector<Assignment>& overrides) {
  std::vector<const Assignment*> out;
  for (const Assignment& assignment : overrides) {
    if (is_written(assignment)) out.push_back(&assignment);
  }
  return out;
}

// Assignments together, so that one sentence sees what the others set; then what is done once.
std::string done(const Policy& policy, const std::vector<RuleAction>& actions) {
  std::vector<const Assignment*> overrides;
  for (const RuleAction& action : actions) {
    if (action.kind == RuleAction::Kind::assign && is_written(action.assignment)) {
      overrides.push_back(&action.assignment);
    }
  }
  std::vector<std::string> out = clauses(rules_of(policy), overrides, scope_of(policy));
  for (const RuleAction& action : actions) {
    switch (action.kind) {
      case RuleAction::Kind::assign:
        break;
      case RuleAction::Kind::use:
        out.push_back(fmt::format("policy `{}` is put in force", action.name));
        break;
      case RuleAction::Kind::rebalance:
        out.push_back(fmt::format("the slots are shared anew among the layers ({})", to_word(action.allocation)));
        break;
      case RuleAction::Kind::trigger_pressure:
        out.push_back("experts leave as under memory pressure");
        break;
      case RuleAction::Kind::signal:
        out.push_back(fmt::format("the engine is told `{}`", action.name));
        break;
    }
  }
  return fmt::format("{}", fmt::join(out, "; "));
}

std::string_view unit_of(AdaptRule::Unit unit) {
  switch (unit) {
    case AdaptRule::Unit::accesses:
      return "access";
    case AdaptRule::Unit::dispatches:
      return "dispatch";
    case AdaptRule::Unit::tokens:
      break;
  }
  return "token";
}

bool lasts(const std::vector<RuleAction>& actions) {
  return std::any_of(actions.begin(), actions.end(), [](const RuleAction& action) {
    return action.kind == RuleAction::Kind::assign || action.kind == RuleAction::Kind::use;
  });
}

std::string rule_sentence(const Policy& policy, const AdaptRule& rule, size_t number) {
  const bool at_once = rule.stretch.value == 1 && rule.unit == AdaptRule::Unit::dispatches;
  const std::string stretch = count(rule.stretch.value, unit_of(rule.unit));
  const std::string when =
      at_once ? code(rule.condition) : fmt::format("{} has held for {}", code(rule.condition), stretch);
  std::string text = fmt::format("Rule {}: ", number);
  if (!lasts(rule.actions)) {
    text += fmt::format("as soon as {}: {}", when, done(policy, rule.actions));
  } else if (!rule.revert) {
    text += fmt::format("as soon as {}, and from then on: {}", when, done(policy, rule.actions));
  } else if (at_once) {
    text += fmt::format("while {}: {}", when, done(policy, rule.actions));
  } else {
    text += fmt::format("once {}, until it has not held for as long: {}", when, done(policy, rule.actions));
  }
  if (rule.cooldown.value > 0) {
    text += fmt::format("; after that the rule rests for {}", count(rule.cooldown.value, "dispatch"));
  }
  return text + ".";
}

std::string choose_sentence(const Choose& choose) {
  std::vector<std::string> names;
  for (const Sourced<std::string>& policy : choose.policies) names.push_back(fmt::format("`{}`", policy.value));
  std::string text = fmt::format(
      "Every {} one of {} is put in force: each is tried once, then the one with the best mean of {} in this phase",
      count(choose.every.value, "dispatch"), list(names), code(choose.reward));
  if (choose.explore.value > 0) text += fmt::format(", or in {} of the cases any, by lot", share(choose.explore.value));
  return text + ".";
}

}  // namespace

Sentences phases(const Policy& policy) {
  Sentences out;
  for (const PhaseRule& phase : policy.phases) {
    const std::string_view name =
        phase.phase == Phase::prefill ? "While a prompt is read (prefill)" : "While tokens are generated (decode)";
    const auto changed = clauses(rules_of(policy), written(phase.overrides), scope_of(policy));
    for (const std::string& text : changed) out.push_back(fmt::format("{}, {}.", name, text));
  }
  return out;
}

Sentences bands(const Policy& policy) {
  Sentences out;
  for (const Band& band : policy.bands) {
    const std::string name = band.first == band.last ? fmt::format("In layer {}", band.first)
                                                     : fmt::format("In layers {} to {}", band.first, band.last);
    for (const std::string& text : clauses(rules_of(policy), written(band.overrides), scope_of(policy))) {
      out.push_back(fmt::format("{}, {}.", name, text));
    }
    if (band.pins) out.push_back(fmt::format("{}, pinned: {}.", name, experts(*band.pins)));
    if (band.preload) out.push_back(fmt::format("{}, loaded at start: {}.", name, experts(*band.preload)));
    if (!band.tiers) continue;
    for (const std::string& text : tiers(*band.tiers)) out.push_back(fmt::format("{}: {}", name, text));
  }
  return out;
}

Sentences adapts(const Policy& policy) {
  Sentences out;
  for (size_t i = 0; i < policy.adapt.size(); ++i) out.push_back(rule_sentence(policy, policy.adapt[i], i + 1));
  for (const Choose& choose : policy.choose) out.push_back(choose_sentence(choose));
  if (policy.adapt.size() > 1) out.push_back("Where two rules set the same, the later one wins.");
  return out;
}

Sentences memory(const Policy& policy) {
  Sentences out;
  if (!policy.memory) return out;
  const MemoryRule& memory = *policy.memory;
  if (memory.budget) {
    std::string text = fmt::format("the fast tier may take {}", size(static_cast<double>(memory.budget->value)));
    if (memory.kv_reserve.value > 0) {
      text += fmt::format(", of which {} are held back for keys and values",
                          size(static_cast<double>(memory.kv_reserve.value)));
    }
    out.push_back(sentence(text));
  }
  const auto add = [&](double at, const std::vector<RuleAction>& actions) {
    if (actions.empty()) return;
    out.push_back(sentence(fmt::format("while {} of it or more is taken: {}", share(at), done(policy, actions))));
  };
  add(memory.warn.value, memory.on_warn);
  add(memory.shed.value, memory.on_shed);
  return out;
}

}  // namespace moe::ir::plain
