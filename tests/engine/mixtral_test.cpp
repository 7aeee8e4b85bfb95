// SPDX-License-Identifier: Apache-2.0
// Mixtral checkpoints that Hugging Face's classes made, against what they computed (tests/oracles/mixtral_golden.py).
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "examples/engine/engine.h"
#include "examples/engine/generate.h"
#include "tests/engine/support.h"

using engine::Engine;
using engine::Matrix;
using engine_test::error_of;
using engine_test::largest_difference;
using engine_test::read_json;
using engine_test::read_text;
using engine_test::TemporaryFolder;
using engine_test::write_text;
using nlohmann::json;

namespace {

const std::filesystem::path kData = "tests/data/mixtral";
constexpr double kTolerance = 2e-5;  // logits of up to 10, summed in another order

Engine open(const std::filesystem::path& model, const engine::EngineOptions& options = {}) {
  std::string findings;
  return {model, engine::read_config(model), options, findings};
}

std::string refusal(const std::filesystem::path& model) {
  const std::string message = error_of([&] { open(model); });
  CHECK(engine_test::is_one_line(message));
  return message;
}

struct Run {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // of every step
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

std::vector<float> concatenated(const std::vector<std::vector<float>>& rows) {
  std::vector<float> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

void check_golden(const std::string& name, const engine::EngineOptions& options = {}) {
  CAPTURE(name);
  Engine engine = open(kData / name, options);
  const auto tensors = engine_test::read_f32_tensors(kData / name / "golden.safetensors");
  const json golden = read_json(kData / name / "golden.json");
  REQUIRE(golden.size() == 2);
  for (size_t i = 0; i < golden.size(); ++i) {
    CAPTURE(i);
    const std::string prefix = fmt::format("p{}.", i);
    const auto prompt = golden[i].at("input_ids").get<std::vector<int32_t>>();
    engine::KvCache cache;
    engine::Probe probe;
    const Matrix hidden = engine.model().forward(prompt, MOE_PHASE_PREFILL, cache, &probe);
    CHECK(largest_difference(engine.model().logits(hidden).values, tensors.at(prefix + "logits")) < kTolerance);
    CHECK(largest_difference(concatenated(probe.hidden), tensors.at(prefix + "hidden_last")) < kTolerance);
    CHECK(largest_difference(concatenated(probe.router_logits), tensors.at(prefix + "router_logits_last")) <
          kTolerance);

    const auto expected = golden[i].at("greedy").get<std::vector<int32_t>>();
    const Run steps = run(engine, prompt, expected.size());
    CHECK(steps.tokens == expected);
    const auto vocab = static_cast<ptrdiff_t>(engine.model().config().vocab_size);
    const std::vector<float> last(steps.logits.end() - vocab, steps.logits.end());
    CHECK(largest_difference(last, tensors.at(prefix + "logits_after_greedy")) < kTolerance);
  }
}

void copy_model(const std::string& name, const std::filesystem::path& to) {
  for (const auto& file : std::filesystem::directory_iterator(kData / name)) {
    std::filesystem::copy_file(file.path(), to / file.path().filename());
  }
}

// Header and data of a safetensors file, so that a test can rename tensors in it.
struct Shard {
  json header;
  std::string data;
  explicit Shard(const std::filesystem::path& path) {
    const std::string bytes = read_text(path);
    uint64_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    header = json::parse(bytes.substr(8, size));
    data = bytes.substr(8 + size);
  }
  void write(const std::filesystem::path& path) const {
    const std::string text = header.dump();
    const uint64_t size = text.size();
    write_text(path, std::string(reinterpret_cast<const char*>(&size), sizeof size) + text + data);
  }
};

}  // namespace

TEST_CASE("bf16, four query heads on one key head, a head of its own") { check_golden("plain"); }

TEST_CASE("f32 in shards, tied embeddings, wide heads, a sliding window") {
  check_golden("window");
  // In pieces, the window reaches back into the cache.
  engine::EngineOptions pieces;
  pieces.model.max_batch = 3;
  const auto prompt = read_json(kData / "window/golden.json")[0].at("input_ids").get<std::vector<int32_t>>();
  const auto expected = read_json(kData / "window/golden.json")[0].at("greedy").get<std::vector<int32_t>>();
  Engine engine = open(kData / "window", pieces);
  CHECK(run(engine, prompt, expected.size()).tokens == expected);
}

TEST_CASE("f16, gate and up of all experts in one tensor, as transformers 5 has them in memory") {
  check_golden("fused");
}

TEST_CASE("every policy gives the resident run's bits") {
#ifdef ENGINE_HAS_COMPILER
  for (const std::string model : {"plain", "window", "fused"}) {
    const json golden = read_json(kData / model / "golden.json");
    Engine resident = open(kData / model);
    for (const std::string policy : {"stdlib-policies/lru.moe", "stdlib-policies/mixtral_offloading.moe",
                                     "tests/engine/policies/mixtral_gate.moe", "tests/engine/policies/tiny.moe"}) {
      CAPTURE(model);
      CAPTURE(policy);
      engine::EngineOptions options;
      options.policy.file = policy;
      Engine engine = open(kData / model, options);
      CHECK(engine.policy_exact());
      for (const json& item : golden) {
        const auto prompt = item.at("input_ids").get<std::vector<int32_t>>();
        const Run a = run(resident, prompt, 24), b = run(engine, prompt, 24);
        CHECK(a.tokens == b.tokens);
        CHECK(a.logits == b.logits);
      }
      CHECK(engine.stats().misses > 0);  // or it proved nothing
      if (policy.ends_with("mixtral_gate.moe")) CHECK(engine.stats().prefetch_used > 0);
    }
  }
#else
  std::puts("[SKIP] skipped: this build has no policy compiler");
#endif
}

TEST_CASE("shards that are not what the index says") {
  const char* first = "model-00001-of-00004.safetensors";
  const char* second = "model-00002-of-00004.safetensors";
  const char* index = "model.safetensors.index.json";
  const auto broken = [&](auto change) {
    const TemporaryFolder folder;
    copy_model("window", folder.path());
    change(folder.path());
    return refusal(folder.path());
  };
  const auto change_index = [&](const std::filesystem::path& folder, auto change) {
    json object = read_json(folder / index);
    change(object.at("weight_map"));
    write_text(folder / index, object.dump());
  };
  const std::string any = read_json(kData / "window" / index).at("weight_map").begin().key();

  CHECK(broken([&](const auto& folder) { std::filesystem::remove(folder / second); }).find(second) !=
        std::string::npos);
  CHECK(broken([&](const auto& folder) {
          std::filesystem::resize_file(folder / second, std::filesystem::file_size(folder / second) - 1);
        }).find(second) != std::string::npos);
  CHECK(broken([&](const auto& folder) { std::filesystem::remove(folder / index); }).find("index.json") !=
        std::string::npos);
  // The index places a tensor in the wrong shard, knows one too many, or leaves one out.
  const std::string misplaced = broken([&](const auto& folder) {
    change_index(folder, [&](json& map) { map.at(any) = map.at(any) == first ? second : first; });
  });
  CHECK(misplaced.find("tensor `" + any + "` is missing") != std::string::npos);
  CHECK(misplaced.find(index) != std::string::npos);
  CHECK(broken([&](const auto& folder) {
          change_index(folder, [&](json& map) { map["model.extra"] = first; });
        }).find("tensor `model.extra` is missing") != std::string::npos);
  CHECK(broken([&](const auto& folder) {
          change_index(folder, [](json& map) { map.erase("model.norm.weight"); });
        }).ends_with("tensor `model.norm.weight` is missing"));
  CHECK(broken([&](const auto& folder) {
          change_index(folder, [](json& map) { map.erase("model.layers.1.block_sparse_moe.experts.2.w3.weight"); });
        }).find("no sibling `w3.weight`") != std::string::npos);
  // One name twice in the index.
  CHECK(broken([&](const auto& folder) {
          std::string text = read_json(folder / index).dump();
          const std::string begin = "\"weight_map\":{";
          text.insert(text.find(begin) + begin.size(), fmt::format("\"{}\":\"{}\",", any, first));
          write_text(folder / index, text);
        }).find("`" + any + "` is there twice") != std::string::npos);
}

TEST_CASE("a tensor in two shards is the one that the index names") {
  const TemporaryFolder folder;
  copy_model("window", folder.path());
  // The last shard gets a tensor of the first one too, with other numbers; no entry of the index leads to it.
  Shard first(folder.path() / "model-00001-of-00004.safetensors");
  Shard last(folder.path() / "model-00004-of-00004.safetensors");
  const std::string name =
      first.header.begin().key() == "__metadata__" ? std::next(first.header.begin()).key() : first.header.begin().key();
  json copy = first.header.at(name);
  const size_t begin = copy.at("data_offsets")[0], end = copy.at("data_offsets")[1];
  copy["data_offsets"] = {last.data.size(), last.data.size() + end - begin};
  last.header[name] = copy;
  last.data += std::string(end - begin, '\x3f');
  last.write(folder.path() / "model-00004-of-00004.safetensors");
  Engine engine = open(folder.path());
  const json golden = read_json(kData / "window/golden.json")[0];
  CHECK(run(engine, golden.at("input_ids").get<std::vector<int32_t>>(), 30).tokens ==
        golden.at("greedy").get<std::vector<int32_t>>());
}

TEST_CASE("fused experts that do not fit config.json, or cannot be cut apart") {
  const auto broken = [](auto change) {
    const TemporaryFolder folder;
    copy_model("fused", folder.path());
    Shard file(folder.path() / "model.safetensors");
    change(file.header);
    file.write(folder.path() / "model.safetensors");
    return refusal(folder.path());
  };
  const std::string experts = "model.layers.0.mlp.experts.", up = experts + "gate_up_proj";
  // Twice as many of half the size: not the layer's experts.
  CHECK(broken([&](json& header) { header.at(up)["shape"] = {8, 12, 16}; }).find("has no sibling") !=
        std::string::npos);
  CHECK(broken([&](json& header) {
          header.at(up)["shape"] = {4, 16, 24};
          header.at("model.layers.1.mlp.experts.gate_up_proj")["shape"] = {4, 16, 24};
        }).find("`gate_up_proj` has shape [16, 24]; config.json makes it [24, 16]") != std::string::npos);
  CHECK(broken([&](json& header) {
          header[experts + "router_proj"] = header.at(up);
          header.erase(up);
        }).find("router_proj") != std::string::npos);
  CHECK(broken([&](json& header) {
          header.at(up)["shape"] = {0, 24, 16};
          header.at(up)["dtype"] = "Q4";
        }).find("of 0 experts cannot be cut apart") != std::string::npos);
  CHECK(broken([&](json& header) {
          header.at(up)["shape"] = {7, 24, 16};
          header.at(up)["dtype"] = "Q4";
        }).find("of 7 experts cannot be cut apart") != std::string::npos);
}
