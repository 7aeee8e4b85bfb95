// SPDX-License-Identifier: Apache-2.0
#include "frontend/one_token.h"

namespace moe::frontend {
namespace {

/// The tokens that may be read next, from one step on; what follows a rule is what follows it anywhere.
class Look {
 public:
  explicit Look(const ParserTable& table) : table_(table), seen_(table.steps.size()) {}

  /// False where an operator's precedence has a say.
  bool from(uint16_t number) {
    if (seen_[number]) return true;
    seen_[number] = true;
    const ParserStep& step = table_.steps[number];
    switch (step.kind) {
      case ParserStep::Kind::match:
        tokens |= table_.sets[step.operand];
        return true;
      case ParserStep::Kind::call:
        return from(step.operand);  // every rule reads something
      case ParserStep::Kind::wrap:
        return false;
      case ParserStep::Kind::choose:
        for (const uint16_t way : table_.decisions[step.operand].alternatives) {
          if (!from(way)) return false;
        }
        return true;
      case ParserStep::Kind::finish:
        return after(step.rule);
    }
    return false;
  }

  TokenKinds tokens;

 private:
  bool after(Rule rule) {
    for (const ParserStep& step : table_.steps) {
      if (step.kind == ParserStep::Kind::call && step.rule == rule && !from(step.next)) return false;
    }
    return true;
  }

  const ParserTable& table_;
  std::vector<bool> seen_;
};

}  // namespace

std::optional<AlternativeOfToken> alternatives_by_one_token(const ParserTable& table, size_t decision) {
  const Decision& d = table.decisions[decision];
  // The generator writes such a loop with a prediction in any case.
  if (d.form == Decision::Form::loop_of_choices) return std::nullopt;
  AlternativeOfToken alternative_of = {};
  if (d.form != Decision::Form::choice) alternative_of.fill(static_cast<uint8_t>(d.alternatives.size()));
  TokenKinds seen;
  for (size_t i = 0; i < d.alternatives.size(); ++i) {
    Look look(table);
    if (!look.from(d.alternatives[i]) || (seen & look.tokens).any()) return std::nullopt;
    seen |= look.tokens;
    for (size_t kind = 0; kind < kNumTokenKinds; ++kind) {
      if (look.tokens[kind]) alternative_of[kind] = static_cast<uint8_t>(i + 1);
    }
  }
  return alternative_of;
}

}  // namespace moe::frontend
