// SPDX-License-Identifier: Apache-2.0
// From text to PolicyIR: expressions, rules, overrides, short forms and params.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <string>

#include "frontend/frontend.h"

namespace {

using namespace moe;
using ir::ExprOp;
using ir::Key;
using ir::Variable;

ir::Policy compile(const std::string& text, const frontend::LowerOptions& options = {}) {
  ir::Diagnostics diagnostics;
  const ir::SourceFile source("x.moe", text);
  auto module = frontend::compile_to_ir(source, options, diagnostics);
  INFO(ir::render_text(source, diagnostics, false));
  REQUIRE(module.has_value());
  CHECK(ir::verify(module->policies.at(0)).empty());
  return std::move(module->policies.at(0));
}

// The nodes of `least(E)`.
ir::Expr score(const std::string& expr, const std::string& members = "") {
  return compile("policy p { " + members + " cache { capacity = 8 eviction = least(" + expr + ") } }")
      .cache.eviction.value.value;
}

ir::Policy with(const std::string& blocks) { return compile("policy p { cache { capacity = 8 } " + blocks + " }"); }

const ir::ExprNode& operand(const ir::Expr& expr, size_t i) { return expr.nodes[expr.root().operand[i]]; }

}  // namespace

TEST_CASE("expressions: children before parents, operands in order") {
  const ir::Expr expr = score("freq / (1 + age)");
  REQUIRE(expr.nodes.size() == 5);
  CHECK(expr.root().op == ExprOp::divide);
  CHECK(operand(expr, 0).variable == Variable::freq);
  CHECK(operand(expr, 1).op == ExprOp::add);
  const ir::ExprNode& sum = operand(expr, 1);
  CHECK(expr.nodes[sum.operand[0]].number == 1);
  CHECK(expr.nodes[sum.operand[1]].variable == Variable::age);
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    for (size_t k = 0; k < ir::num_operands(expr.nodes[i].op); ++k) CHECK(expr.nodes[i].operand[k] < i);
  }
}

TEST_CASE("expressions: what is constant is folded, types stay") {
  CHECK(score("2 * 3 + 4").root().number == 10);
  CHECK(score("2 * 3 + 4").is_constant());
  CHECK(score("freq + (1 + 2)").nodes.size() == 3);
  CHECK(score("if 1 < 2 then 5 else freq").nodes.size() == 4);  // one branch is no constant
  CHECK(score("max(2, 7) * freq").nodes[0].number == 7);
  CHECK(score("50%").type() == ir::Type::ratio);
  CHECK(score("50%").root().number == 0.5);
  CHECK(score("3us").root().number == 0.003);
  CHECK(score("2KiB").root().number == 2048);
  CHECK(score("2KiB").type() == ir::Type::size);
  CHECK(score("load_ms * 2").type() == ir::Type::time);
  CHECK(score("load_ms / cpu_ms").type() == ir::Type::number);
  CHECK(score("score + freq").type() == ir::Type::number);
  CHECK(score("min(score, weight)").type() == ir::Type::ratio);
  CHECK(score("-freq").root().op == ExprOp::negate);
  CHECK(score("-3").root().number == -3);
  CHECK(score("freq % 2").root().op == ExprOp::modulo);
}

TEST_CASE("expressions: a bare literal beside a time or a size is of that type") {
  const auto arm = [](const std::string& condition) {
    return with("schedule { on miss { when " + condition + " -> cpu else -> load } }").schedule.on_miss.value.at(0);
  };
  CHECK(operand(arm("load_ms > 5").condition, 1).type == ir::Type::time);
  CHECK(operand(arm("5 < load_ms").condition, 0).type == ir::Type::time);
  CHECK(operand(arm("size > 1000000").condition, 1).type == ir::Type::size);
  CHECK(operand(arm("tokens > 5").condition, 1).type == ir::Type::number);
  CHECK(operand(arm("load_ms > -5").condition, 1).number == -5);
  CHECK(operand(arm("max(load_ms, 5) > cpu_ms").condition, 0).type == ir::Type::time);
  CHECK(operand(score("if tokens > 1 then load_ms else 5"), 2).type == ir::Type::time);
  CHECK(operand(score("load_ms * 5"), 1).type == ir::Type::number);
}

