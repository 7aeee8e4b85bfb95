// SPDX-License-Identifier: Apache-2.0
// MoE-PolicyLang 1.4.2 recorded what it decided on a slice of a real trace, for twelve policies. Ours, as text through
// the whole compiler, decide the same on every dispatch: natively and in the interpreter.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "compiler/driver.h"
#include "ir/interpreter.h"
#include "replay/kernel_engine.h"
#include "replay/load_trace.h"

namespace {

using namespace moe;

const std::filesystem::path kFolder = "../shared/data/decisions-1.4.2";

std::vector<std::string> gunzipped_lines(const std::filesystem::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  std::string text;
  char chunk[65536];
  for (int n = 0; (n = gzread(file, chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<size_t>(n));
  gzclose(file);
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

ir::BoundPolicy compiled(const std::filesystem::path& path, const replay::Trace& trace) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const ir::SourceFile source(path.string(), text.str());
  compiler::Target target;
  target.shape = {trace.num_layers, trace.num_experts, trace.top_k, 0};
  ir::Diagnostics diagnostics;
  std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(source, target, diagnostics);
  INFO(ir::render_text(source, diagnostics, false));
  REQUIRE(bound.has_value());
  return *bound;
}

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;

/// What the file calls `left`: pairs that the dispatch evicted and that are not resident after it, sorted; under
/// freq_threshold only those that were resident before it.
Pairs left_pairs(const ir::Decision& decision, const std::set<uint32_t>& before, const std::set<uint32_t>& after,
                 uint32_t num_experts, bool only_before) {
  std::set<uint32_t> left;
  for (uint32_t key : decision.evicted) {
    if (after.count(key) == 0 && (!only_before || before.count(key) != 0)) left.insert(key);
  }
  Pairs pairs;
  for (uint32_t key : left) pairs.emplace_back(key / num_experts, key % num_experts);
  return pairs;
}

std::optional<ir::Decision> decide(replay::KernelEngine& engine, const ir::DispatchInput& input) {
  return engine.decide(input);
}
std::optional<ir::Decision> decide(ir::Interpreter& engine, const ir::DispatchInput& input) {
  return engine.dispatch(input);
}

template <class Engine>
std::set<uint32_t> residents(const Engine& engine) {
  const std::vector<uint32_t> keys = engine.resident();
  return {keys.begin(), keys.end()};
}

/// Dispatches on which `engine` and the recorded stream differ.
template <class Engine>
size_t count_differences(const replay::Trace& trace, const std::vector<std::string>& expected, bool only_before,
                         Engine& engine) {
  size_t differences = 0;
  size_t d = 0;
  std::set<uint32_t> before = residents(engine);
  for (uint64_t token = 0; token < trace.num_tokens; ++token) {
    for (uint32_t layer = 0; layer < trace.num_layers; ++layer, ++d) {
      const size_t at = trace.offset(token, layer);
      const auto first = trace.experts.begin() + static_cast<long>(at);
      const std::vector<int32_t> ids(first, first + trace.top_k);
      ir::DispatchInput input;
      input.layer = layer;
      input.num_tokens = 1;
      input.top_k = trace.top_k;
      input.ids = ids;
      if (!trace.weights.empty()) input.weights = std::span(trace.weights).subspan(at, trace.top_k);
      const std::optional<ir::Decision> decision = decide(engine, input);
      REQUIRE(decision.has_value());
      std::set<uint32_t> after = residents(engine);
      const nlohmann::json line = nlohmann::json::parse(expected.at(d));
      std::vector<int> hits;
      for (const ir::ExpertDecision& e : decision->experts) hits.push_back(e.action == ir::Action::hit ? 1 : 0);
      const bool same =
          line["hit"].get<std::vector<int>>() == hits &&
          line["left"].get<Pairs>() == left_pairs(*decision, before, after, trace.num_experts, only_before);
      differences += same ? 0 : 1;
      before = std::move(after);
    }
  }
  CHECK(d == expected.size());
  return differences;
}

}  // namespace

TEST_CASE("the twelve recorded decision streams, through text, compiler and native code") {
  const Result<replay::Trace> trace = replay::load_trace((kFolder / "trace.npz").string());
  REQUIRE_MESSAGE(trace.ok(), (trace.ok() ? "" : trace.error().message));
  size_t streams = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".moe") continue;
    CAPTURE(entry.path().string());
    const ir::BoundPolicy policy = compiled(entry.path(), *trace);
    const std::vector<std::string> expected =
        gunzipped_lines(std::filesystem::path(entry.path()).replace_extension(".jsonl.gz"));
    REQUIRE(expected.size() == trace->num_tokens * trace->num_layers);
    const bool only_before = policy.eviction == ir::Eviction::freq_threshold;

    auto code = codegen::jit(policy, {});
    REQUIRE(code.ok());
    auto kernel = replay::KernelEngine::create((*code)->descriptor());
    REQUIRE(kernel.ok());
    CHECK(count_differences(*trace, expected, only_before, *kernel) == 0);
    ir::Interpreter interpreter(policy);
    CHECK(count_differences(*trace, expected, only_before, interpreter) == 0);
    ++streams;
  }
  CHECK(streams == 12);
}

int main(int argc, char** argv) {
  if (!std::filesystem::exists(kFolder)) {
    std::puts("[SKIP] skipped: the recorded decisions of MoE-PolicyLang 1.4.2 are not beside this checkout");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
