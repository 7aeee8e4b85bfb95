// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "replay/replayer.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "replay/load_trace.h"
#include "tests/replay/support.h"

namespace moe::replay {
namespace {

ir::BoundPolicy policy_for(const Trace& trace, uint32_t capacity) {
  ir::BoundPolicy policy;
  policy.name = "tested";
  policy.shape = {trace.num_layers, trace.num_experts, trace.top_k, 1000};
  policy.capacity = capacity;
  return policy;
}

/// Answers "all hits" and remembers what it was asked, in words.
class ScriptedEngine final : public DecisionEngine {
 public:
  std::optional<ir::Decision> decide(const ir::DispatchInput& input) override {
    log.push_back(fmt::format("dispatch {} of {} tokens [{}] weights [{}] dropped [{}]", input.layer, input.num_tokens,
                              fmt::join(input.ids, " "), fmt::join(input.weights, " "), fmt::join(input.dropped, " ")));
    if (answers.empty()) return std::nullopt;
    ir::Decision answer = answers.front();
    answers.erase(answers.begin());
    return answer;
  }
  void hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) override {
    log.push_back(fmt::format("hint {} [{}] [{}]", layer, fmt::join(ids, " "), fmt::join(probabilities, " ")));
  }
  std::vector<std::string> log;
  std::vector<ir::Decision> answers;
};

// Two layers of 8 experts, three tokens, the first two of which are one step.
Trace two_steps() {
  Trace trace;
  trace.num_layers = 2;
  trace.num_experts = 8;
  trace.top_k = 2;
  trace.num_tokens = 3;
  trace.experts = {0, 1, 2, 3, 1, 4, 3, kNoExpert, 5, 6, 7, 0};
  trace.steps = {4, 4, 2};
  return trace;
}

TEST_CASE("steps, weights, hints and dropped loads reach the engine") {
  Trace trace = two_steps();
  trace.weights = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  trace.lookahead_width = 2;
  trace.lookahead = {3, 2, 0, kNoExpert, 2, 4, kNoExpert, 0, kNoExpert, kNoExpert, 1, 2};
  trace.lookahead_probs = {0.5, 0.25, 0.5, 1, 0.75, 0.125, 1, 0.25, 1, 1, 0.5, 0.25};
  trace.dropped = {{1, 0, 3}, {1, 1, 2}, {3, 0, 0}};
  REQUIRE(check(trace).ok());
  ScriptedEngine engine;
  engine.answers.resize(4);
  REQUIRE(replay(trace, policy_for(trace, 4), engine).ok());
  const std::vector<std::string> expected{
      "hint 1 [3 2 4] [0.5 0.75 0.125]",
      "dispatch 0 of 2 tokens [0 1 1 4] weights [1 2 5 6] dropped []",
      "hint 0 [0] [0.5]",
      "dispatch 1 of 2 tokens [2 3 3 65535] weights [3 4 7 8] dropped [3 10]",
      "dispatch 0 of 1 tokens [5 6] weights [9 10] dropped []",
      "hint 0 [1 2] [0.5 0.25]",
      "dispatch 1 of 1 tokens [7 0] weights [11 12] dropped [0]",
  };
  CHECK(engine.log == expected);
}

TEST_CASE("counters") {
  using ir::Action;
  const Trace trace = two_steps();
  ScriptedEngine engine;
  engine.answers = {
      {{{0, Action::load, 1, 1}, {1, Action::stream, 2, 1}, {4, Action::hit, 1, 1}}, {}, {8 + 2, 8 + 3}},
      {{{2, Action::hit, 1, 1}, {3, Action::hit, 2, 1}}, {0}, {5, 6}},
      {{{5, Action::hit, 1, 1}, {6, Action::cpu, 1, 1}}, {8 + 2, 6}, {}},
      {{{7, Action::cpu_load, 1, 1}, {0, Action::load, 1, 1}}, {}, {}},
  };
  const Result<ReplayResult> result = replay(trace, policy_for(trace, 4), engine);
  REQUIRE(result.ok());
  Counts total;
  total.dispatches = 4;
  total.accesses = 9;
  total.selections = 11;
  total.hits = 4;
  total.loads = 3;
  total.streams = 1;
  total.cpu = 2;
  total.evictions = 3;
  total.prefetched = 4;
  total.prefetch_used = 3;  // 1:2, 1:3 and 0:5; 0:6 left unused
  CHECK(result->total == total);
  CHECK(result->total.misses() == 5);
  CHECK(result->layers[0].accesses == 5);
  CHECK(result->layers[0].prefetched == 2);
  CHECK(result->layers[0].prefetch_used == 1);
  CHECK(result->layers[0].evictions == 2);
  CHECK(result->layers[1].prefetch_used == 2);
  CHECK(result->layers[1].evictions == 1);

  const auto json = nlohmann::json::parse(print_json(std::span(&*result, 1)));
  const auto& policy = json["policies"][0];
  CHECK(policy["policy"] == "tested");
  CHECK(policy["tokens"] == 3);
  CHECK(policy["hit_rate"] == 4.0 / 9);
  CHECK(policy["prefetch_accuracy"] == 0.75);
  CHECK(policy["prefetch_coverage"] == 3.0 / 9);
  CHECK(policy["bytes_loaded"] == 8000);
  CHECK(policy["late_hits"] == 0);
  CHECK(policy["layers"][1]["layer"] == 1);
}

TEST_CASE("a prefetch is unused again only when it came again") {
  using ir::Action;
  Trace trace = two_steps();
  trace.steps.clear();
  const ir::Decision nothing;
  ScriptedEngine engine;
  engine.answers = {
      {{}, {}, {8 + 2, 8 + 3, 8 + 4}},       // three are prefetched
      {{}, {8 + 2, 8 + 3, 8 + 4}, {8 + 3}},  // all leave, one is prefetched again
      {{}, {8 + 5}, {8 + 5}},                // comes and goes at once
      {{{2, Action::load, 1, 1}, {3, Action::hit, 1, 1}}, {}, {}},
      {{}, {}, {}},
      {{{2, Action::hit, 1, 1}, {3, Action::hit, 1, 1}}, {}, {}},
  };
  const Result<ReplayResult> result = replay(trace, policy_for(trace, 4), engine);
  REQUIRE(result.ok());
  CHECK(result->total.prefetched == 5);
  CHECK(result->total.prefetch_used == 1);
}

TEST_CASE("rates over nothing are 0, and an unknown size gives no bytes") {
  ReplayResult result;
  result.layers.resize(1);
  const auto json = nlohmann::json::parse(print_json(std::span(&result, 1)));
  CHECK(json["policies"][0]["hit_rate"] == 0.0);
  CHECK(json["policies"][0]["bytes_loaded"].is_null());
}

TEST_CASE("another shape and a refused dispatch are errors") {
  const Trace trace = two_steps();
  ir::BoundPolicy policy = policy_for(trace, 4);
  ScriptedEngine engine;
  const Result<ReplayResult> refused = replay(trace, policy, engine);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message == "the engine refuses dispatch 0 (token 0, layer 0)");
  policy.shape.num_experts = 9;
  CHECK_FALSE(replay(trace, policy, engine).ok());
}

