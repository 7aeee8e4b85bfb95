// SPDX-License-Identifier: Apache-2.0
// `pin`: [3, 0..7, 2:5, 0..3:1, *:4]
#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "frontend/check_value.h"
#include "frontend/limits.h"
#include "frontend/text.h"
#include "frontend/unsupported.h"

namespace moe::frontend {
namespace {

using ast::Expr;
using ast::ExprId;
using ast::ExprKind;
using Range = ir::Pin::Range;

constexpr double kMaxLayer = 4095;    // a model has at most 4,096 layers
constexpr double kMaxExpert = 65533;  // of at most 65,534 experts

class PinChecker {
 public:
  explicit PinChecker(const CheckContext& context) : context_(context) {}

  CheckedValue check(ExprId id) {
    const Expr& e = context_.exprs[id];
    if (e.kind == ExprKind::call && context_.exprs.text_of(e) == "hottest") return hottest(e);
    if (e.kind != ExprKind::list) {
      const std::string written(context_.exprs.written(e));
      context_.diagnostics.error("MOE2004", e.span,
                                 fmt::format("`pin` takes a list of experts, not {}", quote(written)),
                                 fmt::format("write {}", quote("[" + written + "]")));
      return {};
    }
    PinList pins;
    bool all_good = true;
    for (const ExprId element : context_.exprs.operands_of(e)) {
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
  CheckedValue hottest(const Expr& e) {
    const auto arguments = context_.exprs.operands_of(e);
    if (arguments.size() != 1) {
      context_.diagnostics.error("MOE2021", e.span, fmt::format("`hottest` takes 1 argument, not {}", arguments.size()),
                                 "write, for example, `hottest(8)`");
      return {};
    }
    if (number(arguments[0], kMaxExpert + 1, "the number of experts")) {
      report_unsupported(context_.diagnostics, e.span, "hottest", "list the experts: `pin = [0, 1]`");
    }
    return {};
  }

  std::optional<ir::Pin> check_pin(ExprId id) {
    const Expr& e = context_.exprs[id];
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
    const Expr& e = context_.exprs[id];
    if (value.is_unknown()) return std::nullopt;
    if (value.type != Type::number || value.fractional || std::trunc(value.number) != value.number) {
      context_.diagnostics.error("MOE2004", e.span,
                                 fmt::format("{} is a whole number, not {}", what, quote(context_.exprs.written(e))));
      return std::nullopt;
    }
    if (value.number < 0 || value.number > most) {
      context_.diagnostics.error(
          "MOE2005", e.span,
          fmt::format("{} is out of range: {} is 0 to {}", quote(context_.exprs.written(e)), what, number_text(most)));
      return std::nullopt;
    }
    return static_cast<uint32_t>(value.number);
  }

  const CheckContext& context_;
};

}  // namespace

CheckedValue check_pins(const CheckContext& context, ExprId id) { return PinChecker(context).check(id); }

}  // namespace moe::frontend
