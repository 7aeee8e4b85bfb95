// SPDX-License-Identifier: Apache-2.0
#include "codegen/site_table.h"

#include <algorithm>

#include "codegen/sites.h"
#include "runtime/decision/layout.h"

// What values.h defines, compiled for every policy by any_policy_kernels.cpp.
#define MOE_VALUE_NAMES(use)                                                                                         \
  use(freq) use(recency) use(age) use(uses) use(seen) use(request_uses) use(idle) use(score) use(weight) use(tokens) \
      use(size) use(layer) use(expert) use(distance) use(load_ms) use(cpu_ms) use(position) use(resident)            \
          use(predicted) use(value) use(foretold)
#define MOE_DECLARE(name)                                                                   \
  double moe_value_##name(const moe::decision::Frame* frame, uint32_t key, uint32_t place); \
  double moe_victim_##name(const moe::decision::Frame* frame, uint32_t victim);
extern "C" {
MOE_VALUE_NAMES(MOE_DECLARE)
double moe_metric(const moe::decision::Frame* frame, uint32_t which);
double moe_look_back_avg_over(const moe::decision::Frame* frame, uint32_t which, uint32_t window);
double moe_look_back_max_over(const moe::decision::Frame* frame, uint32_t which, uint32_t window);
double moe_look_back_trend(const moe::decision::Frame* frame, uint32_t which, uint32_t window);
}

