// SPDX-License-Identifier: Apache-2.0
// Canonical text of what changes a policy's rules: overrides, adapt, memory, tiers, bands.
#include <algorithm>

#include "ir/keys.h"
#include "ir/print_value.h"
#include "ir/text_writer.h"

namespace moe::ir {
namespace {

void write_arms(const std::vector<Arm>& arms, TextWriter& writer) {
  writer.open("on miss");
  for (const Arm& arm : arms) writer.line(print(arm));
  writer.close();
}

void write_actions(const std::vector<RuleAction>& actions, TextWriter& writer) {
  for (const RuleAction& action : actions) {
    const bool is_arms = action.kind == RuleAction::Kind::assign && action.assignment.key == Key::on_miss;
    if (is_arms) {
      write_assignment(action.assignment, writer);
    } else {
      writer.line(print(action));
    }
  }
}

void write_rule(const AdaptRule& rule, TextWriter& writer) {
  std::string head = "when " + print_expr(rule.condition);
  head += fmt::format(" for {} {}", rule.stretch.value, to_word(rule.unit));
  if (rule.cooldown.value != 0) head += fmt::format(" cooldown {}", rule.cooldown.value);
  writer.open(head);
  write_actions(rule.actions, writer);
  writer.close(rule.revert ? " revert" : "");
}

void write_choose(const Choose& choose, TextWriter& writer) {
  std::string names;
  for (const Sourced<std::string>& policy : choose.policies) {
    if (!names.empty()) names += ", ";
    names += policy.value;
  }
  writer.line(fmt::format("choose {} by {} every {} dispatches explore {}", names, print_expr(choose.reward),
                          choose.every.value, print_number(choose.explore.value)));
}

void write_tier(const Tier& tier, TextWriter& writer) {
  writer.open("tier " + tier.name.value);
  writer.key("location", to_word(tier.location.value));
  writer.key("dtype", to_word(tier.dtype.value));
  if (tier.capacity) writer.key("capacity", print(tier.capacity->value));
  writer.flag("pinned", tier.pinned.value);
  writer.key("group_size", uint64_t{tier.group_size.value});
  if (!tier.path.value.empty()) writer.key("path", print_text_value(tier.path.value));
  writer.close();
}

// A default that follows another key's value; reading the text finds it again.
bool is_implied(const Assignment& assignment) {
  return assignment.span.is_default() && (assignment.key == Key::budget || assignment.key == Key::memory_headroom);
}

/// The blocks that `overrides` has written keys of, each once, in the order of their first.
std::vector<std::string_view> blocks_of(const std::vector<Assignment>& overrides) {
  std::vector<std::string_view> blocks;
  for (const Assignment& assignment : overrides) {
    if (is_implied(assignment)) continue;
    const std::string_view block = info_of(assignment.key).block;
    if (std::find(blocks.begin(), blocks.end(), block) == blocks.end()) blocks.push_back(block);
  }
  return blocks;
}

void write_overrides_and_pins(const std::vector<Assignment>& overrides, const Band* band, TextWriter& writer) {
  std::vector<std::string_view> blocks = blocks_of(overrides);
  const bool pins = band != nullptr && (band->pins || band->preload);
  if (pins && std::find(blocks.begin(), blocks.end(), "cache") == blocks.end()) blocks.push_back("cache");
  for (const std::string_view block : blocks) {
    writer.open(block);
    for (const Assignment& assignment : overrides) {
      if (info_of(assignment.key).block == block && !is_implied(assignment)) write_assignment(assignment, writer);
    }
    if (pins && block == "cache") {
      if (band->pins) writer.key("pin", print(*band->pins));
      if (band->preload) writer.key("preload", print(*band->preload));
    }
    writer.close();
  }
}

}  // namespace

void write_assignment(const Assignment& assignment, TextWriter& writer) {
  const auto* arms = std::get_if<std::vector<Arm>>(&assignment.value);
  if (arms != nullptr) return write_arms(*arms, writer);
  writer.key(info_of(assignment.key).name, print_value(assignment.key, assignment.value));
}

void write_overrides(const std::vector<Assignment>& overrides, TextWriter& writer) {
  write_overrides_and_pins(overrides, nullptr, writer);
}

void write_adapt(const Policy& policy, TextWriter& writer) {
  writer.open("adapt");
  for (const AdaptRule& rule : policy.adapt) write_rule(rule, writer);
  for (const Choose& choose : policy.choose) write_choose(choose, writer);
  writer.close();
}

void write_memory(const MemoryRule& memory, TextWriter& writer) {
  writer.open("memory");
  if (memory.budget) writer.key("budget", fmt::format("{}B", memory.budget->value));
  writer.key("kv_reserve", fmt::format("{}B", memory.kv_reserve.value));
  writer.number("warn", memory.warn.value);
  writer.number("shed", memory.shed.value);
  const auto write_event = [&](std::string_view head, const std::vector<RuleAction>& actions) {
    if (actions.empty()) return;
    writer.open(head);
    write_actions(actions, writer);
    writer.close();
  };
  write_event("on warn", memory.on_warn);
  write_event("on shed", memory.on_shed);
  writer.close();
}

void write_tiers(const TiersRule& tiers, TextWriter& writer) {
  writer.open("tiers");
  for (const Tier& tier : tiers.tiers) write_tier(tier, writer);
  for (const Move& move : tiers.moves) {
    const std::string when = move.condition.empty() ? "on evict" : "when " + print_expr(move.condition);
    writer.line(
        fmt::format("{} {} -> {} {}", move.promote ? "promote" : "demote", move.from.value, move.to.value, when));
  }
  writer.flag("inclusive", tiers.inclusive.value);
  if (tiers.eviction) writer.key("eviction", print(tiers.eviction->value));
  writer.flag("direct", tiers.direct.value);
  if (tiers.precision) writer.key("precision", print(tiers.precision->value));
  writer.close();
}

void write_band(const Band& band, TextWriter& writer) {
  writer.open(fmt::format("layers {}..{}", band.first, band.last));
  write_overrides_and_pins(band.overrides, &band, writer);
  if (band.tiers) write_tiers(*band.tiers, writer);
  writer.close();
}

}  // namespace moe::ir