TEST_CASE("expressions: rates, histories, victims, phases") {
  ir::Expr expr = score("use_rate(24)");
  CHECK(expr.root().op == ExprOp::use_rate);
  CHECK(expr.root().window == 24);
  CHECK(expr.nodes.size() == 1);
  expr = score("weight_rate(8, 2)");
  CHECK(expr.root().window == 8);
  CHECK(expr.root().largest == 2);
  CHECK(score("weight_rate(8)").root().largest == 0);
  CHECK(score("request_uses").root().variable == Variable::request_uses);
  expr = score("avg_over(hit_rate, 10) + trend(stall_ms, 2 * 8)");
  REQUIRE(expr.nodes.size() == 3);
  CHECK(operand(expr, 0).op == ExprOp::avg_over);
  CHECK(operand(expr, 0).variable == Variable::hit_rate);
  CHECK(operand(expr, 1).window == 16);
  expr = score("if phase == decode then freq else 0");
  CHECK(operand(expr, 0).op == ExprOp::eq);
  CHECK(expr.nodes[operand(expr, 0).operand[1]].type == ir::Type::phase);
  CHECK(expr.nodes[operand(expr, 0).operand[1]].number == 1);

  const ir::Policy policy =
      compile("policy p { cache { capacity = 8 admit = when(predicted - victim(predicted) > victim(use_rate(9))) } }");
  CHECK(policy.cache.admit.value.kind == ir::Admit::when);
  const auto& nodes = policy.cache.admit.value.condition.nodes;
  REQUIRE(nodes.size() == 5);
  CHECK(!nodes[0].of_victim);
  CHECK(nodes[1].of_victim);
  CHECK(nodes[3].of_victim);
  CHECK(nodes[3].window == 9);
}

TEST_CASE("expressions: a table is nested conditionals with an index each") {
  CHECK(score("table(layer, 3, expert, 7)") == score("if layer < 1 then 3 else if layer < 2 then expert else 7"));
  CHECK(score("table(uses / 2, 1, 2) + 1") == score("(if uses / 2 < 1 then 1 else 2) + 1"));
  CHECK(score("table(i, a, 4)", "let i = floor(age) let a = freq + 1") ==
        score("if floor(age) < 1 then freq + 1 else 4"));
  CHECK(score("table(layer, load_ms, 5)") == score("if layer < 1 then load_ms else 5ms"));
  CHECK(score("table(layer, score, 5, weight)") ==
        score("if layer < 1 then score else if layer < 2 then 5 else weight"));
  // A known place leaves its entry: without its fraction, kept within the list.
  const std::vector<std::pair<std::string, std::string>> places = {
      {"-2.5", "freq"}, {"0.9", "freq"}, {"1", "(age + 1)"}, {"1.99", "(age + 1)"},
      {"2", "idle"},    {"70", "idle"},  {"k", "(age + 1)"}};
  for (const auto& [place, entry] : places) {
    CHECK(score("1 + table(" + place + ", freq, age + 1, idle)", "param k = 1") == score("1 + " + entry));
  }
  CHECK(score("table(2, 5, 6, 7)") == score("7"));
  CHECK(score("table(layer, seen)") == score("seen"));
  CHECK(score("floor(-2.5)").root().number == -3);
  CHECK(score("floor(load_ms)").type() == ir::Type::number);
}

TEST_CASE("lets and params are filled in") {
  CHECK(score("worth + 1", "param k = 3 let worth = freq * k") == score("freq * 3 + 1"));
  CHECK(score("b", "let a = freq + 1 let b = a * a") == score("(freq + 1) * (freq + 1)"));
  CHECK(score("if on then freq else k", "param on = true let k = 2 + 2").nodes.size() == 4);
  const std::string text = "policy p { let a = freq cache { capacity = 8 eviction = least(a) } }";
  const ir::SourceSpan span = compile(text).cache.eviction.value.value.root().span;
  CHECK(text.substr(span.begin, span.end - span.begin) == "a");
}

TEST_CASE("params are kept as they are printed") {
  const std::string text =
      "policy p { param n = 8 in [4, # few\n 8] param s = 25% in 10% .. 50% step 5% param h = [1, 2] "
      "cache { capacity = n } }";
  const ir::Policy policy = compile(text);
  REQUIRE(policy.params.size() == 3);
  CHECK(policy.params[0] == ir::Param{"n", "8", "[4, 8]"});
  CHECK(policy.params[1] == ir::Param{"s", "25%", "10% .. 50% step 5%"});
  CHECK(policy.params[2] == ir::Param{"h", "[1, 2]", ""});
  CHECK(compile(text, {{{"n", " 4 "}}}).params[0].value == "4");
}

