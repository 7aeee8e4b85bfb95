// SPDX-License-Identifier: Apache-2.0
// The policies of stdlib-policies/ that follow no published system do what their first lines promise.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "compiler/driver.h"
#include "ir/interpreter.h"
#include "ir/shape.h"
#include "replay/load_trace.h"
#include "replay/replayer.h"

namespace {

using moe::ir::Action;
using moe::ir::Decision;
using moe::ir::Phase;

using Settings = std::vector<moe::frontend::Setting>;

moe::ir::BoundPolicy bind(const std::string& name, const std::string& model, const Settings& settings = {}) {
  const std::string path = "stdlib-policies/" + name + ".moe";
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  const moe::ir::SourceFile source(path, text.str());
  const auto shape = moe::ir::load_shape(model);
  REQUIRE_MESSAGE(static_cast<bool>(shape), model);
  moe::compiler::Target target;
  target.shape = *shape;
  target.settings = settings;
  moe::ir::Diagnostics diagnostics;
  const auto bound = moe::compiler::compile_to_bound(source, target, diagnostics);
  REQUIRE_MESSAGE(bound.has_value(), moe::ir::render_text(source, diagnostics, false));
  CHECK_MESSAGE(diagnostics.empty(), moe::ir::render_text(source, diagnostics, false));
  return *bound;
}

/// One token a row of `ids`.
struct Step {
  uint32_t layer = 0;
  std::vector<std::vector<int32_t>> ids;
  std::vector<float> weights{};
  Phase phase = Phase::decode;
  moe::ir::MeasuredInputs measured{};
};

Decision decide(moe::ir::Interpreter& interpreter, const Step& step) {
  std::vector<int32_t> ids;
  for (const auto& token : step.ids) ids.insert(ids.end(), token.begin(), token.end());
  moe::ir::DispatchInput input;
  input.layer = step.layer;
  input.num_tokens = static_cast<uint32_t>(step.ids.size());
  input.top_k = static_cast<uint32_t>(step.ids.front().size());
  input.ids = ids;
  input.weights = step.weights;
  input.phase = step.phase;
  input.measured = step.measured;
  const std::optional<Decision> decision = interpreter.dispatch(input);
  REQUIRE(decision.has_value());
  return *decision;
}

std::vector<Action> actions(const Decision& decision) {
  std::vector<Action> out;
  for (const auto& expert : decision.experts) out.push_back(expert.action);
  return out;
}

bool fired(const Decision& decision, uint32_t rule) {
  return std::count(decision.rules_fired.begin(), decision.rules_fired.end(), rule) != 0;
}

// Experts 0 and 1 come every time, four of the other six in turn in between: nobody returns within four others, so that
// recency never hits, while popularity knows who is worth a place.
int32_t visited(uint64_t access) {
  const uint64_t round = access / 6;
  const uint64_t place = access % 6;
  return static_cast<int32_t>(place < 2 ? place : 2 + (4 * round + place - 2) % 6);
}

}  // namespace

TEST_CASE("adaptive: popularity takes over while recency does not hit, and recency comes back") {
  moe::ir::Interpreter interpreter(bind("adaptive", "2x8x1"));  // 4 slots a layer
  moe::ir::MeasuredInputs busy;
  busy.queue_depth = 9;  // rule 3 holds: no prefetch takes part
  uint64_t access = 0;
  uint64_t hits = 0;
  uint64_t rule_1 = 0;
  const auto one_token = [&](int32_t expert) {
    for (uint32_t layer = 0; layer < 2; ++layer) {
      const Decision decision = decide(interpreter, {layer, {{expert}}, {}, Phase::decode, busy});
      hits += decision.experts.front().action == Action::hit ? 1 : 0;
      rule_1 += fired(decision, 0) ? 1 : 0;
    }
  };
  for (int token = 0; token < 49; ++token) one_token(visited(access++));
  CHECK(hits == 0);
  CHECK(rule_1 == 0);
  one_token(visited(access++));
  CHECK(rule_1 == 1);  // at dispatch 100
  for (int token = 0; token < 94; ++token) one_token(visited(access++));
  hits = 0;
  for (int token = 0; token < 60; ++token) one_token(visited(access++));
  CHECK(hits == 2 * 20);  // experts 0 and 1, in both layers, ten times each
  CHECK(rule_1 == 1);

  for (int token = 0; token < 300; ++token) one_token(token % 2);  // hits throughout: the rule lets go
  hits = 0;
  for (int token = 0; token < 30; ++token) one_token(visited(access++));
  for (int token = 0; token < 12; ++token) one_token(visited(access++));
  CHECK(hits <= 8);  // recency again: only what was there at the change
  for (int token = 0; token < 300; ++token) one_token(visited(access++));
  CHECK(rule_1 == 2);
}

