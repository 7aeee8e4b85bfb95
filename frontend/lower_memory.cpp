// SPDX-License-Identifier: Apache-2.0
// memory { budget  kv_reserve  warn  shed   on warn { actions }  on shed { actions } }
#include <fmt/format.h>

#include <algorithm>

#include "frontend/check_block.h"
#include "frontend/limits.h"
#include "frontend/lower_rules.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

// Warning comes before shedding. A default keeps clear of the one that was written.
void check_thresholds(ir::MemoryRule& memory, ir::Diagnostics& diagnostics) {
  const bool warn_written = !memory.warn.span.is_default();
  const bool shed_written = !memory.shed.span.is_default();
  if (shed_written && !warn_written) {
    memory.warn.value = std::min(memory.warn.value, 0.9 * memory.shed.value);
    return;
  }
  if (memory.warn.value < memory.shed.value) return;
  auto& error = diagnostics.error(
      "MOE2109", memory.warn.span,
      fmt::format("`warn` is {} and `shed` {}", number_text(memory.warn.value), number_text(memory.shed.value)),
      shed_written ? "warn before shedding" : "set `shed` above it");
  if (!shed_written) return;
  error.related_span = memory.shed.span;
  error.related_message = "`shed` is set here";
}

void check_reserve(const ir::MemoryRule& memory, ir::Diagnostics& diagnostics) {
  if (!memory.budget || memory.kv_reserve.value < memory.budget->value) return;
  auto& error = diagnostics.error("MOE2109", memory.kv_reserve.span, "`kv_reserve` leaves nothing of `budget`",
                                  "reserve less, or raise `budget`");
  error.related_span = memory.budget->span;
  error.related_message = "`budget` is set here";
}

// A threshold and its event need each other, and both need a budget to be a share of.
void check_events(const ir::MemoryRule& memory, const ast::Block& block, ir::Diagnostics& diagnostics) {
  const bool has_event = std::any_of(block.items.begin(), block.items.end(), [](const ast::Item& item) {
    const auto* event = std::get_if<ast::Block>(&item.node);
    return event != nullptr && event->name.text == "on";
  });
  const auto check = [&](const ir::Sourced<double>& share, std::string_view name,
                         const std::vector<ir::RuleAction>& actions) {
    if (!has_event && !share.span.is_default()) {
      diagnostics.warning("MOE2022", share.span,
                          fmt::format("nothing reads {}: there is no `on {}`", quote(name), name),
                          fmt::format("remove it, or write `on {} {{ ... }}`", name));
    }
    if (actions.empty() || memory.budget || block.broken) return;
    diagnostics.warning("MOE2150", actions.front().span,
                        fmt::format("`on {}` never acts: there is no `budget` to be a share of", name),
                        "write `budget = 16GB`");
  };
  check(memory.warn, "warn", memory.on_warn);
  check(memory.shed, "shed", memory.on_shed);
}

}  // namespace

ir::MemoryRule lower_memory(const RuleContext& rules, const ast::Block& block) {
  ir::Diagnostics& diagnostics = rules.context.diagnostics;
  const size_t errors_before = diagnostics.num_errors();
  const BlockValues values = check_block(rules.context, block, *find_block("memory"));
  ir::MemoryRule memory;
  if (values.get<Typed>("budget") != nullptr) values.read("budget", memory.budget.emplace());
  values.read("kv_reserve", memory.kv_reserve);
  values.read("warn", memory.warn);
  values.read("shed", memory.shed);
  check_thresholds(memory, diagnostics);
  check_reserve(memory, diagnostics);
  std::vector<const ast::Block*> seen;
  for (const ast::Item& item : block.items) {
    const auto* event = std::get_if<ast::Block>(&item.node);
    if (event == nullptr || event->name.text != "on" || !event->label || too_many(diagnostics)) continue;
    const std::string& name = event->label->text;
    if (name != "warn" && name != "shed") continue;  // check_block has said so
    const auto first =
        std::find_if(seen.begin(), seen.end(), [&](const ast::Block* other) { return other->label->text == name; });
    if (first != seen.end()) {
      auto& twice =
          diagnostics.error("MOE2007", event->label->span, fmt::format("`on {}` stands twice", name), "join the two");
      twice.related_span = (*first)->label->span;
      twice.related_message = "the first is here";
      continue;
    }
    seen.push_back(event);
    if (event->items.empty() && !event->broken) {
      diagnostics.error("MOE2009", event->span, fmt::format("`on {}` does nothing", name),
                        "write an action between its braces");
    }
    (name == "warn" ? memory.on_warn : memory.on_shed) = lower_actions(rules, event->items);
  }
  if (diagnostics.num_errors() == errors_before) check_events(memory, block, diagnostics);
  return memory;
}

}  // namespace moe::frontend