TEST_CASE("every eviction, segments") {
  frontend::LowerOptions replay;
  replay.replay = true;
  const auto rule = [&](const std::string& text) {
    return compile("policy p { cache { capacity = 8 eviction = " + text + " } }", replay).cache.eviction.value;
  };
  for (int i = 0; i <= static_cast<int>(ir::Eviction::belady); ++i) {
    const auto eviction = static_cast<ir::Eviction>(i);
    CHECK(rule(std::string(to_word(eviction))) == eviction);
  }
  CHECK(rule("frequency_threshold") == ir::Eviction::freq_threshold);
  CHECK(rule("fallback") == rule("lfu | lru"));
  const ir::EvictionRule two = rule("s3_fifo | least(freq)");
  CHECK(two.kind == ir::Eviction::segmented);
  REQUIRE(two.segments.size() == 2);
  CHECK(two.segments[0] == ir::Eviction::s3_fifo);
  CHECK(two.segments[1].value.root().variable == Variable::freq);
}

TEST_CASE("prefetch and schedule") {
  const ir::PrefetchRule prefetch =
      with(
          "prefetch { strategy = gate | affinity | trajectory lookahead = all store = 7 profile = \"a.moeprof\" "
          "when = queue_depth < 4 admit = when(predicted > 0.5) evict = least(age) }")
          .prefetch;
  CHECK(prefetch.strategy.value.links ==
        std::vector{ir::Strategy::gate, ir::Strategy::affinity, ir::Strategy::trajectory});
  CHECK(prefetch.lookahead.value == ir::kAllLayers);
  CHECK(prefetch.store.value == 7);
  CHECK(prefetch.profile.value == "a.moeprof");
  CHECK(prefetch.when.value.root().op == ExprOp::lt);
  CHECK(prefetch.admit.value.kind == ir::Admit::when);
  CHECK(prefetch.evict->value.kind == ir::Eviction::least);
  CHECK(with("prefetch { strategy = gate when = true }").prefetch.when.value.empty());

  const ir::ScheduleRule schedule =
      with(
          "schedule { deadline = 2us max_loads = 0 approximate = true drop = when(weight < 5%) "
          "on miss { when tokens > 2 -> cpu_load else -> skip } }")
          .schedule;
  CHECK(schedule.deadline->value == 0.002);
  CHECK(schedule.max_loads->value == 0);
  CHECK(schedule.drop.value.root().op == ExprOp::lt);
  REQUIRE(schedule.on_miss.value.size() == 2);
  CHECK(schedule.on_miss.value[0].action == ir::MissAction::cpu_load);
  CHECK(schedule.on_miss.value[1].condition.empty());
  CHECK(schedule.on_miss.value[1].action == ir::MissAction::skip);
  const ir::ScheduleRule balance = with("schedule { mode = balance cpu_time = 0.1 + 0.2 * tokens }").schedule;
  CHECK(balance.mode.value == ir::ScheduleMode::balance);
  CHECK(balance.cpu_time.value.nodes.size() == 5);
  CHECK(balance.gpu_time.value.empty());
}

