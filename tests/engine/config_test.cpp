// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "examples/engine/config.h"

#include <doctest/doctest.h>

#include "tests/engine/support.h"

using engine::Config;
using engine_test::error_of;
using nlohmann::json;

namespace {

// A config.json as transformers 4 writes it; a test changes single keys.
json qwen() { return engine_test::read_json(engine_test::kQwen / "config_v4.json"); }

json olmoe() {
  return json::parse(R"({"architectures": ["OlmoeForCausalLM"], "hidden_act": "silu", "hidden_size": 192,
    "intermediate_size": 64, "max_position_embeddings": 1024, "num_attention_heads": 6, "num_experts": 32,
    "num_experts_per_tok": 4, "num_hidden_layers": 8, "num_key_value_heads": 6, "rms_norm_eps": 1e-05,
    "rope_scaling": null, "rope_theta": 10000.0, "clip_qkv": null, "vocab_size": 4096})");
}

// As transformers 4 wrote Mixtral-8x7B's, in small.
json mixtral() {
  return json::parse(R"({"architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1,
    "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 96,
    "max_position_embeddings": 32768, "model_type": "mixtral", "num_attention_heads": 8, "num_experts_per_tok": 2,
    "num_hidden_layers": 3, "num_key_value_heads": 2, "num_local_experts": 8, "output_router_logits": false,
    "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02, "sliding_window": null,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.36.0.dev0", "use_cache": true,
    "vocab_size": 320})");
}

Config parse(const json& object) { return engine::parse_config(object.dump(), "config.json"); }

json with(json object, const std::string& key, const json& value) {
  object[key] = value;
  return object;
}

json without(json object, const std::string& key) {
  object.erase(key);
  return object;
}

// Each config is refused, in one line with the word in it.
using Refusals = std::vector<std::pair<json, std::string>>;
void check_refused(const Refusals& table) {
  for (const auto& [object, word] : table) {
    const std::string message = error_of([&, &config = object] { parse(config); });
    CAPTURE(word);
    CAPTURE(message);
    CHECK(message.find(word) != std::string::npos);
    CHECK(message.starts_with("config.json: "));
    CHECK(engine_test::is_one_line(message));
  }
}

}  // namespace

TEST_CASE("transformers 4 and 5 write the same model") {
  const Config v4 = parse(qwen());
  const Config v5 = engine::read_config(engine_test::kQwen);
  CHECK(v4 == v5);
  CHECK(v4.architecture == engine::Architecture::qwen2_moe);
  CHECK(v4.head_dim == 32);
  CHECK(v4.num_moe_layers() == 4);
  CHECK(v4.qkv_bias);
  CHECK(v4.tie_embeddings);
  CHECK(v4.eos_ids == std::vector<int32_t>{0});
}

TEST_CASE("OLMoE has its own defaults") {
  const Config config = parse(olmoe());
  CHECK(config.architecture == engine::Architecture::olmoe);
  CHECK(config.expert_width == 64);
  CHECK(config.shared_width == 0);
  CHECK_FALSE(config.qkv_bias);
  CHECK_FALSE(config.tie_embeddings);
  CHECK_FALSE(config.clip_qkv);
  CHECK(parse(with(olmoe(), "clip_qkv", 8)).clip_qkv == 8.0F);
  CHECK(parse(with(olmoe(), "attention_bias", true)).output_bias);
  CHECK(parse(with(olmoe(), "eos_token_id", json::array({7, 3, 7}))).eos_ids == std::vector<int32_t>{3, 7});
}

