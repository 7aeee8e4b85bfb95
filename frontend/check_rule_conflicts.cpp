// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frontend/check_adapt.h"
#include "frontend/condition_range.h"
#include "frontend/limits.h"
#include "frontend/text.h"
#include "ir/keys.h"

namespace moe::frontend {
namespace {

/// A rule that sets a key while a variable lies in a region.
struct Setter {
  const ir::AdaptRule* rule = nullptr;
  const ir::RuleAction* action = nullptr;
  Region region;
};

// Rules are compared with so many before them: enough for any policy that is read by people.
constexpr size_t kMostCompared = 16;

bool reaches_low_end(const Region& region) { return region.range.low <= range_of(region.variable).low; }
bool reaches_high_end(const Region& region) { return region.range.high >= range_of(region.variable).high; }

class ConflictChecker {
 public:
  explicit ConflictChecker(ir::Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  void check(const ir::Policy& policy) {
    for (const ir::AdaptRule& rule : policy.adapt) {
      const std::optional<Region> region = region_of(rule.condition);
      if (!region || region->is_empty()) continue;
      for (const ir::RuleAction& action : rule.actions) {
        if (action.kind == ir::RuleAction::Kind::assign && !action.span.is_default()) add({&rule, &action, *region});
      }
    }
  }

 private:
  void add(const Setter& later) {
    std::vector<Setter>& earlier = setters_[static_cast<size_t>(later.action->assignment.key)];
    const size_t first = earlier.size() > kMostCompared ? earlier.size() - kMostCompared : 0;
    for (size_t i = first; i < earlier.size() && !too_many(diagnostics_); ++i) compare(earlier[i], later);
    earlier.push_back(later);
  }

  void compare(const Setter& earlier, const Setter& later) {
    const Region& a = earlier.region;
    const Region& b = later.region;
    if (earlier.rule == later.rule) return;  // a key twice in one rule has been reported
    if (a.variable != b.variable || earlier.action->assignment.value == later.action->assignment.value) return;
    if (b.contains(a)) {
      if (hides(*earlier.rule, *later.rule)) report_hidden(earlier, later);
      return;
    }
    if (a.contains(b)) return;  // a step further: the later rule wins while both hold
    const bool a_below = reaches_low_end(a) && reaches_high_end(b);
    const bool b_below = reaches_low_end(b) && reaches_high_end(a);
    if (a_below && a.range.high >= b.range.low) report_no_gap(earlier, later, b.range.low);
    if (b_below && b.range.high >= a.range.low) report_no_gap(earlier, later, a.range.low);
  }

  // With a longer stretch or a cooldown the later rule may come after the earlier one's effect has been seen.
  static bool hides(const ir::AdaptRule& earlier, const ir::AdaptRule& later) {
    const bool sooner =
        later.stretch.value == 1 || (later.unit == earlier.unit && later.stretch.value <= earlier.stretch.value);
    return sooner && later.cooldown.value <= earlier.cooldown.value;
  }

  void report_hidden(const Setter& earlier, const Setter& later) {
    const std::string key = quote(ir::info_of(earlier.action->assignment.key).name);
    auto& warning =
        diagnostics_.warning("MOE2153", earlier.action->span,
                             fmt::format("this has no effect: whenever the rule fires, a later one sets {} too", key),
                             "remove one of the two, or put the wider condition first");
    warning.related_span = later.action->span;
    warning.related_message = "the later rule is here";
  }

  void report_no_gap(const Setter& earlier, const Setter& later, double at) {
    const std::string name = quote(to_word(later.region.variable));
    auto& warning = diagnostics_.warning(
        "MOE2152", later.rule->condition.span(),
        fmt::format("this rule and an earlier one undo each other: no value of {} leaves both alone", name),
        fmt::format("leave a gap around {}, so that {} settles", number_text(at), name));
    warning.related_span = earlier.rule->condition.span();
    warning.related_message = "the earlier rule is here";
  }

  ir::Diagnostics& diagnostics_;
  std::array<std::vector<Setter>, ir::kNumKeys> setters_;
};

}  // namespace

void check_rule_conflicts(const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  ConflictChecker(diagnostics).check(policy);
}

}  // namespace moe::frontend