TEST_CASE("adaptive: guesses more when the engine waits, nothing when loads queue up") {
  moe::ir::Interpreter interpreter(bind("adaptive", "2x16x1"));
  uint32_t turn = 0;
  const auto most_fetched = [&](int tokens, const moe::ir::MeasuredInputs& measured) {
    size_t most = 0;
    for (int token = 0; token < tokens; ++token, ++turn) {
      std::vector<uint32_t> guessed;
      for (uint32_t i = 0; i < 6; ++i) guessed.push_back((6 * turn + i) % 16);
      const std::vector<float> probabilities(6, 0.9F);
      REQUIRE(interpreter.hint(1, guessed, probabilities));
      const Decision first = decide(interpreter, {0, {{3}}, {}, Phase::decode, measured});
      most = std::max(most, first.prefetched.size());
      decide(interpreter, {1, {{static_cast<int32_t>(guessed[0])}}, {}, Phase::decode, measured});
    }
    return most;
  };
  moe::ir::MeasuredInputs calm;
  moe::ir::MeasuredInputs waiting;
  waiting.stall_ms = 500;
  moe::ir::MeasuredInputs queued;
  queued.queue_depth = 9;
  CHECK(most_fetched(40, calm) == 1);
  CHECK(most_fetched(24, waiting) == 1);  // 48 dispatches: not long enough
  CHECK(most_fetched(40, waiting) == 2);
  most_fetched(1, queued);
  CHECK(most_fetched(10, queued) == 0);
}

TEST_CASE("phase_aware: a prompt fills free slots and replaces nobody; generating replaces, and looks ahead") {
  moe::ir::Interpreter interpreter(bind("phase_aware", "2x8x2"));  // 4 slots a layer
  const std::vector<uint32_t> guessed = {6, 7};
  const std::vector<float> probabilities = {0.9F, 0.8F};
  REQUIRE(interpreter.hint(1, guessed, probabilities));
  const Decision prompt = decide(interpreter, {0, {{0, 1}, {2, 3}, {4, 5}}, {}, Phase::prefill});
  CHECK(actions(prompt) ==
        std::vector<Action>{Action::load, Action::load, Action::load, Action::load, Action::stream, Action::stream});
  CHECK(prompt.evicted.empty());
  CHECK(prompt.prefetched.empty());

  const Decision token = decide(interpreter, {0, {{4, 1}}, {}, Phase::decode});
  CHECK(actions(token) == std::vector<Action>{Action::load, Action::hit});
  CHECK(token.evicted == std::vector<uint32_t>{0});
  CHECK(token.prefetched == std::vector<uint32_t>{8 + 6, 8 + 7});
}

TEST_CASE("low_bit_fallback: what does not count for much is used in 4 bits once there is a copy") {
  const auto policy = bind("low_bit_fallback", "1x8x1");  // 2 slots
  CHECK(policy.exactness == moe::ir::Exactness::approximate);
  moe::ir::Interpreter interpreter(policy);
  struct Row {
    int32_t expert;
    float weight;
    Action action;
    std::vector<uint32_t> left;
  };
  const std::vector<Row> rows = {
      {0, 0.9F, Action::load, {}},
      {1, 0.2F, Action::load, {}},  // light, but there is no copy yet
      {2, 0.9F, Action::load, {0}},
      {0, 0.2F, Action::degrade, {1}},  // used before: it has a copy, and comes back behind it
      {0, 0.2F, Action::hit, {}},
      {1, 0.9F, Action::load, {2}},  // has a copy, but counts for too much
      {2, 0.5F, Action::load, {0}},  // the bound itself is waited for
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    const Decision decision = decide(interpreter, {0, {{rows[i].expert}}, {rows[i].weight}});
    CHECK(actions(decision) == std::vector<Action>{rows[i].action});
    CHECK(decision.evicted == rows[i].left);
  }
}

TEST_CASE("auto: every setting runs on real routing, in the memory that it was given") {
  const auto trace = moe::replay::load_trace("tests/data/decisions/trace.moet.zst");
  REQUIRE(static_cast<bool>(trace));
  for (const char* rule : {"lru", "lfu", "s3_fifo"}) {
    for (const char* misses : {"gpu_only", "cpu_fallback", "hybrid"}) {
      CAPTURE(rule);
      CAPTURE(misses);
      const auto policy = bind("auto", "24x32x4:10000000",
                               {{"rule", rule}, {"misses", misses}, {"fast_memory", "2GB"}, {"guesses", "2"}});
      CHECK(policy.capacity == 8);  // 200 experts, 2 for streaming, 24 layers
      CHECK(policy.budget == 2);
      const auto engine = moe::replay::make_interpreter_engine(policy);
      const auto result = moe::replay::replay(*trace, policy, *engine);
      REQUIRE(static_cast<bool>(result));
      CHECK(result->total.hits > 0);
      CHECK(result->total.prefetched > 0);
      CHECK(result->total.prefetched <= 2 * result->total.dispatches);
      CHECK((result->total.cpu > 0) == (std::string(misses) == "cpu_fallback"));
    }
  }
}