TEST_CASE("Mixtral") {
  const Config config = parse(mixtral());
  CHECK(config.architecture == engine::Architecture::mixtral);
  CHECK(config.num_experts == 8);
  CHECK(config.expert_width == 96);
  CHECK(config.shared_width == 0);
  CHECK(config.num_moe_layers() == 3);
  CHECK(config.head_dim == 8);
  CHECK(config.norm_topk_prob);
  CHECK_FALSE(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK_FALSE(config.has_qk_norm());
  CHECK_FALSE(config.window);
  CHECK(config.rope_theta == 1e6);
  CHECK(parse(with(mixtral(), "sliding_window", 4096)).window == 4096U);
  CHECK(parse(with(mixtral(), "head_dim", 32)).head_dim == 32);
  CHECK(parse(with(mixtral(), "hidden_act", "swish")) == config);
  CHECK(parse(with(mixtral(), "rope_theta", 1e4)).rope_theta == 1e4);
  // What MixtralConfig says about keys that are not there, or null.
  CHECK(parse(without(mixtral(), "rope_theta")) == config);
  CHECK(parse(without(mixtral(), "num_key_value_heads")).num_kv_heads == 8);
  CHECK(parse(with(mixtral(), "num_key_value_heads", nullptr)).num_kv_heads == 8);
  CHECK(parse(with(with(mixtral(), "num_attention_heads", 16), "num_key_value_heads", nullptr)).num_kv_heads == 16);
  CHECK(parse(with(without(mixtral(), "num_local_experts"), "num_experts", 8)) == config);
  // transformers 5: rope_parameters, and sizes that are null.
  json v5 = without(mixtral(), "rope_theta");
  v5["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  v5["head_dim"] = nullptr;
  CHECK(parse(v5) == config);
}

TEST_CASE("layers without experts") {
  CHECK(parse(with(qwen(), "decoder_sparse_step", 2)).is_moe == std::vector<bool>{false, true, false, true});
  const Config config = parse(with(qwen(), "mlp_only_layers", json::array({0, 3})));
  CHECK(config.is_moe == std::vector<bool>{false, true, true, false});
  CHECK(config.num_moe_layers() == 2);
  CHECK(config.dense_width == 384);
}

TEST_CASE("sizes that cannot be") {
  check_refused({
      {with(qwen(), "architectures", {"Qwen2ForCausalLM"}), "Qwen2ForCausalLM"},
      {with(qwen(), "architectures", json::array()), "architectures"},
      {with(qwen(), "architectures", 3), "architectures"},
      {without(qwen(), "architectures"), "architectures"},
      {with(qwen(), "hidden_size", 0), "hidden_size"},
      {with(qwen(), "hidden_size", -128), "hidden_size"},
      {with(qwen(), "hidden_size", "128"), "hidden_size"},
      {with(qwen(), "hidden_size", 128.5), "hidden_size"},
      {with(qwen(), "hidden_size", uint64_t{1} << 62), "hidden_size"},
      {with(qwen(), "hidden_size", 1e300), "hidden_size"},
      {with(qwen(), "hidden_size", json::array({128})), "hidden_size"},
      {with(qwen(), "hidden_size", 130), "hidden_size"},
      {without(qwen(), "hidden_size"), "hidden_size"},
      {with(qwen(), "num_attention_heads", 0), "num_attention_heads"},
      {with(qwen(), "num_attention_heads", 128), "heads of 1"},
      {with(qwen(), "head_dim", 33), "heads of 33"},
      {with(qwen(), "head_dim", 1 << 18), "heads of"},
      {with(qwen(), "num_key_value_heads", 3), "num_key_value_heads"},
      {with(qwen(), "num_hidden_layers", 0), "num_hidden_layers"},
      {with(qwen(), "num_hidden_layers", 5000), "num_hidden_layers"},
      {with(qwen(), "vocab_size", 0), "vocab_size"},
      {with(qwen(), "vocab_size", uint64_t{1} << 40), "vocab_size"},
      {with(qwen(), "max_position_embeddings", 0), "max_position_embeddings"},
      {with(qwen(), "num_experts", 0), "num_experts"},
      {with(qwen(), "num_experts", 70000), "num_experts"},
      {with(qwen(), "num_experts_per_tok", 17), "num_experts_per_tok"},
      {with(qwen(), "num_experts_per_tok", 0), "num_experts_per_tok"},
      {with(qwen(), "moe_intermediate_size", 0), "moe_intermediate_size"},
      {with(qwen(), "shared_expert_intermediate_size", 0), "shared_expert_intermediate_size"},
  });
}

TEST_CASE("what this engine does not compute") {
  const json rope_yarn = {{"rope_type", "yarn"}, {"rope_theta", 10000.0}};
  check_refused({
      {with(qwen(), "rms_norm_eps", -1), "rms_norm_eps"},
      {with(qwen(), "rms_norm_eps", "small"), "rms_norm_eps"},
      {with(qwen(), "rope_theta", 0), "rope_theta"},
      {without(qwen(), "rope_theta"), "rope_theta"},
      {with(qwen(), "rope_scaling", {{"type", "linear"}, {"factor", 2}}), "`type` is `linear`"},
      {with(qwen(), "rope_scaling", {{"factor", 2}}), "factor"},
      {with(qwen(), "rope_scaling", {{"type", "dynamic"}}), "dynamic"},
      {with(qwen(), "rope_parameters", rope_yarn), "yarn"},
      {with(qwen(), "rope_parameters", "default"), "rope_parameters"},
      {with(qwen(), "rope_parameters", {{"rope_theta", 1e4}, {"partial_rotary_factor", 0.5}}), "partial_rotary_factor"},
      {with(qwen(), "norm_topk_prob", 1), "norm_topk_prob"},
      {with(qwen(), "use_sliding_window", true), "sliding window"},
      {with(qwen(), "layer_types", {"full_attention", "sliding_attention"}), "layer_types"},
      {with(qwen(), "hidden_act", "gelu"), "hidden_act"},
      {with(qwen(), "quantization_config", {{"bits", 4}}), "quantized"},
      {with(qwen(), "decoder_sparse_step", 0), "decoder_sparse_step"},
      {with(qwen(), "decoder_sparse_step", 5), "no layer has experts"},
      {with(qwen(), "mlp_only_layers", {4}), "mlp_only_layers"},
      {with(qwen(), "mlp_only_layers", {-1}), "mlp_only_layers"},
      {with(qwen(), "mlp_only_layers", 0), "mlp_only_layers"},
      {with(qwen(), "eos_token_id", 4096), "eos_token_id"},
      {with(qwen(), "eos_token_id", {{"a", 1}}), "eos_token_id"},
      {with(qwen(), "quantization_config", {{"quant_method", "awq"}}), "`awq`"},
      {with(qwen(), "partial_rotary_factor", 0.5), "`partial_rotary_factor` is 0.5"},
      {with(mixtral(), "sliding_window", 0), "`sliding_window` is 0"},
      {with(mixtral(), "sliding_window", "4k"), "`sliding_window` is \"4k\""},
      {with(mixtral(), "attention_bias", true), "`attention_bias` is true"},
      {with(mixtral(), "hidden_act", "gelu_new"), "`hidden_act` is `gelu_new`"},
      {with(mixtral(), "num_experts", 4), "`num_local_experts` is 8"},
      {without(mixtral(), "num_local_experts"), "`num_local_experts` is missing"},
      {with(mixtral(), "num_experts_per_tok", 9), "`num_experts_per_tok` is 9"},
      {with(mixtral(), "num_key_value_heads", 3), "num_key_value_heads"},
      {with(mixtral(), "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}), "`rope_type` is `llama3`"},
      {with(mixtral(), "layer_types", {"sliding_attention"}), "`layer_types` has \"sliding_attention\""},
      {with(olmoe(), "clip_qkv", 0), "clip_qkv"},
      {with(olmoe(), "clip_qkv", "yes"), "clip_qkv"},
  });
}

TEST_CASE("text that is not a config") {
  const auto message = [](const std::string& text) {
    return error_of([&] { engine::parse_config(text, "config.json"); });
  };
  CHECK(message("") == "config.json: not valid JSON at byte 1");
  CHECK(message("[1]") == "config.json: expected a JSON object");
  CHECK(message("{\"hidden_size\": 1e999}").starts_with("config.json: not valid JSON"));
  CHECK(message(std::string(100000, '[')).starts_with("config.json: not valid JSON"));
  CHECK(message("{}") == "config.json: `architectures` is missing");
}
