// SPDX-License-Identifier: Apache-2.0
// A checkpoint against what the reference implementation computed from it, and every policy against the resident run.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "examples/engine/engine.h"
#include "examples/engine/generate.h"
#include "examples/engine/tokenizer.h"
#include "tests/engine/support.h"

using engine::Engine;
using engine::Matrix;
using engine_test::largest_difference;
using nlohmann::json;

namespace {

std::filesystem::path model_dir;
constexpr double kTolerance = 1e-4;

Engine open(const engine::EngineOptions& options = {}) {
  std::string findings;
  const engine::Config config = engine::read_config(model_dir);
  try {
    return {model_dir, config, options, findings};
  } catch (const engine::Error& error) {
    std::printf("%s%s\n", findings.c_str(), error.what());
    throw;
  }
}

struct Run {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // of every step, one after the other
  bool operator==(const Run& other) const {
    return tokens == other.tokens && logits.size() == other.logits.size() &&
           std::memcmp(logits.data(), other.logits.data(), logits.size() * sizeof(float)) == 0;
  }
};

Run run(Engine& engine, const std::vector<int32_t>& prompt, size_t num_tokens) {
  Run result;
  engine::GenerateOptions options;
  options.num_tokens = num_tokens;
  result.tokens = engine::generate(engine.model(), prompt, options, [&](std::span<const float> logits) {
                    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
                  }).token_ids;
  return result;
}

std::vector<std::vector<int32_t>> prompts() {
  std::vector<std::vector<int32_t>> result;
  for (const json& item : engine_test::read_json(model_dir / "golden.json")) {
    result.push_back(item.at("input_ids").get<std::vector<int32_t>>());
  }
  return result;
}

std::vector<float> concatenated(const std::vector<std::vector<float>>& rows) {
  std::vector<float> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

}  // namespace

TEST_CASE("prompts and their greedy continuations") {
  Engine engine = open();
  const engine::Tokenizer tokenizer = engine::Tokenizer::from_file(model_dir / "tokenizer.json");
  const json golden = engine_test::read_json(model_dir / "golden.json");
  const auto tensors = engine_test::read_f32_tensors(model_dir / "golden.safetensors");
  REQUIRE(golden.size() == 8);
  for (size_t i = 0; i < golden.size(); ++i) {
    CAPTURE(i);
    const std::string prefix = fmt::format("p{}.", i);
    const auto prompt = golden[i].at("input_ids").get<std::vector<int32_t>>();
    CHECK(tokenizer.encode(golden[i].at("prompt").get<std::string>()) == prompt);

    engine::KvCache cache;
    engine::Probe probe;
    const Matrix hidden = engine.model().forward(prompt, MOE_PHASE_PREFILL, cache, &probe);
    // The checkpoint in the repository has numbers of the first two prompts only, and tokens of all.
    const bool has_numbers = i < 2 || tensors.contains(prefix + "hidden_last");
    if (has_numbers) {
      CHECK(largest_difference(concatenated(probe.hidden), tensors.at(prefix + "hidden_last")) < kTolerance);
      CHECK(largest_difference(concatenated(probe.router_logits), tensors.at(prefix + "router_logits_last")) <
            kTolerance);
    }

    const Run steps = run(engine, prompt, 64);
    CHECK(steps.tokens == golden[i].at("greedy").get<std::vector<int32_t>>());
    CHECK(tokenizer.decode(steps.tokens) == golden[i].at("text").get<std::string>());
    const auto vocab = static_cast<ptrdiff_t>(engine.model().config().vocab_size);
    const std::vector<float> first(steps.logits.begin(), steps.logits.begin() + vocab);
    const std::vector<float> last(steps.logits.end() - vocab, steps.logits.end());
    if (has_numbers) CHECK(largest_difference(first, tensors.at(prefix + "logits_last")) < kTolerance);
    if (tensors.contains(prefix + "logits_after_greedy")) {
      CHECK(largest_difference(last, tensors.at(prefix + "logits_after_greedy")) < kTolerance);
    }
  }
}

// Minus the mean log probability of each token after the first.
TEST_CASE("held-out text: the mean negative log likelihood") {
  Engine engine = open();
  const json ppl = engine_test::read_json(model_dir / "ppl.json");
  double total = 0;
  size_t count = 0;
  for (const json& doc : ppl.at("docs")) {
    const auto ids = doc.at("ids").get<std::vector<int32_t>>();
    engine::KvCache cache;
    const Matrix logits = engine.model().logits(engine.model().forward(ids, MOE_PHASE_PREFILL, cache));
    for (size_t t = 0; t + 1 < ids.size(); ++t) {
      const float* row = logits.row(t);
      double sum = 0;
      for (size_t v = 0; v < logits.cols; ++v) sum += std::exp(double{row[v]});
      total += std::log(sum) - row[ids[t + 1]];
      ++count;
    }
  }
  CHECK(std::abs(total / static_cast<double>(count) - ppl.at("mean_nll").get<double>()) < kTolerance);
}

TEST_CASE("a prompt in pieces gives the same tokens") {
  Engine whole = open();
  engine::EngineOptions options;
  options.model.max_batch = 7;
  Engine pieces = open(options);
  const std::vector<int32_t> prompt = prompts().front();
  const Run a = run(whole, prompt, 16), b = run(pieces, prompt, 16);
  CHECK(a.tokens == b.tokens);
  CHECK(largest_difference(a.logits, b.logits) < kTolerance);
}

TEST_CASE("every policy gives the resident run's bits") {
#ifdef ENGINE_HAS_COMPILER
  Engine resident = open();
  std::vector<Run> expected;
  for (const auto& prompt : prompts()) expected.push_back(run(resident, prompt, 24));
  for (const std::string name : {"lru", "lfu_gate", "cpu_fallback", "tiny", "score_history"}) {
    CAPTURE(name);
    engine::EngineOptions options;
    options.policy.file = "tests/engine/policies/" + name + ".moe";
    Engine engine = open(options);
    CHECK(engine.policy_exact());
    for (size_t i = 0; i < expected.size(); ++i) CHECK(run(engine, prompts()[i], 24) == expected[i]);
    const moe_stats_t stats = engine.stats();
    CHECK(stats.hits + stats.misses == stats.accesses);
    CHECK(stats.misses > 0);  // or it proved nothing
    if (name == "cpu_fallback") CHECK(stats.cpu > 0);
    if (name == "tiny") CHECK(stats.streams > 0);
    if (name == "lfu_gate") CHECK(stats.prefetch_used > 0);
  }
#else
  std::puts("[SKIP] skipped: this build has no policy compiler");
#endif
}

int main(int argc, char** argv) {
  if (argc < 2 || !std::filesystem::exists(argv[1])) {
    std::printf("[SKIP] skipped: no checkpoint at %s\n", argc < 2 ? "(no folder given)" : argv[1]);
    return 77;
  }
  model_dir = argv[1];
  doctest::Context context(argc, argv);
  return context.run();
}
