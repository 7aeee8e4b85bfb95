// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "frontend/check_adapt.h"
#include "frontend/limits.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class AlternativeChecker {
 public:
  AlternativeChecker(const ir::Policy& policy, ir::Diagnostics& diagnostics)
      : policy_(policy), diagnostics_(diagnostics) {}

  void check() {
    for (const ir::AdaptRule& rule : policy_.adapt) check(rule.actions);
    for (const ir::Choose& choose : policy_.choose) {
      for (const auto& name : choose.policies) check(name.value, name.span);
    }
    if (!policy_.memory) return;
    check(policy_.memory->on_warn);
    check(policy_.memory->on_shed);
  }

 private:
  void check(const std::vector<ir::RuleAction>& actions) {
    for (const ir::RuleAction& action : actions) {
      if (action.kind == ir::RuleAction::Kind::use) check(action.name, action.span);
    }
  }

  void check(const std::string& name, ir::SourceSpan span) {
    if (name == policy_.name.value || !seen_.insert(name).second || too_many(diagnostics_)) return;
    const auto found = std::find_if(policy_.alternatives.begin(), policy_.alternatives.end(),
                                    [&](const ir::Policy& other) { return other.name.value == name; });
    if (found == policy_.alternatives.end()) return;  // its mistakes have been reported
    if (found->cache.scope.value != policy_.cache.scope.value) {
      diagnostics_.error("MOE2157", span,
                         fmt::format("{} has `scope = {}`, and the scope is fixed while a policy runs", quote(name),
                                     to_word(found->cache.scope.value)),
                         fmt::format("write `scope = {}` in both", to_word(policy_.cache.scope.value)));
    }
    check_layout(*found, span);
  }

  // Only decisions change: what says how the policy is laid out stays that of the policy that runs.
  void check_layout(const ir::Policy& other, ir::SourceSpan span) {
    std::vector<std::string_view> kept;
    if (!other.cache.pins.empty() && !(other.cache.pins == policy_.cache.pins)) kept.push_back("pin");
    if (!other.cache.preload.empty() && !(other.cache.preload == policy_.cache.preload)) kept.push_back("preload");
    if (other.tiers && !(other.tiers == policy_.tiers)) kept.push_back("tiers");
    if (other.per_layer && !(other.per_layer == policy_.per_layer)) kept.push_back("per_layer");
    if (other.learn && !policy_.learn) {
      diagnostics_.error("MOE2135", span,
                         fmt::format("{} learns, so this policy needs a `learn` block too", quote(other.name.value)),
                         "add `learn { window = 24 }`");
    } else if (other.learn && !(other.learn == policy_.learn)) {
      kept.push_back("learn");
    }
    if (other.memory && !same_memory(*other.memory)) kept.push_back("memory");
    if (kept.empty()) return;
    diagnostics_.warning("MOE2158", span,
                         fmt::format("{} of {} stays out of force: only its decisions are used",
                                     list_words(kept, "and"), quote(other.name.value)),
                         "write the same in this policy");
  }

  // Actions are rules, and those of an alternative are left out.
  bool same_memory(const ir::MemoryRule& other) const {
    if (!policy_.memory) return false;
    ir::MemoryRule own = *policy_.memory;
    own.on_warn = other.on_warn;
    own.on_shed = other.on_shed;
    return own == other;
  }

  const ir::Policy& policy_;
  ir::Diagnostics& diagnostics_;
  std::set<std::string> seen_;
};

}  // namespace

void check_alternatives(const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  AlternativeChecker(policy, diagnostics).check();
}

}  // namespace moe::frontend
