// SPDX-License-Identifier: Apache-2.0
// The interpreter's prefetches against docs/semantics.md, worked by hand.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "tests/ir/scenario.h"

namespace moe::ir::test {
namespace {

// Keys of several_layers().
uint32_t key(uint32_t layer, uint32_t expert) { return layer * 8 + expert; }

void give_hint(Interpreter& interpreter, uint32_t layer, const std::vector<uint32_t>& ids,
               const std::vector<float>& probs) {
  CHECK(interpreter.hint(layer, ids, probs));
}

TEST_CASE("history: a victim must be less likely than the candidate") {
  BoundPolicy policy = several_layers(2, 4, Strategy::history);
  // The last row: layer 0 has used 0, 2, 1 once each (1/3). 0:0 is not resident. Of the others, 1:1 is selected, 0:2
  // and 0:1 are as likely as 0:0, and nothing is said about layer 1 now: 1:3 leaves.
  run(policy, {{0, {{0}}, "load 0"},
               {1, {{1}}, "load 1"},
               {0, {{2}}, "load 2"},
               {1, {{3}}, "load 3"},
               {0, {{1}}, "load 1, -0:0"},
               {1, {{1}}, "hit 1, -1:3, +0:0"}});
}

TEST_CASE("history: most frequent first, then more recent, then lower id; budget counts what is tried") {
  BoundPolicy policy = several_layers(2, 8, Strategy::history);
  policy.budget = 3;
  const std::vector<uint32_t> all{key(1, 1), key(1, 2), key(1, 3), key(1, 4), key(1, 5)};
  run(policy, {{1, {{1, 2}}, "load 1, load 2"},
               {1, {{1, 3}}, "hit 1, load 3"},
               {1, {{5, 4}}, "load 5, load 4"},
               {0, {{0}}, "load 0, -1:1, -1:2, -1:3, -1:4, -1:5, +1:1, +1:4, +1:5", {}, all}});
}

TEST_CASE("history: the window forgets, and counts dispatches without experts") {
  BoundPolicy policy = several_layers(2, 8, Strategy::history);
  policy.history_window = 2;
  policy.min_probability = 0.75;
  const std::vector<uint32_t> gone{key(1, 1), key(1, 2)};
  run(policy, {{1, {{1}}, "load 1"},
               {1, {{2}}, "load 2"},
               {1, {{2}}, "hit 2"},
               {0, {{0}}, "load 0, -1:1, -1:2, +1:2", {}, gone},  // 2/2; expert 1 is forgotten
               {1, {{kNoExpert}}, ""},
               {0, {{0}}, "hit 0, -1:2", {}, gone}});  // 1/2 is below 0.75
}

TEST_CASE("history: lookahead reaches over the last layer into the first") {
  BoundPolicy policy = several_layers(3, 8, Strategy::history);
  policy.lookahead = 2;
  run(policy, {{0, {{4}}, "load 4"}, {1, {{1}}, "load 1, -0:4, +0:4", {}, {key(0, 4)}}});
}

TEST_CASE("history: a target that is the dispatching layer itself does not fetch what is selected") {
  BoundPolicy policy = several_layers(1, 1, Strategy::history);
  run(policy, {{0, {{1}}, "load 1"}, {0, {{2, 3}}, "load 2, stream 3, -0:1"}});
}

TEST_CASE("lookahead: nearest layer first, each layer once") {
  BoundPolicy policy = several_layers(3, 8, Strategy::lookahead);
  policy.lookahead = 9;
  const std::vector<uint32_t> gone{key(2, 2), key(1, 1)};
  const std::vector<Row> first{{0, {{0}}, "load 0"}, {1, {{1}}, "load 1"}, {2, {{2}}, "load 2"}};
  SUBCASE("budget for all") {
    Interpreter interpreter(policy);
    run(interpreter, 8, first);
    run(interpreter, 8, {{0, {{0}}, "hit 0, -2:2, -1:1, +1:1, +2:2", {}, gone}});
  }
  SUBCASE("budget for one") {
    policy.budget = 1;
    Interpreter interpreter(policy);
    run(interpreter, 8, first);
    run(interpreter, 8, {{0, {{0}}, "hit 0, -2:2, -1:1, +1:1", {}, gone}});
  }
  SUBCASE("one layer ahead") {
    policy.lookahead = 1;
    Interpreter interpreter(policy);
    run(interpreter, 8, first);
    run(interpreter, 8, {{0, {{0}}, "hit 0, -2:2, -1:1, +1:1", {}, gone}});
  }
}

TEST_CASE("gate: most probable first, ties as hinted, used up by the layer's dispatch") {
  BoundPolicy policy = several_layers(2, 3, Strategy::gate);
  policy.budget = 2;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3, 4, 5}, {0.25f, 0.5f, 0.25f});
  run(interpreter, 8,
      {{0, {{0}}, "load 0, +1:4, +1:3"},
       {1, {{6}}, "load 6, -0:0"},    // last use 1, as both prefetched, and loaded first
       {0, {{0}}, "load 0, -1:4"}});  // no hint is left
}