TEST_CASE("prefetch and schedule: processing order, side buffer, arrival") {
  const ir::PrefetchRule prefetch =
      with("prefetch { strategy = gate | most(seen - foretold) top = 3 side_buffer = true when = layer > 0 }").prefetch;
  CHECK(prefetch.strategy.value.links == std::vector{ir::Strategy::gate, ir::Strategy::most});
  CHECK(prefetch.strategy.value.value == score("seen - foretold"));
  CHECK(prefetch.top->value == 3);
  CHECK(prefetch.side_buffer.value);
  CHECK(prefetch.when.value.nodes[0].variable == Variable::layer);
  CHECK_FALSE(with("prefetch { strategy = gate top = none }").prefetch.top);

  const auto order = [](const std::string& value) { return with("schedule { order = " + value + " }").schedule.order; };
  CHECK(order("least(expert)").value == score("expert"));
  CHECK(order("most(tokens + 1)").value == score("-(tokens + 1)"));  // the IR holds what rises
  CHECK(order("most(4)").value.root().number == -4);
  CHECK(order("auto").value.empty());

  const ir::Policy policy = compile(
      "policy p { cache { capacity = 8 one_by_one = true } schedule { mode = balance max_loads = 1 "
      "loads_in_order = true cpu_setup = 0.79ms } layers 2..3 { schedule { on miss { else -> cpu_load } arrival = 2 "
      "order = most(position) cpu_setup = auto } } }");
  CHECK(policy.cache.one_by_one.value);
  CHECK(policy.schedule.loads_in_order.value);
  CHECK(policy.schedule.cpu_setup.value == ir::constant(0.79, ir::Type::time));
  CHECK(policy.schedule.arrival.value == 0);
  const auto& overrides = policy.bands.at(0).overrides;
  REQUIRE(overrides.size() == 4);
  CHECK(overrides[0].key == Key::on_miss);
  CHECK(std::get<uint64_t>(overrides[1].value) == 2);
  CHECK(std::get<ir::Expr>(overrides[2].value) == score("-position"));
  CHECK(std::get<ir::Expr>(overrides[3].value).empty());
}

TEST_CASE("pins and preloads") {
  const ir::CacheRule cache = compile(
                                  "policy p { cache { capacity = 50 pin = [1, hottest(4)] preload = "
                                  "[3:0..7, hottest(25%), hottest(all), all] } prefetch { profile = \"a\" } }")
                                  .cache;
  CHECK(cache.pins[1].value.hottest.amount == 4);
  REQUIRE(cache.preload.size() == 4);
  CHECK(cache.preload[0].value.layers->first == 3);
  CHECK(cache.preload[1].value.hottest.ratio == 0.25);
  CHECK(cache.preload[2].value.hottest.kind == ir::Capacity::Kind::automatic);
  CHECK(cache.preload[3].value.kind == ir::Pin::Kind::all);
}

TEST_CASE("short forms are reverting rules, in order of text, before the written ones") {
  const ir::Policy policy = compile(
      "policy p { prefetch { strategy = none : history when hit_rate < 0.4 } "
      "cache { capacity = 16 : 8 when hit_rate < 0.3 eviction = lru : lfu | lru when phase == prefill } "
      "adapt { when hit_rate < 0.1 { capacity = 12 } } }");
  CHECK(policy.cache.capacity.value.amount == 16);
  CHECK(policy.prefetch.strategy.value == ir::Strategy::none);
  REQUIRE(policy.adapt.size() == 4);
  CHECK(policy.adapt[0].actions.at(0).assignment.key == Key::strategy);
  CHECK(policy.adapt[1].actions.at(0).assignment.key == Key::capacity);
  CHECK(std::get<ir::Capacity>(policy.adapt[1].actions[0].assignment.value).amount == 8);
  CHECK(policy.adapt[2].actions.at(0).assignment.key == Key::eviction);
  CHECK(!policy.adapt[3].revert);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(policy.adapt[i].revert);
    CHECK(policy.adapt[i].stretch.value == 1);
    CHECK(policy.adapt[i].unit == ir::AdaptRule::Unit::dispatches);
    CHECK(policy.adapt[i].cooldown.value == 0);
  }
}

TEST_CASE("bands and phases are overrides") {
  const ir::Policy policy = compile(
      "policy p { param last = 3 cache { capacity = 8 scope = layer } "
      "layers 4..7 { schedule { on miss { else -> cpu } } cache { eviction = fifo capacity = 4 preload = all } } "
      "layers 0..last { cache { pin = [1] } } "
      "phase decode { prefetch { strategy = gate } } phase prefill { cache { ttl = none } } }");
  REQUIRE(policy.bands.size() == 2);
  CHECK(policy.bands[0].first == 0);
  CHECK(policy.bands[0].last == 3);
  CHECK(policy.bands[0].pins->size() == 1);
  CHECK(!policy.bands[0].preload);
  const ir::Band& band = policy.bands[1];
  REQUIRE(band.overrides.size() == 3);  // in order of the keys
  CHECK(band.overrides[0].key == Key::capacity);
  CHECK(band.overrides[1].key == Key::eviction);
  CHECK(std::get<ir::EvictionRule>(band.overrides[1].value) == ir::Eviction::fifo);
  CHECK(band.overrides[2].key == Key::on_miss);
  CHECK(std::get<std::vector<ir::Arm>>(band.overrides[2].value).at(0).action == ir::MissAction::cpu);
  CHECK(band.preload->at(0).value.kind == ir::Pin::Kind::all);
  REQUIRE(policy.phases.size() == 2);
  CHECK(policy.phases[0].phase == ir::Phase::decode);
  CHECK(policy.phases[1].phase == ir::Phase::prefill);
  CHECK(std::holds_alternative<std::monostate>(policy.phases[1].overrides.at(0).value));
}

