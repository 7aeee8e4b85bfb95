// SPDX-License-Identifier: Apache-2.0
// adapt { when E for N accesses cooldown N { actions } revert   choose A, B by E every N dispatches }
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class ActionChecker {
 public:
  ActionChecker(const CheckContext& context, const ast::File& file) : context_(context), file_(file) {}

  void check(const std::vector<ast::Item>& items) {
    for (const ast::Item& item : items) {
      if (too_many(context_.diagnostics)) break;
      std::visit([this](const auto& node) { check_item(node); }, item.node);
    }
  }

 private:
  void error(std::string_view code, ir::SourceSpan span, std::string message, std::string hint = "") {
    context_.diagnostics.error(code, span, std::move(message), std::move(hint));
  }

  void check_item(const ast::Entry& entry) {
    const ActionKey target = find_target(entry);
    if (target.key == nullptr) return;
    for (const auto& [key, span] : seen_) {
      if (key != target.key) continue;
      auto& twice = context_.diagnostics.error("MOE2006", entry.key.span,
                                               fmt::format("{} is set twice", quote(entry.key.text)), "remove one");
      twice.related_span = span;
      twice.related_message = "the first is here";
    }
    seen_.emplace_back(target.key, entry.key.span);
    check_value(context_, *target.key, entry.value);
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

  void check_item(const ast::Command& command) {
    const std::string& word = command.operand.text;
    if (command.verb.text == "use") {
      check_policy_name(command.operand);
    } else if (command.verb.text == "rebalance") {
      expect_one_of(command, {"entropy", "uniform", "utility"});
    } else if (command.verb.text == "trigger") {
      expect_one_of(command, {"memory_pressure"});
    } else if (word.empty()) {
      error("MOE2013", command.span, "the signal has no name");
    }
  }

  void expect_one_of(const ast::Command& command, const std::vector<std::string_view>& words) {
    if (std::find(words.begin(), words.end(), std::string_view(command.operand.text)) != words.end()) return;
    error("MOE2003", command.operand.span,
          fmt::format("{} cannot {}", quote(command.operand.text), quote(command.verb.text)),
          suggest(command.operand.text, words, "use " + list_words(words)));
  }

  template <class Node>
  void check_item(const Node& node) {
    error("MOE2020", node.span, "a rule holds actions: `key = value`, `use`, `rebalance`, `trigger` or `signal`");
  }

 public:
  // Imports may bring any name.
  void check_policy_name(const ast::Name& name) {
    if (!file_.imports.empty()) return;
    std::vector<std::string_view> names;
    for (const ast::Policy& policy : file_.policies) names.push_back(policy.name.text);
    if (std::find(names.begin(), names.end(), std::string_view(name.text)) != names.end()) return;
    error("MOE2013", name.span, fmt::format("there is no policy {} in this file", quote(name.text)),
          suggest(name.text, names));
  }

 private:
  const CheckContext& context_;
  const ast::File& file_;
  std::vector<std::pair<const KeySpec*, ir::SourceSpan>> seen_;
};

void check_unit(const CheckContext& context, const ast::Name& unit, const std::vector<std::string_view>& units) {
  if (std::find(units.begin(), units.end(), std::string_view(unit.text)) != units.end()) return;
  context.diagnostics.error("MOE2111", unit.span, fmt::format("{} cannot be counted here", quote(unit.text)),
                            suggest(unit.text, units, "use " + list_words(units)));
}

void check_when(const CheckContext& context, const ast::File& file, const ast::When& rule) {
  const Typed condition = check_expression(context, rule.condition, kAdaptPlace);
  const ir::SourceSpan span = context.exprs[rule.condition].span;
  if (!condition.is_unknown() && condition.type != Type::boolean) {
    context.diagnostics.error("MOE2014", span,
                              fmt::format("a condition is true or false, this is {}", to_word(condition.type)),
                              "compare it with something");
  } else if (condition.constant) {
    context.diagnostics.warning("MOE2115", span, fmt::format("the condition is always {}", condition.truth),
                                "compare a metric such as `hit_rate`");
  }
  if (rule.stretch) {
    check_count(context, *rule.stretch, 1, "a stretch");
    check_unit(context, *rule.stretch_unit, {"accesses", "dispatches", "tokens"});
  }
  if (rule.cooldown) check_count(context, *rule.cooldown, 0, "a cooldown");
  if (rule.items.empty() && !rule.broken) {
    context.diagnostics.error("MOE2009", rule.span, "the rule does nothing", "write an action between its braces");
  }
  check_actions(context, file, rule.items);
}

void check_choose(const CheckContext& context, const ast::File& file, const ast::Choose& choose) {
  ActionChecker names(context, file);
  for (const ast::Name& name : choose.policies) names.check_policy_name(name);
  check_expression(context, choose.reward, kAdaptPlace);
  check_count(context, choose.every, 1, "a period");
  check_unit(context, choose.every_unit, {"dispatches"});
  if (!choose.explore) return;
  const KeySpec explore{"explore", ValueType::real, {0, 1}, "", "", "", false};
  check_number(context, explore, *choose.explore);
}

}  // namespace

std::optional<double> check_count(const CheckContext& context, ast::ExprId id, double least, std::string_view what) {
  const Typed value = check_expression(context, id, kConstantPlace);
  if (value.is_unknown()) return std::nullopt;
  const bool whole = value.type == Type::number && std::trunc(value.number) == value.number && !value.fractional;
  if (whole && value.number >= least && value.number <= 1e15) return value.number;
  context.diagnostics.error("MOE2005", context.exprs[id].span,
                            fmt::format("{} is a whole number of at least {}, not {}", what, number_text(least),
                                        quote(context.exprs.written(context.exprs[id]))));
  return std::nullopt;
}

void check_actions(const CheckContext& context, const ast::File& file, const std::vector<ast::Item>& items) {
  ActionChecker(context, file).check(items);
}

void check_adapt(const CheckContext& context, const ast::File& file, const ast::Block& block) {
  check_block(context, block, *find_block("adapt"));
  for (const ast::Item& item : block.items) {
    if (too_many(context.diagnostics)) break;
    if (const auto* rule = std::get_if<ast::When>(&item.node)) check_when(context, file, *rule);
    if (const auto* choose = std::get_if<ast::Choose>(&item.node)) check_choose(context, file, *choose);
  }
}

}  // namespace moe::frontend
