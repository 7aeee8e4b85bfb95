// SPDX-License-Identifier: Apache-2.0
#include "ir/print_value.h"

#include <fmt/format.h>

#include <cmath>

#include "ir/keys.h"

namespace moe::ir {
namespace {

std::string print(const Pin::Range& range) {
  return range.first == range.last ? fmt::format("{}", range.first) : fmt::format("{}..{}", range.first, range.last);
}

std::string print(const Pin& pin) {
  switch (pin.kind) {
    case Pin::Kind::all:
      return "all";
    case Pin::Kind::hottest:
      return fmt::format("hottest({})", pin.hottest.kind == Capacity::Kind::automatic ? "all" : ir::print(pin.hottest));
    case Pin::Kind::experts:
      break;
  }
  return pin.layers ? print(*pin.layers) + ":" + print(pin.experts) : print(pin.experts);
}

/// The value of a key whose numbers are written as `type`.
struct ValuePrinter {
  Key key;

  std::string operator()(std::monostate) const { return key == Key::prefetch_evict ? "cache" : "none"; }
  std::string operator()(bool value) const { return print_bool(value); }
  std::string operator()(uint64_t value) const {
    if (key == Key::lookahead && value == kAllLayers) return "all";
    return fmt::format("{}", value);
  }
  std::string operator()(double value) const {
    switch (info_of(key).type) {
      case Type::time:  // a bare number is milliseconds
        return print_number(value);
      case Type::ratio: {  // a bare number does where no per cent is exact
        const std::string text = print_constant(value, Type::ratio);
        return text.front() == '(' ? print_number(value) : text;
      }
      default:
        return print_number(value);
    }
  }
  std::string operator()(const std::string& value) const { return print_text_value(value); }
  std::string operator()(ScheduleMode value) const { return std::string(to_word(value)); }
  std::string operator()(const std::vector<Arm>& arms) const {
    std::string text = "{";
    for (const Arm& arm : arms) text += " " + ir::print(arm);
    return text + " }";
  }
  std::string operator()(const Expr& value) const {
    if (value.empty() && key != Key::prefetch_when) return key == Key::drop ? "never" : "auto";
    if (key == Key::order) return fmt::format("least({})", print_expr(value));
    return key == Key::drop ? fmt::format("when({})", print_expr(value)) : print_expr(value);
  }
  template <class T>
  std::string operator()(const T& value) const {
    return ir::print(value);
  }
};

}  // namespace

std::string print_text_value(const std::string& text) { return fmt::format("\"{}\"", text); }
std::string print_bool(bool value) { return value ? "true" : "false"; }

std::string print(const Capacity& capacity) {
  switch (capacity.kind) {
    case Capacity::Kind::slots:
      return fmt::format("{}", capacity.amount);
    case Capacity::Kind::ratio:
      return print_constant(capacity.ratio, Type::ratio);
    case Capacity::Kind::bytes:
      return fmt::format("{}B", capacity.amount);
    case Capacity::Kind::automatic:
      return "auto";
  }
  return "";
}

std::string print(const EvictionRule& rule) {
  if (rule.kind == Eviction::least) return fmt::format("least({})", print_expr(rule.value));
  if (rule.kind != Eviction::segmented) return std::string(to_word(rule.kind));
  std::string text;
  for (const EvictionRule& segment : rule.segments) {
    if (!text.empty()) text += " | ";
    text += print(segment);
  }
  return text;
}

std::string print(const AdmitRule& rule) {
  if (rule.kind == Admit::when) return fmt::format("when({})", print_expr(rule.condition));
  return std::string(to_word(rule.kind));
}

std::string print(const StrategyChain& chain) {
  std::string text;
  for (const Strategy strategy : chain.links) {
    if (!text.empty()) text += " | ";
    text +=
        strategy == Strategy::most ? fmt::format("most({})", print_expr(chain.value)) : std::string(to_word(strategy));
  }
  return text;
}

std::string print(const std::vector<Sourced<Pin>>& pins) {
  if (pins.size() == 1 && pins[0].value.kind != Pin::Kind::experts) return print(pins[0].value);
  std::string text;
  for (const Sourced<Pin>& pin : pins) {
    if (!text.empty()) text += ", ";
    text += print(pin.value);
  }
  return "[" + text + "]";
}

std::string print(const Arm& arm) {
  if (arm.condition.empty()) return fmt::format("else -> {}", to_word(arm.action));
  return fmt::format("when {} -> {}", print_expr(arm.condition), to_word(arm.action));
}

std::string print(const Ladder& ladder) {
  std::string rungs;
  for (size_t i = 0; i < ladder.rungs.size(); ++i) {
    const Ladder::Rung& rung = ladder.rungs[i];
    rungs += i == 0 ? "" : ", ";
    rungs += to_word(rung.dtype);
    if (i + 1 < ladder.rungs.size()) rungs += " >= " + print_constant(rung.at_least, Type::number);
  }
  return fmt::format("by ({}) [{}]", print_expr(ladder.by), rungs);
}

std::string print(const RuleAction& action) {
  switch (action.kind) {
    case RuleAction::Kind::assign: {
      const Assignment& assignment = action.assignment;
      const std::string value = print_value(assignment.key, assignment.value);
      if (assignment.key == Key::on_miss) return "on miss " + value;
      const KeyInfo& info = info_of(assignment.key);
      return fmt::format("{}.{} = {}", info.block, info.name, value);
    }
    case RuleAction::Kind::use:
      return "use " + action.name;
    case RuleAction::Kind::rebalance:
      return fmt::format("rebalance {}", to_word(action.allocation));
    case RuleAction::Kind::trigger_pressure:
      return "trigger memory_pressure";
    case RuleAction::Kind::signal:
      return "signal " + action.name;
  }
  return "";
}

std::string print_value(Key key, const KeyValue& value) { return std::visit(ValuePrinter{key}, value); }

}  // namespace moe::ir
