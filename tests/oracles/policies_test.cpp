// SPDX-License-Identifier: Apache-2.0
// Each policy of stdlib-policies/ that names a published system decides as the independent model of that system does,
// dispatch by dispatch, on real routing. README.md has the table.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>

#include "replay/load_trace.h"
#include "tests/oracles/policy_engine.h"
#include "tests/oracles/systems.h"
#include "tests/replay/support.h"

namespace moe::oracle {
namespace {

struct Pairing {
  std::string policy;  ///< file of stdlib-policies/
  Cut cut;
  std::function<SystemPtr(const Routing&)> model;
  /// What must have happened on the trace of the repository: action words, "left", "ahead".
  std::vector<std::string> happens;
  uint32_t slots = 0;
  std::vector<std::pair<std::string, std::string>> settings{};
  bool with_profile = false;
  /// What must have happened on the traces that know the next layer's gate, where they are there.
  std::vector<std::string> happens_with_guesses{};
};

using Tally = std::map<std::string, uint64_t>;

void count(const Outcome& outcome, Tally& tally) {
  for (const Choice& choice : outcome.choices) tally[to_word(choice.action)] += 1;
  tally["left"] += outcome.left.size();
  tally["ahead"] += outcome.prefetched.size();
}

// Stops at the first dispatch that the two decide differently.
Tally compare(const Pairing& pairing, const Routing& routing) {
  Binding binding{routing.shape, pairing.settings, pairing.slots, {}};
  if (pairing.with_profile) binding.frequency = routing.frequency;
  std::string findings;
  const auto engine = make_policy_engine("stdlib-policies/" + pairing.policy, binding, findings);
  INFO(findings);
  REQUIRE(engine != nullptr);
  const SystemPtr model = pairing.model(routing);
  Tally tally;
  for (size_t d = 0; d < routing.dispatches.size(); ++d) {
    const Dispatch& dispatch = routing.dispatches[d];
    const Outcome expected = model->step(dispatch);
    const std::string place = "dispatch " + std::to_string(d) + ", layer " + std::to_string(dispatch.layer);
    CAPTURE(place);
    REQUIRE(to_text(engine->step(dispatch)) == to_text(expected));
    count(expected, tally);
  }
  return tally;
}

void agree(const Pairing& pairing) {
  CAPTURE(pairing.policy);
  const auto shipped = replay::load_trace(replay::test::data("decisions/trace.moet.zst"));
  REQUIRE(shipped.ok());
  Tally tally = compare(pairing, cut(*shipped, pairing.cut));
  for (const std::string& word : pairing.happens) {
    CAPTURE(word);
    CHECK(tally[word] > 0);
  }
  Tally guessed;
  for (const char* path :
       {"traces/gpt-oss-20b-decode.npz", "models/olmoe-tiny/routing.npz", "models/qwen-moe-tiny/routing.npz"}) {
    CAPTURE(path);
    const auto there = replay::test::shared_data(path);
    if (!there) continue;
    const auto trace = replay::load_trace(*there);
    REQUIRE(trace.ok());
    const Tally there_too = compare(pairing, cut(*trace, pairing.cut));
    if (trace->lookahead_width == 0) continue;
    for (const auto& [word, times] : there_too) guessed[word] += times;
  }
  if (guessed.empty()) return;
  for (const std::string& word : pairing.happens_with_guesses) {
    CAPTURE(word);
    CHECK(guessed[word] > 0);
  }
}

uint32_t quarter(const Routing& r) { return r.shape.num_experts / 4; }
uint32_t half(const Routing& r) { return r.shape.num_experts / 2; }

TEST_CASE("lru") {
  const auto model = [](const Routing& r) { return make_lru(r.shape, half(r)); };
  agree({"lru.moe", {}, model, {"hit", "load", "left"}});
  agree({"lru.moe", {.prompt_tokens = 8}, model, {"hit", "load", "stream", "left"}});
}

TEST_CASE("lfu") {
  const auto model = [](const Routing& r) { return make_lfu(r.shape, r.shape.num_layers * quarter(r), 0.9, 1000); };
  agree({"lfu.moe", {}, model, {"hit", "load", "left"}});
  agree({"lfu.moe", {.prompt_tokens = 8}, model, {"hit", "load", "left"}});
}

TEST_CASE("s3_fifo") {
  const auto model = [](const Routing& r) { return make_s3_fifo(r.shape, half(r)); };
  agree({"s3_fifo.moe", {.prompt_tokens = 8}, model, {"hit", "load", "left"}});
}

TEST_CASE("mixtral-offloading") {
  const auto model = [](const Routing& r) { return make_mixtral_offloading(r.shape, 4); };
  agree({"mixtral_offloading.moe", {.top_k = 2, .prompt_tokens = 4}, model, {"hit", "load", "left"}});
}

TEST_CASE("MoE-Infinity") {
  const auto model = [](const Routing& r) {
    return make_moe_infinity(r.shape, r.shape.num_layers * quarter(r), 1000, 4);
  };
  agree({"moe_infinity.moe", {.request_tokens = 10, .prompt_tokens = 4}, model, {"hit", "load", "left", "ahead"}});
}

TEST_CASE("Fiddler") {
  const auto model = [](const Routing& r) { return make_fiddler(r.shape, 32, by_frequency(r)); };
  agree({"fiddler.moe", {.request_tokens = 90, .prompt_tokens = 80}, model, {"hit", "cpu", "stream"}, 32, {}, true});
}

TEST_CASE("HybriMoE") {
  const auto model = [](const Routing& r) { return make_hybrimoe(r.shape, quarter(r), 2); };
  agree({"hybrimoe.moe", {}, model, {"hit", "load", "cpu", "left", "ahead"}});
}

TEST_CASE("FineMoE") {
  const auto model = [](const Routing& r) {
    return make_finemoe(r.shape, r.shape.num_layers * quarter(r), 6, 1000, 4);
  };
  agree({"finemoe.moe", {.num_layers = 12}, model, {"hit", "load", "left", "ahead"}, 0, {{"lookahead_layers", "7"}}});
}

TEST_CASE("AdapMoE") {
  const std::vector<double> sensitivity = {46.69189453125,     17.303466796875,    13.0157470703125,
                                           7.640838623046875,  4.169464111328125,  2.2296905517578125,
                                           1.2559890747070312, 0.8444786071777344, 0.6837844848632812,
                                           0.5602836608886719, 0.5125999450683594, 0.4780292510986328};
  const auto model = [&](const Routing& r) {
    std::vector<double> thresholds;
    for (double s : sensitivity) thresholds.push_back(std::sqrt(0.005 / s));
    return make_adapmoe(r.shape, {8, 7, 6, 6, 5, 5, 5, 5, 5, 5, 5, 5}, thresholds);
  };
  agree(
      {"adapmoe.moe", {.num_layers = 12, .top_k = 2}, model, {"hit", "load", "left"}, 0, {}, false, {"skip", "ahead"}});
}

TEST_CASE("KTransformers, uniform") {
  const auto model = [](const Routing& r) { return make_ktransformers_uniform(r.shape, quarter(r)); };
  agree({"ktransformers_uniform.moe", {.prompt_tokens = 8}, model, {"hit", "cpu"}});
}

TEST_CASE("KTransformers, frequency") {
  const auto model = [](const Routing& r) {
    return make_ktransformers_frequency(r.shape, r.shape.num_layers * quarter(r), by_frequency(r));
  };
  agree({"ktransformers_frequency.moe", {.prompt_tokens = 8}, model, {"hit", "cpu"}, 0, {}, true});
}

TEST_CASE("KTransformers, dynamic") {
  const auto model = [](const Routing& r) { return make_ktransformers_dynamic(r.shape, quarter(r), 12); };
  agree({"ktransformers_dynamic.moe",
         {.prompt_tokens = 12},
         model,
         {"hit", "cpu", "load", "stream", "left"},
         0,
         {{"prefill_tokens", "12"}}});
}

TEST_CASE("Chronos") {
  const auto model = [](const Routing& r) { return make_chronos_by_layer(r.shape, quarter(r), 6.0 / 7); };
  agree({"chronos.moe", {.num_tokens = 300, .request_tokens = 1000}, model, {"hit", "load", "left"}});
}

TEST_CASE("llama.cpp, static") {
  const auto model = [](const Routing& r) { return make_llama_cpp_static(r.shape, 4); };
  agree({"llama_cpp_static.moe", {.request_tokens = 40, .prompt_tokens = 32}, model, {"hit", "cpu", "stream"}});
}

TEST_CASE("llama.cpp with slots") {
  const auto model = [](const Routing& r) { return make_llama_cpp_lru(r.shape, 8, 2); };
  agree({"llama_cpp_lru.moe", {}, model, {"hit", "cpu", "cpu_load", "left"}, 8});
}

TEST_CASE("vLLM's LFRU") {
  const auto model = [](const Routing& r) { return make_vllm_lfru(r.shape, 8); };
  agree({"vllm_lfru.moe", {.prompt_tokens = 2}, model, {"hit", "load", "left"}});
}

TEST_CASE("ExpertFlow") {
  const auto model = [](const Routing& r) { return make_expertflow(r.shape, half(r), 8); };
  agree({"expertflow.moe", {.prompt_tokens = 4}, model, {"hit", "load", "left", "ahead"}});
}

TEST_CASE("ProMoE") {
  const auto model = [](const Routing& r) { return make_promoe(r.shape, half(r), 4); };
  agree({"promoe.moe", {.prompt_tokens = 4}, model, {"hit", "load", "left", "ahead"}});
}

TEST_CASE("HOBBIT") {
  const auto model = [](const Routing& r) { return make_hobbit(r.shape, r.shape.num_layers * quarter(r), 0.3); };
  agree({"hobbit.moe", {.prompt_tokens = 4}, model, {"hit", "load", "degrade", "left"}});
}

TEST_CASE("DAOP") {
  const auto model = [](const Routing& r) { return make_daop(r.shape, half(r)); };
  agree({"daop.moe", {.prompt_tokens = 8}, model, {"hit", "cpu", "cpu_load", "left"}});
}

}  // namespace
}  // namespace moe::oracle
