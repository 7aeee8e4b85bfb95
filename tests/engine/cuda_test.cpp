// SPDX-License-Identifier: Apache-2.0
// The engine on the CUDA backend: with devices that are not there, by libmoe_cuda's logic; and on a device, where one
// is.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>

#include "examples/engine/engine.h"
#include "tests/engine/support.h"

namespace engine_test {
namespace {

struct Outcome {
  std::vector<float> logits;  ///< of the prompt's tokens, then of each generated one
  std::vector<int32_t> tokens;
  moe_stats_t stats;
  bool exact = false;
};

engine::EngineOptions on_cuda(const std::string& library) {
  engine::EngineOptions options;
  options.backend = MOE_BACKEND_CUDA;
  options.backend_library = library;
  return options;
}

/// A prompt, and some tokens after it, greedily.
Outcome run(const std::filesystem::path& folder, const engine::EngineOptions& options) {
  const engine::Config config = engine::read_config(folder);
  std::string findings;
  engine::Engine engine(folder, config, options, findings);
  engine::KvCache cache;
  Outcome outcome;
  std::vector<int32_t> next = {5, 900, 31, 7, 64, 12, 8};
  for (int i = 0; i < 8; ++i) {
    const engine::Matrix logits =
        engine.model().logits(engine.model().forward(next, i == 0 ? MOE_PHASE_PREFILL : MOE_PHASE_DECODE, cache));
    outcome.logits.insert(outcome.logits.end(), logits.values.begin(), logits.values.end());
    const float* const last = logits.row(logits.rows - 1);
    next = {static_cast<int32_t>(std::max_element(last, last + logits.cols) - last)};
    outcome.tokens.push_back(next[0]);
  }
  outcome.stats = engine.stats();
  outcome.exact = engine.policy_exact();
  return outcome;
}

double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float value : values) most = std::fmax(most, std::fabs(static_cast<double>(value)));
  return most;
}

void check_engine(const std::string& library) {
  const Outcome host = run(kQwen, {});
  const Outcome resident = run(kQwen, on_cuda(library));
  // The weights are bf16 and activations are rounded to that on the device only: 2^-9 at each of 4 layers' two
  // roundings.
  const size_t prompt = resident.logits.size() * 7 / 14;
  const std::vector<float> a(host.logits.begin(), host.logits.begin() + static_cast<ptrdiff_t>(prompt));
  const std::vector<float> b(resident.logits.begin(), resident.logits.begin() + static_cast<ptrdiff_t>(prompt));
  CHECK(largest_difference(a, b) < 0.005 * largest(a));
  CHECK(resident.stats.misses == 0);

  // A policy whose experts come and go, with fewer slots than a prompt needs: the bits of the resident run.
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "p.moe").string();
  const auto run_under = [&](const std::string& text) {
    write_text(file, text);
    engine::EngineOptions options = on_cuda(library);
    options.policy.file = file;
    return run(kQwen, options);
  };
  const Outcome lru = run_under("policy p { cache { capacity = 6 } }");
  CHECK(lru.logits == resident.logits);
  CHECK(lru.tokens == resident.tokens);
  CHECK(lru.exact);
  CHECK(lru.stats.evictions > 0);
  CHECK(lru.stats.streams > 0);
  const Outcome gate = run_under("policy p { cache { capacity = 40% } prefetch { strategy = gate } }");
  CHECK(gate.logits == resident.logits);
  CHECK(gate.stats.prefetched > 0);

  // What is computed on the host rounds as the host does: near, and not said to be exact.
  const Outcome mixed = run_under("policy p { cache { capacity = 20 } schedule { on miss { else -> cpu } } }");
  CHECK(mixed.stats.cpu > 0);
  CHECK_FALSE(mixed.exact);
  const std::vector<float> c(mixed.logits.begin(), mixed.logits.begin() + static_cast<ptrdiff_t>(prompt));
  CHECK(largest_difference(a, c) < 0.005 * largest(a));
}

TEST_CASE("the engine on devices that are not there: near the host's numbers, and the resident run's bits") {
  check_engine(MOE_FAKE_CUDA_LIBRARY);
}

TEST_CASE("a device or a library that is not there") {
  engine::EngineOptions options = on_cuda(MOE_FAKE_CUDA_LIBRARY);
  options.device = 5;
  CHECK(error_of([&] { run(kQwen, options); }).find("there is no device 5") != std::string::npos);
  options.backend_library = "/no/such.so";
  const std::string error = error_of([&] { run(kQwen, options); });
  CHECK(error.find("--backend: CUDA: the backend library cannot be loaded: /no/such.so") == 0);
}

#ifdef MOE_CUDA_LIBRARY
TEST_CASE("device: the engine") {
  engine::EngineOptions options = on_cuda(MOE_CUDA_LIBRARY);
  const std::string error = error_of([&] { run(kQwen, options); });
  if (error.find("no CUDA device") != std::string::npos) {
    MESSAGE("skipped: " << error);
    return;
  }
  REQUIRE(error == "");
  check_engine(MOE_CUDA_LIBRARY);
}
#endif

}  // namespace
}  // namespace engine_test
