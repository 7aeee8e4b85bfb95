// SPDX-License-Identifier: Apache-2.0
// schedule { on miss { when E -> action  else -> action } }
#include <fmt/format.h>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/lower_expr.h"
#include "frontend/lower_rules.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

constexpr std::string_view kActions = "load cpu cpu_load degrade shared skip";
constexpr std::string_view kApproximateActions = "degrade shared skip";

class MissChecker {
 public:
  MissChecker(const CheckContext& context, bool approximate) : context_(context), approximate_(approximate) {}

  std::vector<ir::Arm> check(const ast::Block& rule) {
    if (rule.items.empty() && !rule.broken) {
      context_.diagnostics.error("MOE2009", rule.span, "`on miss` is empty", "write `else -> load` between its braces");
    }
    for (const ast::Item& item : rule.items) {
      if (too_many(context_.diagnostics)) break;
      if (const auto* arm = std::get_if<ast::Arm>(&item.node)) {
        check_arm(*arm);
      } else {
        std::visit([this](const auto& node) { misplaced(node.span); }, item.node);
      }
    }
    if (!rule.broken && !rule.items.empty() && else_.is_default()) {
      context_.diagnostics.error("MOE2118", rule.span, "`on miss` has no `else`", "end it with `else -> load`");
    }
    return std::move(arms_);
  }

 private:
  void misplaced(ir::SourceSpan span) {
    context_.diagnostics.error("MOE2020", span,
                               "`on miss` holds arms: `when condition -> action` and `else -> action`");
  }

  void check_arm(const ast::Arm& arm) {
    if (!else_.is_default()) {
      auto& error =
          context_.diagnostics.error("MOE2118", arm.span, "no arm after `else` is ever reached", "move it up");
      error.related_span = else_;
      error.related_message = "`else` is here";
    }
    ir::Arm lowered;
    lowered.span = arm.span;
    if (arm.condition) {
      if (auto condition = lower_condition(context_, *arm.condition, kMissPlace)) {
        check_constant_condition(context_, *condition, *arm.condition);
        lowered.condition = std::move(*condition);
      }
    } else {
      else_ = arm.span;
    }
    for (int i = 0; i <= static_cast<int>(ir::MissAction::skip); ++i) {
      if (to_word(static_cast<ir::MissAction>(i)) == arm.action.text) lowered.action = static_cast<ir::MissAction>(i);
    }
    arms_.push_back(std::move(lowered));
    const std::vector<std::string_view> actions = split_words(kActions);
    if (!contains_word(kActions, arm.action.text)) {
      context_.diagnostics.error("MOE2003", arm.action.span,
                                 fmt::format("{} is not an action of `on miss`", quote(arm.action.text)),
                                 suggest(arm.action.text, actions, "use " + list_words(actions)));
    } else if (contains_word(kApproximateActions, arm.action.text) && !approximate_) {
      context_.diagnostics.error("MOE2110", arm.action.span,
                                 fmt::format("{} changes the model's output", quote(arm.action.text)),
                                 "write `approximate = true` in `schedule` to allow it");
    }
  }

  const CheckContext& context_;
  bool approximate_;
  ir::SourceSpan else_;
  std::vector<ir::Arm> arms_;
};

}  // namespace

std::vector<ir::Arm> lower_arms(const CheckContext& context, const ast::Block& on_miss, bool approximate) {
  return MissChecker(context, approximate).check(on_miss);
}

std::optional<ir::Assignment> lower_on_miss(const CheckContext& context, const ast::Block& schedule, bool approximate) {
  std::optional<ir::Assignment> lowered;
  for (const ast::Item& item : schedule.items) {
    const auto* inner = std::get_if<ast::Block>(&item.node);
    if (inner == nullptr || inner->name.text != "on" || !inner->label || inner->label->text != "miss") continue;
    const ir::SourceSpan span{inner->name.span.begin, inner->label->span.end};
    std::vector<ir::Arm> arms = lower_arms(context, *inner, approximate);
    if (lowered) {
      auto& twice = context.diagnostics.error("MOE2007", inner->name.span, "`on miss` stands twice", "join the two");
      twice.related_span = lowered->span;
      twice.related_message = "the first is here";
      continue;
    }
    lowered = ir::Assignment{ir::Key::on_miss, std::move(arms), span};
  }
  return lowered;
}

}  // namespace moe::frontend