namespace moe::codegen {
namespace {

using ir::ExprOp;
using ir::Variable;
using Kind = EvalStep::Kind;

EvalStep number(double value) {
  EvalStep step;
  step.number = value;
  return step;
}

EvalStep by_key(size_t offset, bool of_victim) {
  EvalStep step;
  step.kind = Kind::by_key;
  step.is_victims = of_victim;
  step.offset = offset;
  return step;
}

EvalStep read_of(Variable variable, bool of_victim) {
  EvalStep step;
  step.kind = of_victim ? Kind::of_victim : Kind::of_expert;
  const auto set = [&](EvalStep::OfExpert value, EvalStep::OfVictim victim) {
    if (of_victim)
      step.of_victim = victim;
    else
      step.of_expert = value;
    return step;
  };
#define MOE_CASE(name) \
  case Variable::name: \
    return set(&moe_value_##name, &moe_victim_##name);
  switch (variable) {
    MOE_VALUE_NAMES(MOE_CASE)
    default:
      return number(0);
  }
#undef MOE_CASE
}

/// Makes the steps of one site; what each node comes to is what ExprEmitter (emit_expr.cpp) makes of it.
class Flattener {
 public:
  Flattener(const Program& program, const SiteExpr& site) : program_(program), site_(site) {}

  std::vector<EvalStep> steps() const {
    const std::vector<bool> needed = needed_nodes(program_, site_);
    std::vector<uint32_t> place(needed.size());
    std::vector<EvalStep> steps;
    for (size_t at = 0; at < needed.size(); ++at) {
      if (!needed[at]) continue;
      place[at] = static_cast<uint32_t>(steps.size());
      steps.push_back(step(at));
      if (steps.back().kind != Kind::apply) continue;
      for (uint32_t& operand : steps.back().arguments) operand = place[operand];
    }
    return steps;
  }

 private:
  EvalStep step(size_t at) const {
    const ir::ExprNode& node = site_.expr->nodes[at];
    if (const std::optional<uint32_t> part = kept_part(program_, site_, at)) {
      return by_key(layout_.steady + size_t{*part} * row(), false);
    }
    switch (node.op) {
      case ExprOp::constant:
        return number(node.number);
      case ExprOp::variable:
        return variable(node);
      case ExprOp::use_rate:
      case ExprOp::weight_rate:
        return rate(node);
      case ExprOp::avg_over:
      case ExprOp::max_over:
      case ExprOp::trend:
        return look_back(node);
      default:
        break;
    }
    EvalStep step;
    step.kind = Kind::apply;
    step.op = node.op;
    std::copy(node.operand.begin(), node.operand.end(), step.arguments);
    return step;
  }

  EvalStep variable(const ir::ExprNode& node) const {
    if (const std::optional<double> of_model = value_in_model(program_, node.variable)) return number(*of_model);
    if (is_counted(node.variable)) {
      EvalStep step;
      step.kind = Kind::metric;
      step.arguments[0] = static_cast<uint32_t>(counted_as(node.variable));
      return step;
    }
    if (!site_.of_expert || !is_kept(program_, node.variable)) return number(0);
    if (node.variable == Variable::seen) return by_key(layout_.seen, node.of_victim);
    return read_of(node.variable, node.of_victim);
  }

  EvalStep rate(const ir::ExprNode& node) const {
    if (!site_.of_expert) return number(0);
    const bool of_uses = node.op == ExprOp::use_rate;
    const size_t first = of_uses ? layout_.rates : layout_.predict.weight_rates;
    const size_t place = of_uses ? place_of(program_.rates, node) : place_of(program_.weight_rates, node);
    return by_key(first + place * row(), node.of_victim);
  }

  EvalStep look_back(const ir::ExprNode& node) const {
    EvalStep step;
    step.kind = Kind::look_back;
    step.arguments[0] = static_cast<uint32_t>(place_of(program_.remembered, node));
    step.arguments[1] = node.window;
    step.look_back = node.op == ExprOp::avg_over   ? &moe_look_back_avg_over
                     : node.op == ExprOp::max_over ? &moe_look_back_max_over
                                                   : &moe_look_back_trend;
    return step;
  }

  /// Bytes of a double for each key.
  size_t row() const { return size_t{program_.params.front().num_keys()} * sizeof(double); }

  const Program& program_;
  const SiteExpr& site_;
  const decision::Layout layout_ = decision::make_layout(program_.params.front());
};

}  // namespace

SiteTable::SiteTable(const Program& program) {
  for (const SiteExpr& site : all_sites(program)) add(program, site, sites_);
  for (const SiteExpr& condition : program.conditions) add(program, condition, conditions_);
}

void SiteTable::add(const Program& program, const SiteExpr& site, std::vector<Steps>& to) {
  if (site.expr->nodes.size() > kMostSteps) {
    complete_ = false;
    return;
  }
  if (to.size() <= site.site) to.resize(site.site + 1);
  to[site.site] = Flattener(program, site).steps();
}

double SiteTable::evaluate(const decision::Frame& frame, uint32_t site, uint32_t key, uint32_t place,
                           uint32_t victim) const {
  return site < sites_.size() ? run(sites_[site], frame, key, place, victim) : 0;
}

double SiteTable::condition(const decision::Frame& frame, uint32_t which) const {
  return which < conditions_.size() ? run(conditions_[which], frame, decision::kNone, decision::kNone, decision::kNone)
                                    : 0;
}

double SiteTable::run(const Steps& steps, const decision::Frame& frame, uint32_t key, uint32_t place, uint32_t victim) {
  if (steps.empty()) return 0;
  double values[kMostSteps];
  double* next = values;
  for (const EvalStep& step : steps) {
    const uint32_t* const arguments = step.arguments;
    double value = 0;
    switch (step.kind) {
      case Kind::number:
        value = step.number;
        break;
      case Kind::by_key: {
        const uint32_t of = step.is_victims ? victim : key;
        const char* const row = static_cast<const char*>(frame.block) + step.offset;
        value = of == decision::kNone ? 0 : reinterpret_cast<const double*>(row)[of];
        break;
      }
      case Kind::of_expert:
        value = step.of_expert(&frame, key, place);
        break;
      case Kind::of_victim:
        value = step.of_victim(&frame, victim);
        break;
      case Kind::metric:
        value = moe_metric(&frame, arguments[0]);
        break;
      case Kind::look_back:
        value = step.look_back(&frame, arguments[0], arguments[1]);
        break;
      case Kind::apply:
        value = ir::apply(step.op, values[arguments[0]], values[arguments[1]], values[arguments[2]]);
        break;
    }
    *next++ = value;
  }
  return next[-1];
}

}  // namespace moe::codegen
