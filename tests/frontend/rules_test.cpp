// SPDX-License-Identifier: Apache-2.0
// adapt, choose, memory, per_layer, learn and tiers arrive in the IR as they were written.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <string>

#include "frontend/condition_range.h"
#include "frontend/frontend.h"

namespace {

using namespace moe;
using Kind = ir::RuleAction::Kind;

ir::Module compile_good(const std::string& text) {
  ir::Diagnostics diagnostics;
  const ir::SourceFile source("x.moe", text);
  auto module = frontend::compile_to_ir(source, {}, diagnostics);
  INFO(ir::render_text(source, diagnostics, false));
  REQUIRE(module.has_value());
  // The printed text says the same.
  ir::Diagnostics again;
  const ir::SourceFile printed("printed.moe", ir::print_text(*module));
  const auto reread = frontend::compile_to_ir(printed, {}, again);
  INFO(printed.text() << ir::render_text(printed, again, false));
  REQUIRE(reread.has_value());
  CHECK(*reread == *module);
  for (const ir::Policy& policy : module->policies) CHECK(ir::verify(policy).empty());
  return std::move(*module);
}

ir::Policy policy_of(const std::string& blocks, const std::string& cache = "capacity = 8") {
  return compile_good("policy p { cache { " + cache + " } " + blocks + " } policy q { cache { capacity = 4 } }")
      .policies.at(0);
}

// The condition of the policy's first rule.
ir::Expr condition_of(const std::string& text) {
  ir::Diagnostics diagnostics;
  const ir::SourceFile source("x.moe",
                              "policy p { cache { capacity = 8 } adapt { when " + text + " { capacity = 4 } } }");
  auto module = frontend::compile_to_ir(source, {}, diagnostics);
  INFO(ir::render_text(source, diagnostics, false));
  REQUIRE(module.has_value());
  return module->policies.at(0).adapt.at(0).condition;
}

}  // namespace

TEST_CASE("a rule with everything") {
  const ir::Policy policy = policy_of(
      "prefetch { strategy = gate } "
      "adapt { when hit_rate < 40% for 7 tokens cooldown 9 { capacity = 6 prefetch.budget = 2 use q rebalance uniform "
      "trigger memory_pressure signal low } revert }");
  REQUIRE(policy.adapt.size() == 1);
  const ir::AdaptRule& rule = policy.adapt[0];
  CHECK(ir::print_expr(rule.condition) == "hit_rate < 40%");
  CHECK(rule.stretch.value == 7);
  CHECK(rule.unit == ir::AdaptRule::Unit::tokens);
  CHECK(rule.cooldown.value == 9);
  CHECK(rule.revert);
  REQUIRE(rule.actions.size() == 6);
  CHECK(rule.actions[0].kind == Kind::assign);
  CHECK(rule.actions[0].assignment.key == ir::Key::capacity);
  CHECK(std::get<ir::Capacity>(rule.actions[0].assignment.value).amount == 6);
  CHECK(rule.actions[1].assignment.key == ir::Key::budget);
  CHECK(std::get<uint64_t>(rule.actions[1].assignment.value) == 2);
  CHECK(rule.actions[2].kind == Kind::use);
  CHECK(rule.actions[2].name == "q");
  CHECK(rule.actions[3].kind == Kind::rebalance);
  CHECK(rule.actions[3].allocation == ir::Allocation::uniform);
  CHECK(rule.actions[4].kind == Kind::trigger_pressure);
  CHECK(rule.actions[5].kind == Kind::signal);
  CHECK(rule.actions[5].name == "low");
}

