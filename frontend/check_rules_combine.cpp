// SPDX-License-Identifier: Apache-2.0
// Rules are active in any combination that their conditions allow: what they write must hold together with the base,
// the phases and bands, and with each other. No rule may fail in flight.
#include <algorithm>

#include "frontend/check_adapt.h"
#include "frontend/condition_range.h"
#include "frontend/limits.h"
#include "frontend/together.h"

namespace moe::frontend {
namespace {

/// The assignments of a rule, or of an action of memory.
struct Source {
  std::vector<ir::Assignment> overrides;
  const ir::AdaptRule* rule = nullptr;  ///< nullptr: of memory
  bool in_prefill = true;               ///< it can be active there
  bool in_decode = true;
  bool is_judged = false;  ///< sets something that Facts has
};

// Two rules that take themselves back at once are not active together when no value is in both of their conditions.
bool exclude_each_other(const Source& a, const Source& b) {
  if (a.rule == nullptr || b.rule == nullptr || !a.rule->revert || !b.rule->revert) return false;
  if (a.rule->stretch.value != 1 || b.rule->stretch.value != 1) return false;
  const std::optional<Region> first = region_of(a.rule->condition);
  const std::optional<Region> second = region_of(b.rule->condition);
  return first && second && first->variable == second->variable && !first->meets(*second);
}

class Combiner {
 public:
  Combiner(ir::Policy& policy, ir::Diagnostics& diagnostics)
      : policy_(policy), diagnostics_(diagnostics), fetches_(find_in_force(policy).asks_any()), judge_(diagnostics) {}

  void check() {
    const Facts base = facts_of(policy_);
    for (ir::AdaptRule& rule : policy_.adapt) add(base, rule.actions, &rule);
    if (policy_.memory) {
      add(base, policy_.memory->on_warn, nullptr);
      add(base, policy_.memory->on_shed, nullptr);
    }
    check_over(policy_);
    for (const ir::Policy& other : policy_.alternatives) check_over(other);
  }

 private:
  void add(const Facts& base, std::vector<ir::RuleAction>& actions, const ir::AdaptRule* rule) {
    Source source;
    source.rule = rule;
    for (const ir::RuleAction& action : actions) {
      if (action.kind == ir::RuleAction::Kind::assign) source.overrides.push_back(action.assignment);
    }
    const size_t num_written = source.overrides.size();
    append_defaults(base, fetches_, source.overrides);
    for (size_t i = num_written; i < source.overrides.size(); ++i) {
      ir::RuleAction implied;
      implied.assignment = source.overrides[i];
      actions.push_back(std::move(implied));
    }
    if (rule != nullptr) {
      source.in_prefill = outcomes_of(rule->condition, ir::Phase::prefill).can_hold;
      source.in_decode = outcomes_of(rule->condition, ir::Phase::decode).can_hold;
    }
    source.is_judged = std::any_of(source.overrides.begin(), source.overrides.end(),
                                   [](const ir::Assignment& a) { return is_judged(a.key); });
    // A rule that never fires has been warned of.
    if (source.is_judged && (source.in_prefill || source.in_decode)) sources_.push_back(std::move(source));
  }

  void check_over(const ir::Policy& policy) {
    const Facts base = facts_of(policy);
    for (size_t i = 0; i < sources_.size() && !too_many(diagnostics_); ++i) {
      const Facts one = with(base, sources_[i]);
      judge_.judge(one);
      for (const ir::Band& band : policy.bands) judge_.judge(with(base, band.overrides, sources_[i]));
      for (const ir::PhaseRule& phase : policy.phases) {
        const bool possible = phase.phase == ir::Phase::prefill ? sources_[i].in_prefill : sources_[i].in_decode;
        if (possible) judge_.judge(with(base, phase.overrides, sources_[i]));
      }
      for (size_t j = i + 1; j < sources_.size(); ++j) {
        if (!exclude_each_other(sources_[i], sources_[j])) judge_.judge(with(one, sources_[j]));
      }
    }
  }

  static Facts with(Facts facts, const Source& source) {
    facts.apply(source.overrides);
    return facts;
  }
  static Facts with(Facts facts, const std::vector<ir::Assignment>& overrides, const Source& source) {
    facts.apply(overrides);
    facts.apply(source.overrides);
    return facts;
  }

  ir::Policy& policy_;
  ir::Diagnostics& diagnostics_;
  bool fetches_;
  Judge judge_;
  std::vector<Source> sources_;
};

}  // namespace

void check_rules_combine(ir::Policy& policy, ir::Diagnostics& diagnostics) {
  if (policy.adapt.empty() && !policy.memory) return;
  Combiner(policy, diagnostics).check();
}

void check_adapt(ir::Policy& policy, ir::Diagnostics& diagnostics) {
  check_rules_combine(policy, diagnostics);
  check_rules_matter(policy, diagnostics);
  check_rule_conflicts(policy, diagnostics);
  check_alternatives(policy, diagnostics);
  check_variants(policy, diagnostics);
}

}  // namespace moe::frontend
