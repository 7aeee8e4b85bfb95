// SPDX-License-Identifier: Apache-2.0
// `capacity`: slots, per cent of the experts, bytes, or `auto`.
#include <fmt/format.h>

#include <cmath>

#include "frontend/check_value.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class CapacityChecker {
 public:
  CapacityChecker(const CheckContext& context, const KeySpec& key, ast::ExprId id)
      : context_(context), key_(key), expr_(context.exprs[id]), id_(id) {}

  CheckedValue check() {
    const Typed value = check_expression(context_, id_, kConstantPlace);
    switch (value.type) {
      case Type::unknown:
        return {};
      case Type::number:
        return slots(value);
      case Type::ratio:
        return ratio(value);
      case Type::size:
        return bytes(value);
      case Type::word:
        if (value.word == "auto") return ir::Capacity{ir::Capacity::Kind::automatic, 0, 0};
        return wrong(suggest(value.word, known_words()));
      default:
        return wrong("");
    }
  }

 private:
  std::vector<std::string_view> known_words() const {
    std::vector<std::string_view> words = scope_names(context_);
    words.push_back("auto");
    return words;
  }

  CheckedValue wrong(std::string hint) {
    context_.diagnostics.error("MOE2004", expr_.span,
                               fmt::format("{} takes a number of experts, a percentage, a size or `auto`, not {}",
                                           quote(key_.name), quote(context_.exprs.written(expr_))),
                               std::move(hint));
    return {};
  }

  CheckedValue out_of_range(std::string rule) {
    context_.diagnostics.error("MOE2005", expr_.span,
                               fmt::format("{} is out of range: it must be {}", quote(key_.name), rule));
    return {};
  }

  CheckedValue slots(const Typed& value) {
    if (value.fractional || std::trunc(value.number) != value.number) {
      const bool is_share = value.number > 0 && value.number < 1;
      return wrong(is_share ? fmt::format("write `{}%` for a share of all experts", number_text(value.number * 100))
                            : std::string("write a whole number"));
    }
    if (!(value.number >= key_.range.low && value.number <= key_.range.high))
      return out_of_range("at least 1 and at most 4294967295");
    return ir::Capacity{ir::Capacity::Kind::slots, static_cast<uint64_t>(value.number), 0};
  }

  CheckedValue ratio(const Typed& value) {
    if (!(value.number > 0 && value.number <= 1)) return out_of_range("more than 0% and at most 100%");
    return ir::Capacity{ir::Capacity::Kind::ratio, 0, value.number};
  }

  CheckedValue bytes(const Typed& value) {
    constexpr double kMaxBytes = 9007199254740992.0;  // 2^53: every whole number up to it is exact
    const double whole = std::floor(value.number);
    if (!(whole >= 1 && whole <= kMaxBytes)) return out_of_range("at least 1 byte and at most 8 PiB");
    return ir::Capacity{ir::Capacity::Kind::bytes, static_cast<uint64_t>(whole), 0};
  }

  const CheckContext& context_;
  const KeySpec& key_;
  const ast::Expr& expr_;
  ast::ExprId id_;
};

}  // namespace

CheckedValue check_capacity(const CheckContext& context, const KeySpec& key, ast::ExprId id) {
  return CapacityChecker(context, key, id).check();
}

}  // namespace moe::frontend
