// SPDX-License-Identifier: Apache-2.0
#include "frontend/check_block.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/lower_expr.h"
#include "frontend/text.h"
#include "ir/keys.h"

namespace moe::frontend {
namespace {

class BlockChecker {
 public:
  BlockChecker(const CheckContext& context, const ast::Block& block, const BlockSpec& spec,
               std::string_view override_of)
      : context_(context), block_(block), spec_(spec), override_of_(override_of) {}

  BlockValues check() {
    check_head();
    if (block_.items.empty() && !block_.broken) {
      context_.diagnostics.error("MOE2009", block_.span, fmt::format("the block {} is empty", quote(spec_.name)),
                                 spec_.keys.empty() ? std::string("remove it") : empty_hint());
    }
    for (const ast::Item& item : block_.items) {
      if (too_many(context_.diagnostics)) break;
      std::visit([this](const auto& node) { check_item(node); }, item.node);
    }
    return std::move(values_);
  }

 private:
  void error(std::string_view code, ir::SourceSpan span, std::string message, std::string hint = "") {
    context_.diagnostics.error(code, span, std::move(message), std::move(hint));
  }

  // The most needed key of each block stands first in the table.
  std::string empty_hint() const { return fmt::format("remove it, or set {}", quote(spec_.keys.front().name)); }

  void check_head() {
    if (block_.label && spec_.labels.empty()) {
      error("MOE2020", block_.label->span,
            fmt::format("{} has no name: {} is out of place", quote(spec_.name), quote(block_.label->text)),
            "remove it");
    }
    if (block_.label && spec_.labels != "*" && !spec_.labels.empty() &&
        !contains_word(spec_.labels, block_.label->text)) {
      const std::vector<std::string_view> labels = split_words(spec_.labels);
      error("MOE2003", block_.label->span, fmt::format("{} is not a {}", quote(block_.label->text), spec_.name),
            suggest(block_.label->text, labels, "use " + list_words(labels)));
    }
    if (!block_.label && !spec_.labels.empty()) {
      error("MOE2020", block_.name.span, fmt::format("{} needs a name before `{{`", quote(spec_.name)),
            spec_.labels == "*" ? "write `tier NAME { ... }`"
                                : "write " + list_words(split_words(spec_.labels)) + " there");
    }
  }

  void check_item(const ast::Entry& entry) {
    if (entry.block) {
      error("MOE2020", entry.block->span, "a block's own keys are written without the block's name",
            fmt::format("write {}", quote(entry.key.text)));
    }
    const KeySpec* key = find_key(spec_, entry.key.text);
    if (key == nullptr) return unknown_key(entry.key);
    if (const BlockValues::Value* first = values_.find(key->name)) {
      auto& twice = context_.diagnostics.error("MOE2006", entry.key.span,
                                               fmt::format("{} is set twice", quote(entry.key.text)), "remove one");
      twice.related_span = first->key_span;
      twice.related_message = "the first is here";
    }
    BlockValues::Value value = check_entry(*key, entry);
    if (values_.find(key->name) == nullptr) values_.add(std::move(value));
  }

  BlockValues::Value check_entry(const KeySpec& key, const ast::Entry& entry) {
    const ast::Expr& e = context_.exprs[entry.value];
    if (e.kind != ast::ExprKind::switched) {
      return {&key, entry.key.span, e.span, check_value(context_, key, entry.value)};
    }
    const auto parts = context_.exprs.operands_of(e);
    BlockValues::Value value{&key, entry.key.span, context_.exprs[parts[0]].span, check_value(context_, key, parts[0])};
    if (!may_change(key, e)) return value;
    CheckedValue otherwise = check_value(context_, key, parts[1]);
    std::optional<ir::Expr> condition = lower_condition(context_, parts[2], kAdaptPlace);
    if (!condition) return value;
    check_constant_condition(context_, *condition, parts[2]);
    value.otherwise = {std::move(otherwise), context_.exprs[parts[1]].span, std::move(*condition), e.span};
    return value;
  }

  bool may_change(const KeySpec& key, const ast::Expr& e) {
    if (ir::find_key(spec_.name, key.name) && override_of_.empty()) return true;
    const std::string first(context_.exprs.written(context_.exprs[context_.exprs.operands_of(e)[0]]));
    const std::string plain = fmt::format("write {}", quote(fmt::format("{} = {}", key.name, first)));
    if (override_of_.empty()) {
      error("MOE2130", e.span,
            fmt::format("{} is fixed when the policy starts and cannot change with `when`", quote(key.name)), plain);
    } else {
      error("MOE2130", e.span, fmt::format("a value inside {} cannot change with `when` as well", override_of_),
            plain + ", and a rule in `adapt`");
    }
    return false;
  }

