// SPDX-License-Identifier: Apache-2.0
// Each model on a few dispatches worked by hand from its description.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

using Ids = std::vector<std::vector<uint32_t>>;
using Weights = std::vector<std::vector<double>>;

struct Row {
  uint32_t layer;
  Ids ids;
  std::string expected;
  Weights weights{};             ///< all 1 when empty
  std::vector<Guess> guesses{};  ///< of the first token
  uint32_t request = 0;
  bool prefill = false;
};

void run(const SystemPtr& system, const std::vector<Row>& rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    Dispatch dispatch{rows[i].layer, rows[i].prefill, rows[i].request, rows[i].ids, rows[i].weights, {}};
    if (dispatch.weights.empty()) {
      for (const auto& token : dispatch.ids) dispatch.weights.emplace_back(token.size(), 1.0);
    }
    if (!rows[i].guesses.empty()) dispatch.guesses.push_back(rows[i].guesses);
    CHECK(to_text(system->step(dispatch)) == rows[i].expected);
  }
}

const Ids kNine(9, {2});
const Ids kTen(10, {2});
const Ids kThirtyOne(31, {1});
const Ids kThirtyTwo(32, {1});

TEST_CASE("lru") {
  run(make_lru({1, 8, 2}, 3), {{0, {{1, 2}}, "1 load, 2 load"},
                               {0, {{3, 1}}, "1 hit, 3 load"},
                               {0, {{4, 5}}, "4 load, 5 load; left 0:2 0:3"},
                               {0, {{1, 2}, {3, 6}}, "1 hit, 2 load, 3 load, 6 stream; left 0:4 0:5"}});
}

TEST_CASE("lfu: counts are halved at the fourth use, before it is counted") {
  run(make_lfu({2, 8, 1}, 2, 0.5, 4), {{0, {{1}}, "1 load"},
                                       {0, {{1}}, "1 hit"},
                                       {1, {{2}}, "2 load"},
                                       {1, {{3}}, "3 load; left 1:2"},
                                       {1, {{2}}, "2 load; left 0:1"}});
}

TEST_CASE("s3_fifo: what was used twice moves on, what left lately comes back into the main queue") {
  run(make_s3_fifo({1, 8, 1}, 4), {{0, {{1}}, "1 load"},
                                   {0, {{2}}, "2 load"},
                                   {0, {{3}}, "3 load"},
                                   {0, {{4}}, "4 load"},
                                   {0, {{1}}, "1 hit"},
                                   {0, {{1}}, "1 hit"},
                                   {0, {{2}}, "2 hit"},
                                   {0, {{5}}, "5 load; left 0:2"},
                                   {0, {{2}}, "2 load; left 0:3"},
                                   {0, {{6}}, "6 load; left 0:4"},
                                   {0, {{7}}, "7 load; left 0:5"}});
}

TEST_CASE("mixtral-offloading") {
  run(make_mixtral_offloading({1, 4, 2}, 2), {{0, {{0, 3}}, "0 load, 3 hit; left 0:2"},
                                              {0, {{0, 1}}, "0 hit, 1 load; left 0:3"},
                                              {0, {{0, 1}, {2, 3}}, "0 hit, 1 hit, 2 load, 3 load; left 0:0 0:1"}});
}

TEST_CASE("Fiddler: 70 for a copy, 7 a token on the CPU") {
  run(make_fiddler({1, 4, 1}, 1, {{0, 1}, {0, 2}}),
      {{0, {{1}}, "1 hit"}, {0, kNine, "2 cpu"}, {0, kTen, "2 stream"}, {0, {{2}}, "2 cpu"}});
}

TEST_CASE("vLLM: of equal scores the one that came first leaves") {
  run(make_vllm_lfru({1, 4, 2}, 2), {{0, {{2, 1}}, "1 load, 2 load"},
                                     {0, {{1}}, "1 hit"},
                                     {0, {{3}}, "3 load; left 0:2"},
                                     {0, {{2}}, "2 load; left 0:1"}});
}