TEST_CASE("a rule may say what a miss does") {
  const std::string arms = "on miss { when tokens > 2 -> load else -> cpu_load }";
  const ir::Policy policy = policy_of(
      "schedule { approximate = true } memory { budget = 1GB on shed { on miss { else "
      "-> skip } } } adapt { when stall_ms > 5ms { budget = 2 " +
      arms +
      " } revert }"
      " prefetch { strategy = gate }");
  REQUIRE(policy.adapt.at(0).actions.size() == 2);
  const ir::Assignment& assignment = policy.adapt[0].actions[1].assignment;
  CHECK(assignment.key == ir::Key::on_miss);
  CHECK(assignment.value == ir::KeyValue(policy_of("schedule { " + arms + " }").schedule.on_miss.value));
  const ir::Assignment& of_memory = policy.memory->on_shed.at(0).assignment;
  CHECK(std::get<std::vector<ir::Arm>>(of_memory.value).at(0).action == ir::MissAction::skip);
  CHECK(ir::exactness(policy) == ir::Exactness::approximate);
}

TEST_CASE("defaults of a rule: one dispatch, no cooldown, no revert") {
  const ir::AdaptRule rule = policy_of("adapt { when hit_rate < 0.4 { capacity = 6 } }").adapt.at(0);
  CHECK(rule.stretch.value == 1);
  CHECK(rule.unit == ir::AdaptRule::Unit::dispatches);
  CHECK(rule.cooldown.value == 0);
  CHECK(!rule.revert);
}

