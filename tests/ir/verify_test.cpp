// SPDX-License-Identifier: Apache-2.0
// verify(): random policies hold, and each way of breaking one is found. exactness() and timing_free() over everything
// that can be in force.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <functional>

#include "tests/ir/random_ir.h"

namespace moe::ir::test {
namespace {

Expr read(Variable v) {
  ExprNode node;
  node.op = ExprOp::variable;
  node.variable = v;
  node.type = type_of(v);
  return {{node}};
}

Expr below(Variable v, double limit) {
  Expr expr = read(v);
  expr.nodes.push_back(constant(limit, type_of(v)).nodes[0]);
  ExprNode root;
  root.op = ExprOp::lt;
  root.type = Type::boolean;
  root.operand = {0, 1, 0};
  expr.nodes.push_back(root);
  return expr;
}

AdaptRule rule_of(Expr condition, RuleAction action) {
  AdaptRule rule;
  rule.condition = std::move(condition);
  rule.actions = {std::move(action)};
  return rule;
}

RuleAction set(Key key, KeyValue value) {
  RuleAction action;
  action.assignment = {key, std::move(value), {10, 20}};
  return action;
}

Arm arm(MissAction action, Expr condition = {}) { return {std::move(condition), action, {}}; }

Policy base() { return policy_of(slots(8)); }

Policy with(const std::function<void(Policy&)>& change) {
  Policy policy = base();
  change(policy);
  return policy;
}

TEST_CASE("random policies hold") {
  for (uint64_t seed = 1000; seed < 1300; ++seed) {
    CAPTURE(seed);
    CHECK(verify(RandomIr(seed).policy()).empty());
  }
}

TEST_CASE("each broken expression is found") {
  const auto least = [](Expr expr) {
    return with([&](Policy& p) {
      p.cache.eviction.value.kind = Eviction::least;
      p.cache.eviction.value.value = std::move(expr);
    });
  };
  const auto broken = [&](const std::function<void(Expr&)>& damage) {
    Expr expr = read(Variable::recency);
    expr.nodes.push_back(read(Variable::age).nodes[0]);
    ExprNode sum;
    sum.op = ExprOp::add;
    sum.operand = {0, 1, 0};
    expr.nodes.push_back(sum);
    damage(expr);
    return !verify(least(expr)).empty();
  };
  CHECK_FALSE(broken([](Expr&) {}));
  CHECK(broken([](Expr& e) { e.nodes.clear(); }));
  CHECK(broken([](Expr& e) { e.nodes[2].operand[1] = 2; }));
  CHECK(broken([](Expr& e) { e.nodes[2].operand[1] = 0; }));
  CHECK(broken([](Expr& e) { e.nodes[2].type = Type::ratio; }));
  CHECK(broken([](Expr& e) { e.nodes[0].type = Type::time; }));
  CHECK(broken([](Expr& e) { e.nodes[0] = read(Variable::size).nodes[0]; }));
  CHECK(broken([](Expr& e) { e.nodes[0].of_victim = true; }));
  CHECK(broken([](Expr& e) { e.nodes[2].op = static_cast<ExprOp>(200); }));
  CHECK(broken([](Expr& e) { e.nodes[0] = e.nodes[1] = constant(1).nodes[0]; }));
  CHECK(broken([](Expr& e) { e.nodes[0].op = ExprOp::avg_over, e.nodes[0].window = 8; }));
  CHECK(broken([](Expr& e) { e.nodes[0].op = ExprOp::use_rate, e.nodes[0].type = Type::ratio; }));
  CHECK(broken([](Expr& e) { e.nodes[2].op = ExprOp::lt, e.nodes[2].type = Type::boolean; }));
}

TEST_CASE("each broken part is found") {
  const Expr rare = below(Variable::hit_rate, 0.5);
  const std::vector<std::function<void(Policy&)>> damages = {
      [](Policy& p) { p.cache.eviction.value.kind = Eviction::segmented; },
      [](Policy& p) { p.cache.eviction.value.segments = {Eviction::lru, Eviction::lfu}; },
      [](Policy& p) { p.cache.admit.value.kind = Admit::when; },
      [](Policy& p) { p.cache.admit = AdmitRule(Admit::when), p.cache.admit.value.condition = read(Variable::freq); },
      [](Policy& p) { p.prefetch.strategy.value.links.clear(); },
      [](Policy& p) { p.prefetch.strategy.value.links = {Strategy::gate, Strategy::none}; },
      [](Policy& p) { p.prefetch.strategy.value.links = {Strategy::gate, Strategy::gate}; },
      [](Policy& p) { p.prefetch.when.value = below(Variable::freq, 1); },
      [](Policy& p) { p.prefetch.store.value = 0; },
      [](Policy& p) { p.prefetch.top = written(0u); },
      [](Policy& p) { p.prefetch.strategy = StrategyChain(Strategy::most); },
      [](Policy& p) { p.prefetch.strategy.value.value = read(Variable::seen); },
      [](Policy& p) { p.prefetch.when.value = below(Variable::position, 2); },
      [](Policy& p) { p.schedule.order.value = below(Variable::weight, 0.1); },
      [](Policy& p) { p.schedule.order.value = read(Variable::foretold); },
      [](Policy& p) { p.schedule.cpu_setup.value = read(Variable::size); },
      [&](Policy& p) { p.schedule.on_miss.value = {arm(MissAction::load, rare)}; },
      [](Policy& p) { p.schedule.on_miss.value = {arm(MissAction::load), arm(MissAction::cpu)}; },
      [](Policy& p) { p.schedule.on_miss.value = {arm(MissAction::skip)}; },
      [](Policy& p) { p.schedule.drop.value = below(Variable::weight, 0.1); },
      [](Policy& p) { p.schedule.gpu_time.value = read(Variable::size); },
      [](Policy& p) { p.schedule.deadline = written(0.0); },
      [](Policy& p) { p.learn.emplace().rate.value = 0; },
      [](Policy& p) { p.per_layer.emplace().min_capacity.value = 65; },
      [](Policy& p) { p.tiers.emplace(); },
      [](Policy& p) { p.memory.emplace().warn.value = 0; },
      [](Policy& p) { p.bands = {{3, 2, {}, {}, {}, {}, {}}}; },
      [](Policy& p) { p.bands = {{0, 2, {}, {}, {}, {}, {}}, {2, 3, {}, {}, {}, {}, {}}}; },
      [](Policy& p) { p.bands = {{0, 2, {{Key::ttl, true, {}}}, {}, {}, {}, {}}}; },
      [](Policy& p) { p.bands = {{0, 2, {{Key::ttl, uint64_t{0}, {}}}, {}, {}, {}, {}}}; },
      [](Policy& p) { p.phases = {{Phase::decode, {}, {}}, {Phase::decode, {}, {}}}; },
      [&](Policy& p) { p.adapt = {rule_of(rare, set(Key::capacity, slots(0)))}; },
      [&](Policy& p) { p.adapt = {rule_of(rare, {})}; },
      [&](Policy& p) { p.adapt = {rule_of({}, set(Key::capacity, slots(2)))}; },
      [&](Policy& p) { p.adapt = {rule_of(below(Variable::freq, 1), set(Key::capacity, slots(2)))}; },
      [&](Policy& p) {
        p.adapt = {rule_of(rare, {})};
        p.adapt[0].actions[0].kind = RuleAction::Kind::use;
        p.adapt[0].actions[0].name = "nobody";
      },
      [](Policy& p) { p.choose.emplace_back().reward = read(Variable::hit_rate); },
      [](Policy& p) { p.alternatives = {base(), base()}; },
  };
  CHECK(verify(base()).empty());
  for (size_t i = 0; i < damages.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(verify(with(damages[i])).empty());
  }
}

TEST_CASE("the output changes with the worst of what can be in force") {
  CHECK(exactness(base()) == Exactness::exact);
  const auto of = [](const std::function<void(Policy&)>& change) { return exactness(with(change)); };
  const Expr rare = below(Variable::hit_rate, 0.5);
  CHECK(of([](Policy& p) { p.schedule.mode = ScheduleMode::hybrid; }) == Exactness::exact_on_host);
  CHECK(of([](Policy& p) {
          p.schedule.mode = ScheduleMode::hybrid;
          p.schedule.on_miss.value = {arm(MissAction::load)};  // replaces the mode
        }) == Exactness::exact);
  CHECK(of([](Policy& p) { p.schedule.max_loads = written(3u); }) == Exactness::exact_on_host);
  CHECK(of([](Policy& p) {
          p.phases = {{Phase::decode, {{Key::on_miss, std::vector<Arm>{arm(MissAction::cpu)}, {}}}, {}}};
        }) == Exactness::exact_on_host);
  CHECK(of([&](Policy& p) { p.adapt = {rule_of(rare, set(Key::on_miss, std::vector<Arm>{arm(MissAction::skip)}))}; }) ==
        Exactness::approximate);
  CHECK(of([](Policy& p) { p.schedule.drop.value = below(Variable::weight, 0.1); }) == Exactness::approximate);
  CHECK(of([](Policy& p) { p.tiers.emplace().tiers.emplace_back().dtype = Dtype::int4; }) == Exactness::approximate);
  CHECK(of([](Policy& p) {
          p.alternatives = {with([](Policy& other) { other.schedule.mode = ScheduleMode::cpu_fallback; })};
        }) == Exactness::exact_on_host);
}

TEST_CASE("decisions are free of time when nothing measured takes part") {
  const auto of = [](const std::function<void(Policy&)>& change) { return timing_free(with(change)); };
  CHECK(timing_free(base()));
  CHECK(of([](Policy& p) { p.adapt = {rule_of(below(Variable::hit_rate, 0.5), set(Key::capacity, slots(2)))}; }));
  CHECK_FALSE(of([](Policy& p) { p.adapt = {rule_of(below(Variable::stall_ms, 5), set(Key::capacity, slots(2)))}; }));
  CHECK_FALSE(of([](Policy& p) { p.schedule.deadline = written(2.0); }));
  CHECK_FALSE(of([](Policy& p) { p.schedule.mode = ScheduleMode::hybrid; }));
  CHECK_FALSE(of([](Policy& p) { p.schedule.mode = ScheduleMode::balance; }));
  CHECK(of([](Policy& p) {
    p.schedule.mode = ScheduleMode::balance;
    p.schedule.gpu_time.value = p.schedule.cpu_time.value = p.schedule.load_time.value = read(Variable::tokens);
  }));
  const auto gate = [](Policy& p) { p.prefetch.strategy = StrategyChain(Strategy::gate); };
  CHECK_FALSE(of(gate));
  CHECK(of([&](Policy& p) { gate(p), p.prefetch.cancel_stale = false; }));
  CHECK_FALSE(of([&](Policy& p) {
    gate(p), p.prefetch.cancel_stale = false;
    p.adapt = {rule_of(below(Variable::hit_rate, 0.5), set(Key::eviction, EvictionRule(Eviction::freq_threshold)))};
  }));
  CHECK_FALSE(of([&](Policy& p) { p.alternatives = {with(gate)}; }));
}

}  // namespace
}  // namespace moe::ir::test