TEST_CASE("decisions as JSON Lines") {
  using ir::Action;
  std::string line;
  append_decision(line, 7, 3, 1, 8,
                  {{{3, Action::load, 1, 1}, {7, Action::hit, 1, 1}, {0, Action::stream, 1, 1}}, {5, 12}, {10}});
  CHECK(line ==
        "{\"d\":7,\"t\":3,\"l\":1,\"e\":[3,7,0],\"hit\":[0,1,0],\"act\":[\"load\",\"hit\",\"stream\"],"
        "\"evict\":[[0,5],[1,4]],\"pre\":[[1,2]]}\n");
  line.clear();
  append_decision(line, 0, 0, 0, 8, {});
  CHECK(line == "{\"d\":0,\"t\":0,\"l\":0,\"e\":[],\"hit\":[],\"act\":[],\"evict\":[],\"pre\":[]}\n");
}

TEST_CASE("a replay writes one line per dispatch") {
  const test::TemporaryDirectory folder;
  const Result<Trace> trace = load_trace(test::data("decisions/trace.moet.zst"));
  REQUIRE(trace.ok());
  const ir::BoundPolicy policy = policy_for(*trace, 160);
  const auto engine = make_interpreter_engine(policy);
  Result<DecisionWriter> writer = DecisionWriter::open(folder.path("decisions.jsonl"));
  REQUIRE(writer.ok());
  const Result<ReplayResult> result = replay(*trace, policy, *engine, &*writer);
  REQUIRE(result.ok());
  REQUIRE(writer->finish().ok());
  std::ifstream file(folder.path("decisions.jsonl"));
  uint64_t num_lines = 0;
  uint64_t num_hits = 0;
  uint64_t num_evicted = 0;
  for (std::string line; std::getline(file, line); ++num_lines) {
    const auto json = nlohmann::json::parse(line);
    REQUIRE(json["d"] == num_lines);
    REQUIRE(json["t"] == num_lines / 24);
    for (const auto& hit : json["hit"]) num_hits += hit.get<uint64_t>();
    num_evicted += json["evict"].size();
  }
  CHECK(num_lines == 83 * 24);
  CHECK(num_hits == result->total.hits);
  CHECK(num_evicted == result->total.evictions);
  CHECK_FALSE(DecisionWriter::open(folder.path("no/such/folder/x")).ok());
}

TEST_CASE("gate hints of a real trace raise the hit rate, when it is there") {
  const auto path = test::shared_data("models/olmoe-tiny/routing.npz");
  if (!path) return;
  Result<Trace> trace = load_trace(*path);
  REQUIRE(trace.ok());
  ir::BoundPolicy policy = policy_for(*trace, 8);
  policy.scope = ir::Scope::layer;
  const auto run = [&] {
    const auto engine = make_interpreter_engine(policy);
    Result<ReplayResult> result = replay(*trace, policy, *engine);
    REQUIRE(result.ok());
    return *result;
  };
  const ReplayResult demand = run();
  policy.strategy = ir::Strategy::gate;
  const ReplayResult hinted = run();
  CHECK(demand.total.prefetched == 0);
  CHECK(hinted.total.prefetched > 0);
  CHECK(hinted.total.prefetch_used <= hinted.total.prefetched);
  CHECK(hinted.total.hit_rate() > demand.total.hit_rate());
}

}  // namespace
}  // namespace moe::replay