TEST_CASE("gate: a later hint replaces an earlier one, min_probability filters before the budget") {
  BoundPolicy policy = several_layers(2, 8, Strategy::gate);
  policy.budget = 1;
  policy.min_probability = 0.5;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {0.75f});
  give_hint(interpreter, 1, {5, 6}, {0.25f, 0.5f});
  run(interpreter, 8, {{0, {{0}}, "load 0, +1:6"}});
}

TEST_CASE("gate: the budget goes to what is not there yet, and a candidate without a victim has used its part") {
  BoundPolicy policy = several_layers(2, 2, Strategy::gate);
  policy.budget = 2;
  policy.scope = Scope::layer;
  policy.pins = {key(1, 0)};
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {0, 1, 2, 3}, {1.0f, 0.5f, 0.5f, 0.25f});
  // 1:0 is resident. 1:1 takes the free place; 1:2 is as likely as 1:1, so it finds no victim; 1:3 is beyond the
  // budget.
  run(interpreter, 8, {{0, {{0}}, "load 0, +1:1"}});
}

TEST_CASE("gate: an invalid hint is ignored") {
  BoundPolicy policy = several_layers(2, 8, Strategy::gate);
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {0.5f});
  const auto refused = [&](uint32_t layer, std::vector<uint32_t> ids, std::vector<float> probs) {
    CHECK_FALSE(interpreter.hint(layer, ids, probs));
  };
  refused(2, {1}, {0.5f});
  refused(1, {8}, {0.5f});
  refused(1, {1, 1}, {0.5f, 0.5f});
  refused(1, {1}, {1.5f});
  refused(1, {1}, {-0.5f});
  refused(1, {1}, {std::nanf("")});
  refused(1, {1, 2}, {0.5f});
  run(interpreter, 8, {{0, {{0}}, "load 0, +1:3"}});
}

TEST_CASE("a prefetch never takes a selected expert's place, protected or not") {
  BoundPolicy policy = several_layers(2, 1, Strategy::gate);
  policy.protect_selected = false;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {1.0f});
  run(interpreter, 8, {{0, {{0}}, "load 0"}});
}

TEST_CASE("a prefetched expert starts with no use: lfu gives it up first") {
  BoundPolicy policy = several_layers(2, 2, Strategy::gate);
  policy.eviction = Eviction::lfu;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {0.5f});
  run(interpreter, 8, {{0, {{0}}, "load 0, +1:3"}, {0, {{1}}, "load 1, -1:3, -0:0, +1:3"}});  // the hint still holds
}

TEST_CASE("a prefetched expert's score starts at its probability") {
  BoundPolicy policy = several_layers(2, 2, Strategy::gate);
  policy.eviction = Eviction::score;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {0.5f});
  run(interpreter, 8, {{0, {{0}}, "load 0, +1:3", {0.25f}}, {0, {{1}}, "load 1, -0:0", {1.0f}}});
}

TEST_CASE("a prefetch's last use is the counter at that moment: ttl") {
  BoundPolicy policy = several_layers(2, 4, Strategy::gate);
  policy.ttl = 2;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {0.5f});
  run(interpreter, 8, {{0, {{0}}, "load 0, +1:3"}, {0, {{0}}, "hit 0"}, {0, {{0}}, "hit 0, -1:3"}});
}

TEST_CASE("freq_threshold: a prefetched expert stays until its layer has run") {
  BoundPolicy policy = several_layers(2, 8, Strategy::gate);
  policy.eviction = Eviction::freq_threshold;
  policy.freq_threshold = 0.25;
  policy.freq_window = 4;
  for (bool is_protected : {true, false}) {
    CAPTURE(is_protected);
    policy.protect_selected = is_protected;
    Interpreter interpreter(policy);
    give_hint(interpreter, 1, {3, 4}, {0.5f, 0.5f});
    run(interpreter, 8, {{0, {{0}}, "load 0, +1:3, +1:4"}, {0, {{0}}, "hit 0"}, {1, {{2, 4}}, "load 2, hit 4, -1:3"}});
  }
}

TEST_CASE("memory pressure follows prefetch") {
  BoundPolicy policy = several_layers(2, 4, Strategy::gate);
  policy.expert_size_gb = 1;
  policy.memory_budget_gb = 4;
  policy.memory_threshold = 0.5;
  policy.memory_headroom = 0.25;
  Interpreter interpreter(policy);
  give_hint(interpreter, 1, {3}, {0.5f});
  run(interpreter, 8, {{0, {{0}}, "load 0, -1:3, +1:3"}});
}

}  // namespace
}  // namespace moe::ir::test