TEST_CASE("the old names of 1.4.2 in rules") {
  const ir::Policy policy = policy_of(
      "prefetch { strategy = gate budget = 2 } adapt { when hit_rate < 0.1 for 50 accesses { lfu_decay = 0.5 } "
      "when hit_rate < 0.2 { prefetch_strategy = history } when hit_rate < 0.3 { prefetch_budget = 3 } "
      "when eviction_rate > 0.4 { schedule_mode = cpu_fallback } }",
      "capacity = 8 eviction = lfu");
  const ir::Key expected[] = {ir::Key::frequency_decay, ir::Key::strategy, ir::Key::budget, ir::Key::mode};
  REQUIRE(policy.adapt.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(policy.adapt[i].actions.at(0).assignment.key == expected[i]);
  CHECK(policy.adapt[0].unit == ir::AdaptRule::Unit::accesses);
}

TEST_CASE("short forms come first, and take themselves back") {
  const ir::Policy policy =
      policy_of("adapt { when stall_ms > 5ms { ttl = 9 } }", "capacity = 16 : 8 when hit_rate < 0.4 ttl = 5");
  REQUIRE(policy.adapt.size() == 2);
  CHECK(policy.adapt[0].revert);
  CHECK(policy.adapt[0].actions.at(0).assignment.key == ir::Key::capacity);
  CHECK(!policy.adapt[1].revert);
}

TEST_CASE("alternatives: what use and choose name, each once, without rules") {
  const ir::Module module = compile_good(
      "policy p { cache { capacity = 8 } adapt { choose p, q by hit_rate every 500 dispatches explore 5% "
      "when hit_rate < 0.2 { use r } when hit_rate < 0.1 { use q } } }"
      "policy q { cache { capacity = 4 : 2 when hit_rate < 0.3 } }"
      "policy r { cache { capacity = 6 } memory { budget = 8GB on shed { capacity = 1 } } }");
  const ir::Policy& policy = module.policies.at(0);
  REQUIRE(policy.choose.size() == 1);
  CHECK(policy.choose[0].policies.size() == 2);
  CHECK(policy.choose[0].every.value == 500);
  CHECK(policy.choose[0].explore.value == 0.05);
  std::vector<std::string> names;
  for (const ir::Policy& other : policy.alternatives) {
    names.push_back(other.name.value);
    CHECK(other.adapt.empty());
    CHECK(other.choose.empty());
    CHECK((!other.memory || other.memory->on_shed.empty()));
  }
  CHECK(names.size() == 3);
  CHECK(module.policies.at(1).adapt.size() == 1);  // by itself it keeps them
}

TEST_CASE("a default budget follows the capacity that a rule sets") {
  const ir::Policy policy = policy_of("prefetch { strategy = gate } adapt { when hit_rate < 0.4 { capacity = 2 } }");
  REQUIRE(policy.adapt.at(0).actions.size() == 2);
  CHECK(policy.adapt[0].actions[1].assignment.key == ir::Key::budget);
  CHECK(std::get<uint64_t>(policy.adapt[0].actions[1].assignment.value) == 2);
}

TEST_CASE("memory") {
  const ir::Policy policy = policy_of(
      "memory { budget = 16GiB kv_reserve = 2GB warn = 70% shed = 0.9 on warn { capacity = 6 } on shed { capacity = 4 "
      "} }");
  REQUIRE(policy.memory);
  CHECK(policy.memory->budget->value == 17179869184U);
  CHECK(policy.memory->kv_reserve.value == 2000000000U);
  CHECK(policy.memory->warn.value == 0.7);
  CHECK(policy.memory->shed.value == 0.9);
  CHECK(policy.memory->on_warn.size() == 1);
  CHECK(policy.memory->on_shed.size() == 1);
  const ir::Policy defaults = policy_of("memory { budget = 16GB shed = 50% }");
  CHECK(defaults.memory->warn.value == 0.9 * 0.5);  // keeps below what was written
}

TEST_CASE("per_layer and learn") {
  const ir::Policy policy = policy_of(
      "per_layer { allocation = utility total_budget = 96 min_capacity = 3 max_capacity = 9 rebalance_interval = 0 "
      "entropy_window = 77 } learn { window = 12 discount = 0.5 rate = 2% profile = \"w.moeprof\" freeze = true }",
      "capacity = 8 eviction = least(value)");
  CHECK(policy.cache.scope.value == ir::Scope::layer);
  CHECK(policy.per_layer->allocation.value == ir::Allocation::utility);
  CHECK(policy.per_layer->total_budget->value == 96);
  CHECK(policy.per_layer->min_capacity.value == 3);
  CHECK(policy.per_layer->max_capacity.value == 9);
  CHECK(policy.per_layer->rebalance_interval.value == 0);
  CHECK(policy.per_layer->entropy_window.value == 77);
  CHECK(policy.learn->window.value == 12);
  CHECK(policy.learn->discount.value == 0.5);
  CHECK(policy.learn->rate.value == 0.02);
  CHECK(policy.learn->profile.value == "w.moeprof");
  CHECK(policy.learn->freeze.value);
  const ir::Policy fixed = policy_of("per_layer { capacities = [16, 8, 4] }");
  CHECK(fixed.per_layer->capacities.value == std::vector<uint32_t>{16, 8, 4});
}

TEST_CASE("tiers") {
  const ir::Policy policy = compile_good(R"(policy p { tiers {
      tier fast { location = gpu capacity = 20% }
      tier low  { location = gpu dtype = int4 group_size = 64 capacity = 4GB }
      tier host { location = host pinned = false }
      tier disk { location = disk path = "/models" }
      promote host -> low when predicted > 0.2
      demote fast -> low on evict
      precision = by (score) [bf16 >= 0.5, int8 >= 10%, int4]
      inclusive = false eviction = fifo direct = true } })")
                                .policies.at(0);
  REQUIRE(policy.tiers);
  const ir::TiersRule& tiers = *policy.tiers;
  REQUIRE(tiers.tiers.size() == 4);
  CHECK(tiers.tiers[0].capacity->value.ratio == 0.2);
  CHECK(!tiers.tiers[0].pinned.value);
  CHECK(tiers.tiers[1].dtype.value == ir::Dtype::int4);
  CHECK(tiers.tiers[1].group_size.value == 64);
  CHECK(tiers.tiers[1].capacity->value.amount == 4000000000U);
  CHECK(!tiers.tiers[2].pinned.value);
  CHECK(tiers.tiers[3].location.value == ir::Location::disk);
  CHECK(tiers.tiers[3].path.value == "/models");
  REQUIRE(tiers.moves.size() == 2);
  CHECK(tiers.moves[0].promote);
  CHECK(ir::print_expr(tiers.moves[0].condition) == "predicted > 0.2");
  CHECK(!tiers.moves[1].promote);
  CHECK(tiers.moves[1].condition.empty());
  CHECK(!tiers.inclusive.value);
  CHECK(tiers.direct.value);
  CHECK(tiers.eviction->value == ir::Eviction::fifo);
  REQUIRE(tiers.precision);
  REQUIRE(tiers.precision->value.rungs.size() == 3);
  CHECK(tiers.precision->value.rungs[1].dtype == ir::Dtype::int8);
  CHECK(tiers.precision->value.rungs[1].at_least == 0.1);
  const ir::Policy pinned = compile_good(
                                "policy p { tiers { tier fast { location = gpu } tier host { location = host } } "
                                "layers 0..3 { tiers { tier only { location = host } } } }")
                                .policies.at(0);
  CHECK(pinned.tiers->tiers[1].pinned.value);
  REQUIRE(pinned.bands.size() == 1);
  CHECK(pinned.bands[0].tiers->tiers.at(0).name.value == "only");
}

