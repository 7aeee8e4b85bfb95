// SPDX-License-Identifier: Apache-2.0
// The interpreter against decisions that another implementation recorded: MoE-PolicyLang 1.4.2 on a slice of a real
// trace. A slice of it is part of the repository; the rest is used when it lies beside the checkout.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "ir/interpreter.h"
#include "replay/load_trace.h"
#include "tests/replay/support.h"

namespace moe::replay {
namespace {

using Json = nlohmann::json;
using Keys = std::vector<uint32_t>;

Keys keys_of(const Json& pairs, uint32_t num_experts) {
  Keys keys;
  for (const Json& pair : pairs) keys.push_back(pair[0].get<uint32_t>() * num_experts + pair[1].get<uint32_t>());
  return keys;
}

// What left and did not come back, as a sorted set.
Keys departures(const Keys& evicted, const Keys& after) {
  const std::set<uint32_t> candidates(evicted.begin(), evicted.end());
  Keys left;
  std::set_difference(candidates.begin(), candidates.end(), after.begin(), after.end(), std::back_inserter(left));
  return left;
}

Keys intersection(const Keys& a, const Keys& b) {
  Keys both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

/// Sums that the recording's index has too.
struct Outcome {
  uint64_t hits = 0;
  uint64_t misses = 0;
  Keys resident;
};

// One dispatch per line of `lines`. What left is compared as a set. An expert may come and go within its own dispatch:
// the recording has it too, except under freq_threshold, where it has only those that were resident before.
Outcome compare(const Trace& trace, const ir::BoundPolicy& policy, const std::vector<std::string>& lines) {
  REQUIRE(lines.size() % trace.num_layers == 0);
  REQUIRE(lines.size() <= trace.num_tokens * trace.num_layers);
  ir::Interpreter interpreter(policy);
  Outcome outcome;
  outcome.resident = interpreter.resident();
  for (size_t d = 0; d < lines.size(); ++d) {
    const Json line = Json::parse(lines[d]);
    const auto layer = static_cast<uint32_t>(d % trace.num_layers);
    const size_t offset = trace.offset(d / trace.num_layers, layer);
    const std::vector<int32_t> ids(trace.experts.begin() + offset, trace.experts.begin() + offset + trace.top_k);
    ir::DispatchInput input;
    input.layer = layer;
    input.num_tokens = 1;
    input.top_k = trace.top_k;
    input.ids = ids;
    input.weights = std::span(trace.weights).subspan(offset, trace.top_k);
    const auto decision = interpreter.dispatch(input);
    REQUIRE(decision);

    std::vector<uint32_t> experts;
    std::vector<uint32_t> hits;
    for (const ir::ExpertDecision& expert : decision->experts) {
      experts.push_back(expert.expert);
      hits.push_back(expert.action == ir::Action::hit ? 1 : 0);
      (hits.back() != 0 ? outcome.hits : outcome.misses) += 1;
    }
    const Keys before = outcome.resident;
    outcome.resident = interpreter.resident();
    Keys left = departures(decision->evicted, outcome.resident);
    if (policy.eviction == ir::Eviction::freq_threshold) left = intersection(left, before);
    Keys expected_left = keys_of(line["left"], trace.num_experts);
    std::sort(expected_left.begin(), expected_left.end());
    CAPTURE(policy.name);
    CAPTURE(d);
    REQUIRE(line["l"].get<uint32_t>() == layer);
    REQUIRE(experts == line["e"].get<std::vector<uint32_t>>());
    REQUIRE(hits == line["hit"].get<std::vector<uint32_t>>());
    REQUIRE(left == expected_left);
  }
  return outcome;
}

TEST_CASE("the slice in the repository") {
  const Result<Trace> trace = load_trace(test::data("decisions/trace.moet.zst"));
  REQUIRE(trace.ok());
  size_t num_compared = 0;
  for (const ir::BoundPolicy& policy : test::recorded_policies()) {
    const auto lines = test::gzip_lines(test::data("decisions/") + policy.name + ".jsonl.gz");
    if (lines.empty()) continue;
    compare(*trace, policy, lines);
    num_compared += lines.size();
  }
  CHECK(num_compared == 4 * 1992);
}

TEST_CASE("all recorded dispatches, when they are there") {
  const auto index_path = test::shared_data("decisions-1.4.2/index.json");
  if (!index_path) return;
  std::ifstream index_file(*index_path);
  const Json index = Json::parse(index_file);
  const Result<Trace> trace = load_trace(*test::shared_data("decisions-1.4.2/trace.npz"));
  REQUIRE(trace.ok());
  const auto policies = test::recorded_policies();
  REQUIRE(index["results"].size() == policies.size());
  for (const Json& expected : index["results"]) {
    const auto name = expected["policy"].get<std::string>();
    const auto policy = std::find_if(policies.begin(), policies.end(), [&](const auto& p) { return p.name == name; });
    REQUIRE(policy != policies.end());
    const auto lines = test::gzip_lines(*test::shared_data("decisions-1.4.2/" + name + ".jsonl.gz"));
    REQUIRE(lines.size() == 12000);
    const Outcome outcome = compare(*trace, *policy, lines);
    CHECK(outcome.hits == expected["hits"].get<uint64_t>());
    CHECK(outcome.misses == expected["misses"].get<uint64_t>());
    CHECK(outcome.resident == keys_of(expected["resident"], trace->num_experts));
  }
}

}  // namespace
}  // namespace moe::replay
