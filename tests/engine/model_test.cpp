// SPDX-License-Identifier: Apache-2.0
// Models that no checkpoint at hand has: layers without experts, clipped attention, damaged tensors.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "examples/engine/model.h"

#include <doctest/doctest.h>

#include <limits>

#include "examples/engine/engine.h"
#include "tests/engine/support.h"
#include "tests/engine/tiny_model.h"

using engine_test::error_of;
using engine_test::TinyModel;

namespace {

const std::vector<int32_t> kPrompt = {72, 101, 108, 108, 111, 44, 32, 119};

// Logits of every position of kPrompt.
std::vector<float> logits_of(const TinyModel& tiny, const engine::Model::Options& options = {}) {
  const engine_test::TemporaryFolder folder;
  tiny.write(folder.path());
  std::string findings;
  engine::EngineOptions engine_options;
  engine_options.model = options;
  engine::Engine engine(folder.path(), engine::read_config(folder.path()), engine_options, findings);
  engine::KvCache cache;
  return engine.model().logits(engine.model().forward(kPrompt, MOE_PHASE_PREFILL, cache)).values;
}

std::string refusal(const TinyModel& tiny) {
  return error_of([&] { logits_of(tiny); });
}

std::vector<float>& values(TinyModel& tiny, const std::string& name) { return tiny.tensors.at(name).values; }

void zero(TinyModel& tiny, const std::string& name) { values(tiny, name).assign(values(tiny, name).size(), 0); }

}  // namespace

TEST_CASE("a layer without experts is a layer whose experts are all the same") {
  const TinyModel dense({0});
  TinyModel mixture;
  // The same numbers everywhere, layer 0's MLP in every expert; with norm_topk_prob their weights sum to 1.
  for (auto& [name, tensor] : mixture.tensors) {
    if (const auto same = dense.tensors.find(name); same != dense.tensors.end()) tensor = same->second;
  }
  for (const char* part : {"gate_proj.weight", "up_proj.weight", "down_proj.weight"}) {
    for (const char* e : {"0", "1", "2", "3"}) {
      mixture.tensors.at(std::string("model.layers.0.mlp.experts.") + e + "." + part) =
          dense.tensors.at(std::string("model.layers.0.mlp.") + part);
    }
  }
  zero(mixture, "model.layers.0.mlp.shared_expert.down_proj.weight");
  CHECK(engine_test::largest_difference(logits_of(dense), logits_of(mixture)) < 1e-5);
}

TEST_CASE("batches give what one pass gives, hints change nothing") {
  const TinyModel tiny;
  const std::vector<float> whole = logits_of(tiny);
  for (const uint32_t batch : {1U, 3U})
    CHECK(engine_test::largest_difference(whole, logits_of(tiny, {batch, true})) < 1e-5);
  CHECK(whole == logits_of(tiny, {512, false}));
}

TEST_CASE("OLMoE: q and k are normed, q, k and v clipped") {
  TinyModel tiny;
  tiny.config["architectures"] = {"OlmoeForCausalLM"};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    tiny.tensors[layer + std::string("self_attn.q_norm.weight")] = {{16}, std::vector<float>(16, 1)};
    tiny.tensors[layer + std::string("self_attn.k_norm.weight")] = {{8}, std::vector<float>(8, 1)};
  }
  const std::vector<float> plain = logits_of(tiny);
  tiny.config["clip_qkv"] = 1000.0;
  CHECK(plain == logits_of(tiny));
  // With v clipped to almost nothing attention adds almost nothing, as if its output were zero.
  tiny.config["clip_qkv"] = 1e-6;
  const std::vector<float> clipped = logits_of(tiny);
  CHECK(engine_test::largest_difference(plain, clipped) > 1e-3);
  for (const char* layer : {"0", "1"}) zero(tiny, std::string("model.layers.") + layer + ".self_attn.o_proj.weight");
  CHECK(engine_test::largest_difference(clipped, logits_of(tiny)) < 1e-3);
  tiny.tensors.erase("model.layers.1.self_attn.k_norm.weight");
  CHECK(refusal(tiny).ends_with("tensor `model.layers.1.self_attn.k_norm.weight` is missing"));
}

TEST_CASE("tensors that do not fit config.json") {
  const auto broken = [](auto change) {
    TinyModel tiny;
    change(tiny);
    const std::string message = refusal(tiny);
    CAPTURE(message);
    CHECK(engine_test::is_one_line(message));
    return message;
  };
  CHECK(broken([](TinyModel& m) {
          m.tensors.erase("model.norm.weight");
        }).ends_with("tensor `model.norm.weight` is missing"));
  CHECK(broken([](TinyModel& m) { m.tensors.erase("lm_head.weight"); }).ends_with("`lm_head.weight` is missing"));
  CHECK(broken([](TinyModel& m) {
          m.tensors.erase("model.layers.1.self_attn.q_proj.bias");
        }).ends_with("`model.layers.1.self_attn.q_proj.bias` is missing"));
  CHECK(broken([](TinyModel& m) {
          m.config["vocab_size"] = 255;
        }).ends_with("tensor `model.embed_tokens.weight` has shape [256, 16]; config.json makes it [255, 16]"));
  CHECK(broken([](TinyModel& m) {
          m.config["moe_intermediate_size"] = 9;
        }).ends_with("the experts' `down_proj.weight` has shape [16, 8]; config.json makes it [16, 9]"));
  CHECK(broken([](TinyModel& m) {
          m.tensors.at("model.norm.weight").dtype = "I32";
        }).ends_with("tensor `model.norm.weight` is neither F32, F16 nor BF16"));
  // What the store itself finds: counts of layers and experts, parts that differ, bytes that do not add up.
  broken([](TinyModel& m) { m.config["num_experts"] = 5; });
  broken([](TinyModel& m) { m.config["num_hidden_layers"] = 3; });
  broken([](TinyModel& m) { m.tensors.erase("model.layers.1.mlp.experts.2.up_proj.weight"); });
  broken([](TinyModel& m) { m.tensors.at("lm_head.weight").shape = {256, 17}; });
  broken([](TinyModel& m) {
    for (const char* layer : {"0", "1"}) {
      for (const char* e : {"0", "1", "2", "3"}) {
        m.tensors[std::string("model.layers.") + layer + ".mlp.experts." + e + ".bias"] = {{1}, {0}};
      }
    }
  });
}

TEST_CASE("weights that are not numbers, tokens that are not in the vocabulary") {
  TinyModel tiny;
  values(tiny, "model.embed_tokens.weight")[16 * 72] = std::numeric_limits<float>::quiet_NaN();
  CHECK(refusal(tiny).find("not finite") != std::string::npos);
  TinyModel small;
  small.config["vocab_size"] = 100;
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    small.tensors.at(name).shape = {100, 16};
    values(small, name).resize(1600);
  }
  CHECK(refusal(small) == "token 101 is outside of the model's vocabulary of 100");
}

TEST_CASE("no more tokens than positions") {
  TinyModel tiny;
  tiny.config["max_position_embeddings"] = 7;
  CHECK(refusal(tiny) == "8 tokens are more than the model's 7 positions");
}
