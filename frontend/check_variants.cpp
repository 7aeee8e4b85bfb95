// SPDX-License-Identifier: Apache-2.0
// Numbers are parameters of one kernel; what selects code must be compiled before it can be needed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "frontend/check_adapt.h"
#include "frontend/limits.h"
#include "frontend/text.h"
#include "ir/keys.h"

namespace moe::frontend {
namespace {

constexpr std::array kCodeKeys = {
    ir::Key::eviction,       ir::Key::admit,    ir::Key::strategy,  ir::Key::prefetch_when, ir::Key::prefetch_admit,
    ir::Key::prefetch_evict, ir::Key::mode,     ir::Key::on_miss,   ir::Key::order,         ir::Key::drop,
    ir::Key::gpu_time,       ir::Key::cpu_time, ir::Key::cpu_setup, ir::Key::load_time};

/// The policy in use and the value of each of kCodeKeys, as a number: 0 is that policy's own.
using Variant = std::array<uint16_t, kCodeKeys.size() + 1>;

class VariantCounter {
 public:
  explicit VariantCounter(const ir::Policy& policy) : policy_(policy) {
    start_.insert(Variant{});
    for (const ir::Choose& choose : policy.choose) {
      for (const auto& name : choose.policies) start_.insert(Variant{number_of(name.value)});
    }
    reached_ = start_;
  }

  /// The rule at which there are too many; nullptr: there are not. Any set of rules may be active at once.
  const ir::RuleAction* find_excess() {
    if (reached_.size() > kMaxVariants) return &policy_.adapt.front().actions.front();
    for (const ir::AdaptRule& rule : policy_.adapt) {
      if (const ir::RuleAction* excess = apply(rule.actions)) return excess;
    }
    if (!policy_.memory) return nullptr;
    if (const ir::RuleAction* excess = apply(policy_.memory->on_warn)) return excess;
    return apply(policy_.memory->on_shed);
  }

  /// The rules that count, as they were written.
  const std::vector<ir::SourceSpan>& rules() const { return rules_; }

 private:
  const ir::RuleAction* apply(const std::vector<ir::RuleAction>& actions) {
    std::set<Variant> changed;
    const ir::RuleAction* last = nullptr;
    for (Variant variant : reached_) {
      for (const ir::RuleAction& action : actions) {
        if (change(variant, action)) last = &action;
      }
      changed.insert(variant);
    }
    if (last == nullptr) return nullptr;
    rules_.push_back(last->span);
    reached_.insert(changed.begin(), changed.end());
    return reached_.size() > kMaxVariants ? last : nullptr;
  }

  bool change(Variant& variant, const ir::RuleAction& action) {
    if (action.kind == ir::RuleAction::Kind::use) {
      variant[0] = number_of(action.name);
      return true;
    }
    if (action.kind != ir::RuleAction::Kind::assign) return false;
    const auto* key = std::find(kCodeKeys.begin(), kCodeKeys.end(), action.assignment.key);
    if (key == kCodeKeys.end()) return false;
    variant[static_cast<size_t>(key - kCodeKeys.begin()) + 1] = number_of(action.assignment);
    return true;
  }

  uint16_t number_of(const std::string& policy) {
    if (policy == policy_.name.value) return 0;
    return static_cast<uint16_t>(policies_.emplace(policy, policies_.size() + 1).first->second);
  }

  // Equal values have equal text. The policy's own value is 0 only of the policy that the rule stands in.
  uint16_t number_of(const ir::Assignment& assignment) {
    std::map<std::string, size_t>& known = values_[static_cast<size_t>(assignment.key)];
    if (policy_.alternatives.empty() && ir::get(policy_.rules(), assignment.key) == assignment.value) return 0;
    return static_cast<uint16_t>(
        known.emplace(ir::print_value(assignment.key, assignment.value), known.size() + 1).first->second);
  }

  const ir::Policy& policy_;
  std::set<Variant> start_;
  std::set<Variant> reached_;
  std::map<std::string, size_t> policies_;
  std::array<std::map<std::string, size_t>, ir::kNumKeys> values_;
  std::vector<ir::SourceSpan> rules_;
};

}  // namespace

void check_variants(const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  if (policy.adapt.empty() && !policy.memory) return;
  VariantCounter counter(policy);
  const ir::RuleAction* excess = counter.find_excess();
  if (excess == nullptr) return;
  auto& error = diagnostics.error(
      "MOE2154", excess->span,
      fmt::format("the rules of {} reach more than {} variants of code", quote(policy.name.value), kMaxVariants),
      "let fewer rules change eviction, admit, strategy, evict, mode or the policy in use");
  if (counter.rules().empty() || counter.rules().front() == excess->span) return;
  error.related_span = counter.rules().front();
  error.related_message = fmt::format("the first of the {} rules that count is here", counter.rules().size());
}

}  // namespace moe::frontend