TEST_CASE("conditions: what can hold, worked by hand") {
  struct Case {
    const char* text;
    bool can_hold;
    bool can_fail;
  };
  const Case cases[] = {{"hit_rate < 0.5", true, true},
                        {"hit_rate > 1", false, true},
                        {"hit_rate >= 1", true, true},
                        {"1 < miss_rate", false, true},
                        {"hit_rate < 0", false, true},
                        {"stall_ms < 0ms", false, true},
                        {"hit_rate + miss_rate > 2", false, true},
                        {"hit_rate + miss_rate >= 2", true, true},
                        {"hit_rate - miss_rate > 1", false, true},
                        {"2 * hit_rate > 2", false, true},
                        {"-hit_rate > 0", false, true},
                        {"abs(hit_rate - miss_rate) > 1", false, true},
                        {"hit_rate / 2 > 0.5", false, true},
                        {"min(hit_rate, queue_depth) > 1", false, true},
                        {"max(hit_rate, queue_depth) > 1", true, true},
                        {"not (hit_rate <= 1)", false, true},
                        {"hit_rate > 1 or queue_depth > 4", true, true},
                        {"hit_rate > 1 and queue_depth > 4", false, true},
                        {"0.8 < hit_rate and hit_rate < 0.2", false, true},
                        {"clamp(queue_depth, 0, 3) > 3", false, true},
                        {"if batch > 1 then hit_rate > 1 else hit_rate > 2", false, true},
                        {"max_over(hit_rate, 5) > 1", false, true},
                        {"trend(hit_rate, 5) > 1", true, true},
                        {"batch >= 1", true, false},
                        {"hit_rate <= 1", true, false},
                        {"phase == prefill", true, true}};
  for (const Case& one : cases) {
    INFO(one.text);
    const frontend::Outcomes outcomes = frontend::outcomes_of(condition_of(one.text));
    CHECK(outcomes.can_hold == one.can_hold);
    CHECK(outcomes.can_fail == one.can_fail);
  }
  const ir::Expr in_decode = condition_of("phase == decode and hit_rate < 0.5");
  CHECK(!frontend::outcomes_of(in_decode, ir::Phase::prefill).can_hold);
  CHECK(frontend::outcomes_of(in_decode, ir::Phase::decode).can_hold);
}

TEST_CASE("regions of conditions") {
  const auto region = [](const char* text) { return frontend::region_of(condition_of(text)); };
  const auto a = region("hit_rate < 0.5");
  const auto b = region("hit_rate <= 0.5");
  const auto c = region("0.5 <= hit_rate");
  const auto d = region("0.5 < hit_rate and hit_rate < 0.7");
  REQUIRE((a && b && c && d));
  CHECK(b->contains(*a));
  CHECK(!a->contains(*b));
  CHECK(!a->meets(*c));
  CHECK(b->meets(*c));
  CHECK(c->contains(*d));
  CHECK(!b->meets(*d));
  CHECK(!region("hit_rate < 0.5 or hit_rate > 0.9"));
  CHECK(!region("hit_rate < 0.5 and queue_depth > 2"));
  CHECK(!region("hit_rate < miss_rate"));
}