TEST_CASE("defaults follow what an override writes") {
  const ir::Policy policy = compile(
      "policy p { cache { capacity = 8 } prefetch { strategy = history } phase prefill { cache { capacity = 3 } } "
      "phase decode { cache { memory_threshold = 0.5 } } }");
  REQUIRE(policy.phases[0].overrides.size() == 2);
  CHECK(policy.phases[0].overrides[1] == ir::Assignment{Key::budget, uint64_t{3}, {}});
  REQUIRE(policy.phases[1].overrides.size() == 2);
  CHECK(policy.phases[1].overrides[1] == ir::Assignment{Key::memory_headroom, 0.9 * 0.5, {}});
}

TEST_CASE("what MoE-PolicyLang 1.4.2 can write is accepted") {
  for (const char* text : {
           "version 0.7; policy policy { cache { capacity = 008 } }",
           "version 0 policy p { cache { capacity = 8; eviction = lru | lfu; pin = [] } }",
           "policy p { cache { capacity = 8 : 4 when hit_rate < .4 } prefetch { budget = 4 : 2 when hit_rate >= 5e-1 } "
           "}",
           "policy p { cache { capacity = 8 eviction = lru : lfu when eviction_rate != 0 } }",
           "policy p { cache { capacity = 8 eviction = lfu frequency_decay = 0.9 : 0.5 when hit_rate <= 0.5 } }",
           "policy p { cache { capacity = 8 eviction = fallback } }",
           "policy p { cache { capacity = 8 eviction = score | frequency_threshold } }",
           "policy p { cache { capacity = 1 eviction = lfu | lru } prefetch { budget = 1 } }",
           "policy p { cache { capacity = 8 eviction = frequency_threshold freq_threshold = .5 freq_window = 10 } }",
           "policy p { cache { capacity = 8 memory_threshold = 0.9 memory_headroom = 0.7 memory_budget_gb = 16.0 "
           "expert_size_gb = 1.2 ttl = 50 score_ema_alpha = 0.3 } }",
           "policy p { cache { capacity = 8 } prefetch { strategy = affinity : history when hit_rate < 0.4 lookahead = "
           "2 "
           "affinity_threshold = 0.3 history_window = 50 } }",
           "policy p { cache { capacity = 8 } prefetch { strategy = lookahead } schedule { mode = hybrid "
           "offload_threshold_ms = 12.5 overlap = true priority_routing = false } }",
           "policy p { cache { capacity = 8 } monitor { metrics = [hit_rate] window = 10 log_interval = 5 } }",
           "policy p { cache { capacity = 8 } adapt { when hit_rate < 0.4 for 100 accesses { eviction = lfu } "
           "when eviction_rate > 0.5 { prefetch_budget = 2 } when hit_rate < 0.1 { lfu_decay = 0.5 } "
           "when hit_rate < 0.2 { trigger memory_pressure } when hit_rate < 0.3 { schedule_mode = cpu_fallback } } }",
           "policy p { cache { capacity = 8 } per_layer { allocation = entropy entropy_window = 200 min_capacity = 2 "
           "max_capacity = 64 rebalance_interval = 500 total_budget = 100 } }",
           "policy p { cache { capacity = 8 } per_layer { allocation = uniform } adapt { when hit_rate < 0.4 "
           "{ rebalance entropy } } }",
       }) {
    ir::Diagnostics diagnostics;
    const ir::SourceFile source("x.moe", text);
    const bool good = frontend::compile_to_ir(source, {}, diagnostics).has_value();
    CHECK_MESSAGE(good, ir::render_text(source, diagnostics, false));
  }
}
