// SPDX-License-Identifier: Apache-2.0
// key = value   block.key = value   on miss { arms }   use NAME   rebalance SIGNAL   trigger memory_pressure
// signal NAME
#include <fmt/format.h>

#include <map>

#include "frontend/keys.h"
#include "frontend/limits.h"
#include "frontend/lower_keys.h"
#include "frontend/lower_rules.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using Kind = ir::RuleAction::Kind;

class ActionLowering {
 public:
  explicit ActionLowering(const RuleContext& rules) : rules_(rules), context_(rules.context) {}

  std::vector<ir::RuleAction> lower(const std::vector<ast::Item>& items) {
    for (const ast::Item& item : items) {
      if (too_many(context_.diagnostics)) break;
      std::visit([this](const auto& node) { lower_item(node); }, item.node);
    }
    return std::move(actions_);
  }

 private:
  void error(std::string_view code, ir::SourceSpan span, std::string message, std::string hint = "") {
    context_.diagnostics.error(code, span, std::move(message), std::move(hint));
  }

  /// `what` happens once in a rule.
  void once(const void* what, ir::SourceSpan span, const ast::Name& name) {
    const auto [first, inserted] = seen_.emplace(what, span);
    if (inserted) return;
    auto& twice =
        context_.diagnostics.error("MOE2006", span, fmt::format("{} is set twice", quote(name.text)), "remove one");
    twice.related_span = first->second;
    twice.related_message = "the first is here";
  }

  void lower_item(const ast::Entry& entry) {
    const ActionKey target = find_target(entry);
    if (target.key == nullptr) return;
    once(target.key, entry.key.span, entry.key);
    std::optional<ir::Assignment> assignment =
        lower_assignment(context_, target.block->name, *target.key, entry.key.span, entry.value);
    if (!assignment) return;
    ir::RuleAction action;
    action.assignment = std::move(*assignment);
    action.span = entry.span;
    actions_.push_back(std::move(action));
  }

  ActionKey find_target(const ast::Entry& entry) {
    if (!entry.block) {
      const ActionKey found = find_action_key(entry.key.text);
      if (found.key == nullptr) {
        error("MOE2002", entry.key.span, fmt::format("no block has a key {}", quote(entry.key.text)),
              suggest(entry.key.text, action_key_names()));
      }
      return found;
    }
    const BlockSpec* block = find_block(entry.block->text);
    if (block == nullptr) {
      report_unknown_block(context_, *entry.block, block_names());
      return {};
    }
    const KeySpec* key = find_key(*block, entry.key.text);
    if (key == nullptr) {
      error("MOE2002", entry.key.span, fmt::format("{} has no key {}", quote(block->name), quote(entry.key.text)),
            suggest(entry.key.text, key_names(*block)));
    }
    return {block, key};
  }

  void lower_item(const ast::Command& command) {
    const std::string& word = command.operand.text;
    if (command.verb.text == "use") {
      const std::optional<size_t> policy = rules_.linked.find(word, command.operand.span);
      if (!policy) return rules_.linked.report_unknown(command.operand, context_.diagnostics);
      once(&kUse, command.operand.span, command.verb);
      rules_.used.push_back({*policy, command.operand.span});
      add(Kind::use, command).name = word;
    } else if (command.verb.text == "rebalance") {
      for (const ir::Allocation a : {ir::Allocation::entropy, ir::Allocation::uniform, ir::Allocation::utility}) {
        if (to_word(a) == word) add(Kind::rebalance, command).allocation = a;
      }
      expect_one_of(command, {"entropy", "uniform", "utility"});
    } else if (command.verb.text == "trigger") {
      if (expect_one_of(command, {"memory_pressure"})) add(Kind::trigger_pressure, command);
    } else {
      add(Kind::signal, command).name = word;
    }
  }

  ir::RuleAction& add(Kind kind, const ast::Command& command) {
    ir::RuleAction action;
    action.kind = kind;
    action.span = command.span;
    actions_.push_back(std::move(action));
    return actions_.back();
  }

  bool expect_one_of(const ast::Command& command, const std::vector<std::string_view>& words) {
    for (const std::string_view word : words) {
      if (word == command.operand.text) return true;
    }
    error("MOE2003", command.operand.span,
          fmt::format("{} cannot {}", quote(command.operand.text), quote(command.verb.text)),
          suggest(command.operand.text, words, "use " + list_words(words)));
    return false;
  }

  void lower_item(const ast::Block& block) {
    if (block.name.text != "on" || !block.label || block.label->text != "miss") return misplaced(block.span);
    const ir::SourceSpan span{block.name.span.begin, block.label->span.end};
    once(&kOnMiss, span, {"on miss", span});
    std::vector<ir::Arm> arms = lower_arms(context_, block, rules_.approximate);
    if (arms.empty()) return;
    ir::RuleAction action;
    action.assignment = {ir::Key::on_miss, std::move(arms), span};
    action.span = span;
    actions_.push_back(std::move(action));
  }

  template <class Node>
  void lower_item(const Node& node) {
    misplaced(node.span);
  }

  void misplaced(ir::SourceSpan span) {
    error("MOE2020", span, "a rule holds actions: `key = value`, `on miss`, `use`, `rebalance`, `trigger` or `signal`");
  }

  static constexpr char kUse = 0;
  static constexpr char kOnMiss = 0;

  const RuleContext& rules_;
  const CheckContext& context_;
  std::vector<ir::RuleAction> actions_;
  std::map<const void*, ir::SourceSpan> seen_;
};

}  // namespace

std::vector<ir::RuleAction> lower_actions(const RuleContext& rules, const std::vector<ast::Item>& items) {
  return ActionLowering(rules).lower(items);
}

}  // namespace moe::frontend