  void unknown_key(const ast::Name& name) {
    const std::vector<std::string_view> names = key_names(spec_);
    if (names.empty()) {
      error("MOE2020", name.span,
            fmt::format("{} holds no keys: {} is out of place", quote(spec_.name), quote(name.text)));
      return;
    }
    std::string otherwise = fmt::format("keys of {}: {}", quote(spec_.name), list_words(names, "and"));
    for (const std::string_view other : block_names()) {
      const BlockSpec& block = *find_block(other);
      if (find_key(block, name.text) != nullptr) {
        otherwise = fmt::format("it is a key of {}", quote(other));
      }
    }
    error("MOE2002", name.span, fmt::format("{} has no key {}", quote(spec_.name), quote(name.text)),
          suggest(name.text, names, otherwise));
  }

  void check_item(const ast::Block& inner) {
    if (inner.name.text == "on" && inner.label) return check_event(inner);
    if (contains_word(spec_.inner_blocks, inner.name.text)) return;
    const std::vector<std::string_view> inner_names = split_words(spec_.inner_blocks);
    if (find_block(inner.name.text) != nullptr) {
      error("MOE2020", inner.name.span,
            fmt::format("{} does not belong inside {}", quote(inner.name.text), quote(spec_.name)),
            inner_names.empty() ? "close the block before it" : "inside it: " + list_words(inner_names, "and"));
    } else if (inner_names.empty()) {
      error("MOE2020", inner.name.span,
            fmt::format("{} holds no blocks: {} is out of place", quote(spec_.name), quote(inner.name.text)));
    } else {
      report_unknown_block(context_, inner.name, inner_names);
    }
  }

  void check_event(const ast::Block& inner) {
    if (contains_word(spec_.on_events, inner.label->text)) return;
    const std::vector<std::string_view> events = split_words(spec_.on_events);
    error("MOE2020", inner.span, fmt::format("{} has no `on {}`", quote(spec_.name), inner.label->text),
          events.empty() ? "remove it" : suggest(inner.label->text, events, "events are " + list_words(events, "and")));
  }

  void misplaced(ir::SourceSpan span, std::string_view what, uint8_t kind, std::string_view where) {
    if ((spec_.items & kind) != 0) return;
    error("MOE2020", span, fmt::format("{} does not belong inside {}", what, quote(spec_.name)), std::string(where));
  }

  void check_item(const ast::When& node) {
    misplaced(node.span, "a `when` rule", kRules, "put it inside `adapt { ... }`");
  }
  void check_item(const ast::Choose& node) {
    misplaced(node.span, "`choose`", kRules, "put it inside `adapt { ... }`");
  }
  void check_item(const ast::Move& node) {
    misplaced(node.span, quote(node.verb.text), kMoves, "put it inside `tiers { ... }`");
  }
  void check_item(const ast::Arm& node) {
    misplaced(node.span, "an arm with `->`", kArms, "put it inside `on miss { ... }`");
  }
  void check_item(const ast::Command& node) {
    misplaced(node.span, quote(node.verb.text), kActions, "put it inside a rule of `adapt`");
  }

  const CheckContext& context_;
  const ast::Block& block_;
  const BlockSpec& spec_;
  std::string_view override_of_;
  BlockValues values_;
};

}  // namespace

const BlockValues::Value* BlockValues::find(std::string_view key) const {
  const auto found = std::find_if(values_.begin(), values_.end(), [&](const Value& v) { return v.key->name == key; });
  return found == values_.end() ? nullptr : &*found;
}

void BlockValues::read(std::string_view key, ir::Sourced<double>& out) const {
  if (const Typed* value = get<Typed>(key)) out = {value->number, find(key)->span};
}

void BlockValues::read(std::string_view key, ir::Sourced<uint32_t>& out) const {
  if (const Typed* value = get<Typed>(key)) out = {static_cast<uint32_t>(value->number), find(key)->span};
}

void BlockValues::read(std::string_view key, ir::Sourced<uint64_t>& out) const {
  if (const Typed* value = get<Typed>(key)) out = {static_cast<uint64_t>(value->number), find(key)->span};
}

void BlockValues::read(std::string_view key, ir::Sourced<bool>& out) const {
  if (const Typed* value = get<Typed>(key)) out = {value->truth, find(key)->span};
}

BlockValues check_block(const CheckContext& context, const ast::Block& block, const BlockSpec& spec,
                        std::string_view override_of) {
  return BlockChecker(context, block, spec, override_of).check();
}

void report_unknown_block(const CheckContext& context, const ast::Name& name,
                          const std::vector<std::string_view>& allowed) {
  context.diagnostics.error("MOE2001", name.span, fmt::format("there is no block {}", quote(name.text)),
                            suggest(name.text, allowed, "blocks are " + list_words(allowed, "and")));
}

}  // namespace moe::frontend