TEST_CASE("llama.cpp with slots: an upload begun after a token is used two tokens later") {
  run(make_llama_cpp_lru({1, 4, 2}, 2, 1), {{0, {{1, 2}}, "1 cpu, 2 cpu_load"},
                                            {0, {{2, 1}}, "1 cpu_load, 2 cpu"},
                                            {0, {{2, 3}}, "2 hit, 3 cpu_load; left 0:2"},
                                            {0, {{3, 1}}, "1 hit, 3 cpu"}});
}

TEST_CASE("llama.cpp, static") {
  run(make_llama_cpp_static({2, 4, 1}, 1),
      {{0, {{1}}, "1 cpu"}, {1, {{1}}, "1 hit"}, {0, kThirtyOne, "1 cpu"}, {0, kThirtyTwo, "1 stream"}});
}

TEST_CASE("KTransformers") {
  run(make_ktransformers_uniform({1, 4, 2}, 2), {{0, {{3, 0}}, "0 hit, 3 cpu"}});
  run(make_ktransformers_frequency({2, 4, 2}, 1, {{1, 3}, {0, 0}}),
      {{0, {{0, 3}}, "0 cpu, 3 cpu"}, {1, {{3, 0}}, "0 cpu, 3 hit"}});
  run(make_ktransformers_dynamic({1, 4, 2}, 2, 3),
      {{0, {{0, 2}, {2, 3}}, "0 hit, 2 cpu, 3 cpu"},
       {0, {{0, 2}, {2, 3}, {2, 3}}, "0 hit, 2 load, 3 load; left 0:1 0:0"},
       {0, {{2, 1}}, "1 cpu, 2 hit"}});
}

TEST_CASE("HybriMoE: three on the GPU take 1.5, the fourth starts the CPU at 1.79") {
  run(make_hybrimoe({2, 6, 3}, 3, 1),
      {{0, {{0, 4, 5}}, "0 hit, 4 load, 5 load; left 0:1 0:2", {{0.5, 0.3, 0.1}}},
       {1, {{3}}, "3 load; left 1:0", {{0.4}}},
       {0, {{0, 4, 5, 1}}, "0 hit, 1 cpu, 4 hit, 5 hit", {{0.4, 0.3, 0.2, 0.1}}},
       {1, {{4}}, "4 load; left 1:1", {{0.8}}},
       {1, {{5}}, "5 load; left 1:2", {{0.8}}},   // scores: 3 has 0.05, 4 has 0.2, 5 has 0.4
       {1, {{0}}, "0 load; left 1:3", {{0.1}}},   // 3 has 0.025, 4 has 0.1, 5 has 0.2, 0 has 0.05
       {1, {{1}}, "1 load; left 1:0", {{0.01}}},  // 0 has 0.025, 4 has 0.05, 5 has 0.1
       {1, {{4, 0, 2, 3}}, "0 load, 2 load, 3 cpu, 4 hit; left 1:1 1:5", {{0.1, 0.1, 0.1, 0.9}}},
       // 3 has 0.45625, 4 has 0.075, 0 has 0.0625, 2 and 5 have 0.05, 1 has 0.0025
       {0, {{0}}, "0 hit; left 1:2; ahead 1:3", {{0.5}}}});
}

TEST_CASE("AdapMoE: buffer, adaptive gate, sizes by layer") {
  run(make_adapmoe({2, 4, 2}, {2, 1}, {0.3, 0.0}),
      {{0, {{3, 1}}, "1 load, 3 hit; left 0:2; ahead 1:0", {{0.6, 0.4}}, {{3, 0.5}, {0, 0.4}, {1, 0.1}}},
       {1, {{0, 2}}, "0 hit, 2 load; left 1:3 1:0", {{0.7, 0.3}}},
       {0, {{3, 2}}, "2 skip, 3 hit; ahead 1:1", {{0.8, 0.2}}, {{1, 0.9}, {2, 0.1}}},
       {1, {{2, 3}}, "2 hit, 3 load; left 1:2", {{0.6, 0.4}}}});
}

