// SPDX-License-Identifier: Apache-2.0
// `pin` and `preload`: [3, 0..7, 2:5, 0..3:1, *:4], all, hottest(8)
#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "frontend/check_value.h"
#include "frontend/limits.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;
using Range = ir::Pin::Range;

constexpr double kMaxLayer = 4095;    // a model has at most 4,096 layers
constexpr double kMaxExpert = 65533;  // of at most 65,534 experts
constexpr double kMaxHottest = 4096.0 * 65534;

class PinChecker {
 public:
  PinChecker(const CheckContext& context, const KeySpec& key) : context_(context), key_(key) {}

  CheckedValue check(ExprId id) {
    const Expr& e = context_.exprs[id];
    const Expr& list = context_.exprs[resolve_list(context_, id)];
    if (is_set(e)) {
      const auto pin = check_set(e);
      if (!pin) return {};
      return PinList{{*pin, e.span}};
    }
    if (list.kind != ExprKind::list) {
      const std::string written(context_.exprs.written(e));
      context_.diagnostics.error(
          "MOE2004", e.span,
          fmt::format("{} takes a list of experts, `all` or `hottest(N)`, not {}", quote(key_.name), quote(written)),
          fmt::format("write {}", quote("[" + written + "]")));
      return {};
    }
    PinList pins;
    bool all_good = true;
    for (const ExprId element : context_.exprs.operands_of(list)) {
      if (too_many(context_.diagnostics)) return {};
      if (const auto pin = check_pin(element)) {
        pins.push_back({*pin, context_.exprs[element].span});
      } else {
        all_good = false;
      }
    }
    if (!all_good) return {};
    return pins;
  }

 private:
  // `all` or hottest(...), of which nothing but a model or a profile knows the members.
  bool is_set(const Expr& e) const {
    const std::string_view text = context_.exprs.text_of(e);
    return (e.kind == ExprKind::call && text == "hottest") || (e.kind == ExprKind::name && text == "all");
  }

  std::optional<ir::Pin> check_set(const Expr& e) {
    ir::Pin pin;
    pin.kind = e.kind == ExprKind::name ? ir::Pin::Kind::all : ir::Pin::Kind::hottest;
    if (pin.kind == ir::Pin::Kind::all) return pin;
    const auto arguments = context_.exprs.operands_of(e);
    if (arguments.size() != 1) {
      context_.diagnostics.error("MOE2021", e.span, fmt::format("`hottest` takes 1 argument, not {}", arguments.size()),
                                 "write, for example, `hottest(8)`");
      return std::nullopt;
    }
    const Typed value = check_expression(context_, arguments[0], kConstantPlace);
    if (value.is_unknown()) return std::nullopt;
    const Expr& argument = context_.exprs[arguments[0]];
    if (value.type == Type::word && value.word == "all") {
      pin.hottest.kind = ir::Capacity::Kind::automatic;
    } else if (value.type == Type::ratio) {
      pin.hottest = {ir::Capacity::Kind::ratio, 0, value.number};
      if (!(value.number > 0 && value.number <= 1)) {
        context_.diagnostics.error("MOE2005", argument.span, "a share of the experts is more than 0% and at most 100%");
        return std::nullopt;
      }
    } else {
      const auto count = whole(value, argument, 1, kMaxHottest, "the number of experts");
      if (!count) return std::nullopt;
      pin.hottest.amount = static_cast<uint64_t>(*count);
    }
    return pin;
  }

  std::optional<ir::Pin> check_pin(ExprId id) {
    const Expr& e = context_.exprs[id];
    if (is_set(e)) return check_set(e);
    ir::Pin pin;
    if (e.kind != ExprKind::placed) {
      const auto experts = range(id, kMaxExpert, "an expert");
      if (!experts) return std::nullopt;
      pin.experts = *experts;
      return pin;
    }
    const auto parts = context_.exprs.operands_of(e);
    const bool every_layer = context_.exprs[parts[0]].kind == ExprKind::any;
    const auto layers = every_layer ? std::nullopt : range(parts[0], kMaxLayer, "a layer");
    const auto experts = range(parts[1], kMaxExpert, "an expert");
    if (!experts || (!every_layer && !layers)) return std::nullopt;
    pin.layers = layers;
    pin.experts = *experts;
    return pin;
  }

  std::optional<Range> range(ExprId id, double most, std::string_view what) {
    const Expr& e = context_.exprs[id];
    if (e.kind == ExprKind::any) {
      context_.diagnostics.error("MOE2004", e.span, "`*` stands for all layers, not for experts",
                                 "write a range of experts: `0..7`");
      return std::nullopt;
    }
    if (e.kind != ExprKind::range) {
      const auto only = number(id, most, what);
      if (!only) return std::nullopt;
      return Range{*only, *only};
    }
    const auto parts = context_.exprs.operands_of(e);
    const auto first = number(parts[0], most, what);
    const auto last = number(parts[1], most, what);
    if (!first || !last) return std::nullopt;
    if (*first <= *last) return Range{*first, *last};
    context_.diagnostics.error("MOE2005", e.span,
                               fmt::format("the range {} is empty", quote(context_.exprs.written(e))),
                               fmt::format("write `{}..{}`", *last, *first));
    return std::nullopt;
  }

  std::optional<uint32_t> number(ExprId id, double most, std::string_view what) {
    const Typed value = check_expression(context_, id, kConstantPlace);
    if (value.is_unknown()) return std::nullopt;
    const auto found = whole(value, context_.exprs[id], 0, most, what);
    if (!found) return std::nullopt;
    return static_cast<uint32_t>(*found);
  }

  std::optional<double> whole(const Typed& value, const Expr& e, double least, double most, std::string_view what) {
    if (value.type != Type::number || value.fractional || std::trunc(value.number) != value.number) {
      context_.diagnostics.error("MOE2004", e.span,
                                 fmt::format("{} is a whole number, not {}", what, quote(context_.exprs.written(e))));
      return std::nullopt;
    }
    if (value.number < least || value.number > most) {
      context_.diagnostics.error("MOE2005", e.span,
                                 fmt::format("{} is out of range: {} is {} to {}", quote(context_.exprs.written(e)),
                                             what, number_text(least), number_text(most)));
      return std::nullopt;
    }
    return value.number;
  }

  const CheckContext& context_;
  const KeySpec& key_;
};

}  // namespace

CheckedValue check_pins(const CheckContext& context, const KeySpec& key, ExprId id) {
  return PinChecker(context, key).check(id);
}

}  // namespace moe::frontend
