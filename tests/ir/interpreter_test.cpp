// SPDX-License-Identifier: Apache-2.0
// The interpreter against docs/semantics.md: loads, hits, victims, protection, pressure and TTL, worked by hand.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cmath>
#include <limits>

#include "tests/ir/scenario.h"

namespace moe::ir::test {
namespace {

TEST_CASE("lru: the smallest last use leaves") {
  run(one_layer(Eviction::lru, 2), {{0, {{0}}, "load 0"},
                                    {0, {{1}}, "load 1"},
                                    {0, {{0}}, "hit 0"},
                                    {0, {{2}}, "load 2, -0:1"},
                                    {0, {{1}}, "load 1, -0:0"}});
}

TEST_CASE("fifo: the earliest load leaves, used or not") {
  run(one_layer(Eviction::fifo, 2),
      {{0, {{0}}, "load 0"}, {0, {{1}}, "load 1"}, {0, {{0}}, "hit 0"}, {0, {{2}}, "load 2, -0:0"}});
}

TEST_CASE("lfu: frequencies decay before the access that is a multiple of the interval is counted") {
  BoundPolicy policy = one_layer(Eviction::lfu, 2);
  policy.decay_interval = 4;
  policy.frequency_decay = 0.5;
  // Access 4 halves 1 and 2 to 0.5 and 1, then counts: expert 1 has 1.5, expert 0 has 1.
  run(policy, {{0, {{1}}, "load 1"},
               {0, {{0}}, "load 0"},
               {0, {{0}}, "hit 0"},
               {0, {{1}}, "hit 1"},
               {0, {{2}}, "load 2, -0:0"}});
}

TEST_CASE("lfu: a tie goes to the earlier load") {
  run(one_layer(Eviction::lfu, 2), {{0, {{1}}, "load 1"}, {0, {{0}}, "load 0"}, {0, {{2}}, "load 2, -0:1"}});
}

TEST_CASE("score: the smallest moving average of weights leaves") {
  BoundPolicy policy = one_layer(Eviction::score, 2);
  policy.score_ema_alpha = 0.5;
  run(policy, {{0, {{0}}, "load 0", {0.25f}},
               {0, {{1}}, "load 1", {0.5f}},
               {0, {{0}}, "hit 0", {1.0f}},  // 0.625
               {0, {{2}}, "load 2, -0:1", {0.125f}},
               {0, {{3}}, "load 3, -0:2", {0.25f}}});
}

TEST_CASE("an expert's weight is the maximum of its selections") {
  Interpreter interpreter(one_layer(Eviction::score, 2));
  const auto decision =
      dispatch(interpreter, {0, {{3, 1}, {1, 3}, {2, 3}}, "", {0.5f, 0.25f, 0.75f, 0.125f, 1.0f, 0.625f}});
  REQUIRE(decision);
  const std::vector<ExpertDecision> expected{
      {3, Action::load, 3, 0.625}, {1, Action::load, 2, 0.75}, {2, Action::stream, 1, 1.0}};
  CHECK(decision->experts == expected);
}

TEST_CASE("protected: selected experts are no victims, and without a victim an expert streams") {
  run(one_layer(Eviction::lru, 2), {{0, {{0, 1}}, "load 0, load 1"},
                                    {0, {{2, 0}}, "load 2, hit 0, -0:1"},
                                    {0, {{3, 4}, {5, 6}}, "load 3, load 4, stream 5, stream 6, -0:2, -0:0"}});
}

TEST_CASE("protected: recency is the order of accesses, though hits move before misses load") {
  run(one_layer(Eviction::lru, 3), {{0, {{0, 1}}, "load 0, load 1"},
                                    {0, {{2, 0}}, "load 2, hit 0"},  // 2 was access 3, 0 was access 4
                                    {0, {{3}}, "load 3, -0:1"},
                                    {0, {{4}}, "load 4, -0:2"}});
}

TEST_CASE("not protected: access by access, an early expert may leave within its dispatch") {
  BoundPolicy policy = one_layer(Eviction::lru, 2);
  policy.protect_selected = false;
  run(policy, {{0, {{0, 1}, {2, 0}}, "load 0, load 1, load 2, -0:0"}, {0, {{0}}, "load 0, -0:1"}});
}

TEST_CASE("freq_threshold: residents below leave, newcomers below stream") {
  BoundPolicy policy = one_layer(Eviction::freq_threshold, 2);
  policy.freq_threshold = 0.5;
  policy.freq_window = 4;
  run(policy, {{0, {{0}}, "load 0"},            // 1/1
               {0, {{1}}, "load 1"},            // 0: 1/2, 1: 1/2, both reach it
               {0, {{0}}, "hit 0, -0:1"},       // 1: 1/3
               {0, {{1}}, "load 1"},            // 0: 2/4, 1: 2/4
               {0, {{2}}, "stream 2, -0:0"}});  // the window is 1 0 1 2: 0 and 2 have 1/4
}

TEST_CASE("freq_threshold: one who was hit may leave in the same dispatch") {
  BoundPolicy policy = one_layer(Eviction::freq_threshold, 2);
  policy.freq_threshold = 0.5;
  policy.freq_window = 4;
  run(policy, {{0, {{0}}, "load 0"}, {0, {{0, 1}, {2, 3}}, "hit 0, stream 1, stream 2, stream 3, -0:0"}});
}

TEST_CASE("freq_threshold: leaving is by smallest share, ties by the earlier load") {
  BoundPolicy policy = one_layer(Eviction::freq_threshold, 4);
  policy.freq_threshold = 0.3;
  policy.freq_window = 100;
  // Each is admitted with 1/3. Six accesses later 2 and 0 have 1/9 and 1, though loaded before 0, has 2/9.
  run(policy,
      {{0, {{2, 1}, {0, 2}}, "load 2, load 1, load 0"},
       {0, {{1, 3}, {4, 5}, {6, 7}}, "hit 1, stream 3, stream 4, stream 5, stream 6, stream 7, -0:2, -0:0, -0:1"}});
}

TEST_CASE("freq_threshold: a full instance loses the smallest share") {
  BoundPolicy policy = one_layer(Eviction::freq_threshold, 1);
  policy.freq_threshold = 0;
  SUBCASE("protected: the newcomer is no candidate") {
    run(policy, {{0, {{0}}, "load 0"}, {0, {{0}}, "hit 0"}, {0, {{1}}, "load 1, -0:0"}});
  }
  SUBCASE("not protected: it is, and streams when its share alone is smallest") {
    policy.protect_selected = false;
    run(policy, {{0, {{0}}, "load 0"},
                 {0, {{0}}, "hit 0"},
                 {0, {{1}}, "stream 1"},        // 2/3 against 1/3
                 {0, {{1}}, "load 1, -0:0"}});  // 2/4 against 2/4: not alone
  }
}

TEST_CASE("ttl: counts accesses of the instance, and protection does not apply") {
  BoundPolicy policy = one_layer(Eviction::lru, 4);
  policy.ttl = 3;
  run(policy, {{0, {{0}}, "load 0"}, {0, {{1}}, "load 1"}, {0, {{1}}, "hit 1"}, {0, {{1}}, "hit 1, -0:0"}});
  policy.ttl = 2;
  run(policy, {{0, {{0, 1}, {2, 3}}, "load 0, load 1, load 2, load 3, -0:0, -0:1"}});
}

TEST_CASE("ttl under scope = layer: another layer's accesses do not age") {
  BoundPolicy policy = several_layers(2, 4);
  policy.scope = Scope::layer;
  policy.ttl = 1;
  run(policy, {{0, {{0}}, "load 0"}, {1, {{1}}, "load 1"}, {1, {{2}}, "load 2, -1:1"}, {0, {{0}}, "hit 0"}});
}

BoundPolicy under_pressure(BoundPolicy policy, double budget_gb, double threshold, double headroom) {
  policy.expert_size_gb = 1;
  policy.memory_budget_gb = budget_gb;
  policy.memory_threshold = threshold;
  policy.memory_headroom = headroom;
  return policy;
}

TEST_CASE("pressure: unselected experts go first, selected ones when they must") {
  const BoundPolicy policy = under_pressure(one_layer(Eviction::lru, 4), 4, 0.75, 0.5);
  run(policy, {{0, {{0}}, "load 0"},
               {0, {{1}}, "load 1"},
               {0, {{2}}, "load 2, -0:0"},
               {0, {{3, 4}, {5, 6}}, "load 3, load 4, load 5, load 6, -0:1, -0:2, -0:3, -0:4"}});
}

TEST_CASE("pressure without protection: checked at every access") {
  BoundPolicy policy = under_pressure(one_layer(Eviction::lru, 4), 4, 0.75, 0.5);
  policy.protect_selected = false;
  run(policy, {{0, {{0, 1}, {2, 3}}, "load 0, load 1, load 2, load 3, -0:0, -0:1"}});
}

TEST_CASE("pressure under scope = layer: own instance first, then the next ones, wrapping") {
  BoundPolicy policy = under_pressure(several_layers(3, 2), 6, 0.5, 0.34);
  policy.scope = Scope::layer;
  SUBCASE("protected: layer 2's only resident is selected, so layer 0 is next") {
    run(policy, {{0, {{0}}, "load 0"}, {1, {{0}}, "load 0"}, {2, {{0}}, "load 0, -0:0"}});
  }
  SUBCASE("not protected") {
    policy.protect_selected = false;
    run(policy, {{0, {{0}}, "load 0"}, {1, {{0}}, "load 0"}, {2, {{0}}, "load 0, -2:0"}});
  }
}

TEST_CASE("pressure stops at pinned experts") {
  BoundPolicy policy = under_pressure(one_layer(Eviction::lru, 4), 4, 0.5, 0.25);
  policy.pins = {5, 6};
  run(policy, {{0, {{0}}, "load 0, -0:0"}, {0, {{5, 6}}, "hit 5, hit 6"}});
}

TEST_CASE("pins are resident from the start and never leave") {
  BoundPolicy policy = one_layer(Eviction::lru, 2);
  policy.pins = {5};
  run(policy,
      {{0, {{0}}, "load 0"}, {0, {{1}}, "load 1, -0:0"}, {0, {{5}}, "hit 5"}, {0, {{2}}, "load 2, -0:1", {}, {5}}});
  policy.pins = {4, 5};
  run(policy, {{0, {{0}}, "stream 0"}, {0, {{5}}, "hit 5"}});
}

TEST_CASE("admit = never: only pins are resident") {
  BoundPolicy policy = one_layer(Eviction::lru, 2);
  policy.admit = Admit::never;
  policy.pins = {5};
  run(policy, {{0, {{0}}, "stream 0"}, {0, {{0, 5}}, "stream 0, hit 5"}});
}

TEST_CASE("what a miss does") {
  BoundPolicy policy = one_layer(Eviction::lru, 1);
  policy.miss = MissAction::cpu;
  run(policy, {{0, {{0}}, "cpu 0"}, {0, {{0}}, "cpu 0"}});
  policy.miss = MissAction::cpu_load;
  run(policy, {{0, {{0, 1}}, "cpu_load 0, cpu 1"}, {0, {{0}}, "hit 0"}});
}

TEST_CASE("dropped keys leave first; unknown, repeated and pinned ones are ignored") {
  run(one_layer(Eviction::lru, 2), {{0, {{0, 1}}, "load 0, load 1"},
                                    {0, {{0}}, "hit 0, -0:1", {}, {1, 1, 7, 999}},
                                    {0, {{0}}, "load 0, -0:0", {}, {0}}});
}

TEST_CASE("scope = layer: every layer has its own places") {
  BoundPolicy policy = several_layers(2, 1);
  policy.scope = Scope::layer;
  run(policy, {{0, {{0}}, "load 0"}, {1, {{0}}, "load 0"}, {1, {{1}}, "load 1, -1:0"}, {0, {{0}}, "hit 0"}});
}

TEST_CASE("scope = global: an expert of one layer never hits for another") {
  run(several_layers(2, 2),
      {{0, {{3}}, "load 3"}, {1, {{3}}, "load 3"}, {0, {{3}}, "hit 3"}, {0, {{1}}, "load 1, -1:3"}});
}

TEST_CASE("padding is skipped; a dispatch of nothing decides nothing") {
  run(one_layer(Eviction::lru, 2),
      {{0, {{kNoExpert, 3}}, "load 3", {std::nanf(""), 0.5f}}, {0, {{kNoExpert}}, ""}, {0, {}, ""}});
}

TEST_CASE("an invalid dispatch changes nothing") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<Row> invalid{
      {1, {{0, 1}}, ""},                 // no such layer
      {0, {{0, 8}}, ""},                 // no such expert
      {0, {{0, -1}}, ""},                //
      {0, {{0, 1}, {2, 2}}, ""},         // twice in one set
      {0, {{0, 1}}, "", {1.0f}},         // a weight is missing
      {0, {{0, 1}}, "", {1.0f, nan}},    //
      {0, {{0, 1}}, "", {1.0f, inf}},    //
      {0, {{0, 1}}, "", {1.0f, -0.5f}},  //
  };
  BoundPolicy policy = one_layer(Eviction::lru, 3);
  policy.ttl = 3;
  Interpreter interpreter(policy);
  run(interpreter, 8, {{0, {{6, 7}}, "load 6, load 7"}});
  for (const Row& row : invalid) {
    CHECK_FALSE(dispatch(interpreter, row));
    CHECK(interpreter.resident() == std::vector<uint32_t>{6, 7});
  }
  run(interpreter, 8, {{0, {{7}}, "hit 7"}, {0, {{5}}, "load 5, -0:6"}});
}

TEST_CASE("padding is invalid where it is not allowed") {
  Interpreter interpreter(one_layer(Eviction::lru, 2));
  const std::vector<int32_t> ids{3, kNoExpert};
  DispatchInput input;
  input.num_tokens = 1;
  input.top_k = 2;
  input.ids = ids;
  CHECK_FALSE(interpreter.dispatch(input));
  input.allow_padding = true;
  CHECK(interpreter.dispatch(input));
  input.num_tokens = 2;  // ids for one token only
  CHECK_FALSE(interpreter.dispatch(input));
}

}  // namespace
}  // namespace moe::ir::test