TEST_CASE("MoE-Infinity: the second request's second layer replaces an earlier layer's expert") {
  run(make_moe_infinity({3, 3, 1}, 3, 2, 1), {{0, {{0}}, "0 load"},
                                              {1, {{0}}, "0 load"},
                                              {2, {{1}}, "1 load"},
                                              {0, {{1}}, "1 load; left 0:0", {}, {}, 1},
                                              {1, {{1}}, "1 load; left 1:0", {}, {}, 1},
                                              {2, {{2}}, "2 load; left 0:1", {}, {}, 1},
                                              {0, {{1}}, "1 load; left 1:1", {}, {}, 2},
                                              {1, {{1}}, "1 load; left 2:1 0:1; ahead 2:1", {}, {}, 2}});
}

TEST_CASE("FineMoE") {
  run(make_finemoe({3, 3, 1}, 3, 0, 2, 1), {{0, {{0}}, "0 load", {{0.6}}},
                                            {1, {{1}}, "1 load", {{0.5}}},
                                            {2, {{2}}, "2 load", {{0.7}}},
                                            {0, {{0}}, "0 hit", {{0.6}}},
                                            {1, {{0}}, "0 load; left 0:0", {{0.5}}},
                                            {2, {{1}}, "1 load; left 1:1", {{0.9}}},
                                            {0, {{0}}, "0 load; left 2:2 1:0; ahead 2:2", {{0.6}}}});
}

TEST_CASE("Chronos: an id moves in all layers; the token's ids that were pushed out come back") {
  run(make_chronos({2, 4, 2}, 2), {{0, {{1, 2}}, "1 hit, 2 load; left 0:0 1:0"},
                                   {1, {{1, 3}}, "1 hit, 3 load; left 0:2 1:2 0:1 1:1; ahead 0:2 1:2"},
                                   {0, {{3, 2}}, "2 hit, 3 hit"}});
}

TEST_CASE("ExpertFlow") {
  run(make_expertflow({2, 4, 1}, 2, 2), {{0, {{0}}, "0 load; ahead 1:1 1:2", {}, {{1, 0.7}, {2, 0.2}}},
                                         {1, {{3}}, "3 load; left 1:1"},
                                         {0, {{0}}, "0 hit; left 1:2; ahead 1:1", {}, {{1, 0.6}, {3, 0.5}}},
                                         {0, {{0}}, "0 hit; left 1:3; ahead 1:2", {}, {{1, 0.6}, {2, 0.4}}}});
}

TEST_CASE("ProMoE: a guess takes the oldest place, and no better guess's") {
  run(make_promoe({2, 4, 2}, 2, 1), {{0, {{0, 1}}, "0 load, 1 load; ahead 1:3", {}, {{3, 0.5}, {2, 0.4}}},
                                     {0, {{2, 0}}, "0 hit, 2 load; left 0:1"},
                                     {0, {{3}}, "3 load; left 0:2; ahead 1:2", {}, {{2, 0.4}}},
                                     {0, {{3}}, "3 hit", {}, {{3, 0.9}, {2, 0.8}, {1, 0.7}}},
                                     {1, {{3}}, "3 hit"}});
}

TEST_CASE("HOBBIT: a light expert is used in low precision from its second use on") {
  run(make_hobbit({2, 4, 1}, 2, 0.3), {{0, {{0}}, "0 load", {{0.9}}},
                                       {0, {{0}}, "0 hit", {{0.9}}},
                                       {1, {{1}}, "1 load", {{0.2}}},
                                       {0, {{2}}, "2 load; left 0:0", {{0.8}}},       // 1.03 for 0:0, 2.02 for 1:1
                                       {0, {{0}}, "0 degrade; left 1:1", {{0.1}}}});  // 1.516 for both: 1:1 came first
}

TEST_CASE("DAOP: the prompt swaps, decoding does not") {
  run(make_daop({1, 4, 2}, 2),
      {{0, {{0, 2}, {2, 3}, {2, 3}}, "0 hit, 2 cpu_load, 3 cpu_load; left 0:1 0:0", {}, {}, 0, true},
       {0, {{0, 2}}, "0 cpu, 2 hit"}});
}

}  // namespace
}  // namespace moe::oracle
