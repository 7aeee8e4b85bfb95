// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/config.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "examples/engine/error.h"
#include "examples/engine/json_file.h"

namespace engine {
namespace {

// Generous for any model of today, small enough that no product of three of them leaves 64 bits.
constexpr uint64_t kMaxWidth = 1 << 18;
constexpr uint64_t kMaxHeads = 1 << 12;
constexpr uint64_t kMaxLayers = 4096;    // moe.h
constexpr uint64_t kMaxExperts = 65534;  // moe.h
constexpr uint64_t kMaxVocab = 1 << 24;
constexpr uint64_t kMaxPositions = 1 << 24;
constexpr size_t kMaxFileBytes = 1 << 20;

// What MixtralConfig puts in the place of keys that a config.json leaves out.
constexpr double kMixtralTheta = 1e6;
constexpr uint32_t kMixtralKvHeads = 8;

uint32_t size(const JsonObject& json, const char* key, uint64_t max) {
  return static_cast<uint32_t>(json.integer(key, 1, max));
}

Architecture read_architecture(const JsonObject& json) {
  const nlohmann::json& names = json.at("architectures");
  if (!names.is_array() || names.size() != 1 || !names[0].is_string()) {
    throw data_error(json.where() + ": `architectures` must be an array with one name");
  }
  const std::string name = names[0].get<std::string>();
  if (name == "Qwen2MoeForCausalLM") return Architecture::qwen2_moe;
  if (name == "OlmoeForCausalLM") return Architecture::olmoe;
  if (name == "MixtralForCausalLM") return Architecture::mixtral;
  throw data_error(
      fmt::format("{}: architecture `{}` is not supported; this engine runs MixtralForCausalLM, OlmoeForCausalLM and "
                  "Qwen2MoeForCausalLM",
                  json.where(), name));
}

// What would change the result in a way this engine does not compute.
void refuse_unsupported(const JsonObject& json, Architecture architecture) {
  const bool mixtral = architecture == Architecture::mixtral;
  const std::string act = json.string_or("hidden_act", "silu");
  if (act != "silu" && act != "swish") {  // two names of one function
    throw data_error(fmt::format("{}: `hidden_act` is `{}`; only silu is supported", json.where(), act));
  }
  // Mixtral has a window if `sliding_window` is a number, the others if this key says so.
  if (!mixtral && json.boolean_or("use_sliding_window", false)) {
    throw data_error(json.where() + ": `use_sliding_window` is true; sliding window attention is not supported");
  }
  if (mixtral && json.boolean_or("attention_bias", false)) {
    throw data_error(json.where() + ": `attention_bias` is true; Mixtral's attention has no biases");
  }
  if (json.has("layer_types")) {
    for (const nlohmann::json& type : json.at("layer_types")) {
      if (type != "full_attention") {
        throw data_error(fmt::format("{}: `layer_types` has {}; all must be full_attention", json.where(),
                                     type.dump(-1, ' ', true).substr(0, 40)));
      }
    }
  }
  if (json.has("partial_rotary_factor")) json.number("partial_rotary_factor", 1, 1);
  if (json.has("quantization_config")) {
    const JsonObject quantization = json.object("quantization_config");
    throw data_error(
        fmt::format("{}: `quantization_config` has `quant_method` `{}`; quantized checkpoints are not supported, use "
                    "the F32, F16 or BF16 one",
                    json.where(), quantization.string_or("quant_method", "")));
  }
}

// transformers 4 writes `rope_theta` and `rope_scaling`, transformers 5 puts both into `rope_parameters`.
double read_rope_theta(const JsonObject& json, Architecture architecture) {
  const bool v5 = json.has("rope_parameters");
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!json.has(key)) continue;
    const JsonObject rope = json.object(key);
    for (const char* type : {"rope_type", "type"}) {
      const std::string name = rope.string_or(type, "default");
      if (name != "default") {
        throw data_error(fmt::format("{}: `{}` is `{}`; only default is supported", rope.where(), type, name));
      }
    }
    rope.allow_only({"rope_theta", "rope_type", "type", "partial_rotary_factor"});
    if (rope.has("partial_rotary_factor")) rope.number("partial_rotary_factor", 1, 1);
  }
  constexpr double kMaxTheta = 1e12;
  if (v5 && json.object("rope_parameters").has("rope_theta")) {
    return json.object("rope_parameters").number("rope_theta", 1, kMaxTheta);
  }
  if (architecture == Architecture::mixtral && !json.has("rope_theta")) return kMixtralTheta;
  return json.number("rope_theta", 1, kMaxTheta);
}

void read_attention(const JsonObject& json, Config& config) {
  config.num_heads = size(json, "num_attention_heads", kMaxHeads);
  config.num_kv_heads = static_cast<uint32_t>(json.integer_or("num_key_value_heads", config.num_heads, 1, kMaxHeads));
  const bool mixtral = config.architecture == Architecture::mixtral;
  // Absent is not null: MixtralConfig then has its own number.
  if (mixtral && !json.mentions("num_key_value_heads")) config.num_kv_heads = kMixtralKvHeads;
  if (config.num_heads % config.num_kv_heads != 0) {
    throw data_error(fmt::format("{}: `num_attention_heads` ({}) is not a multiple of `num_key_value_heads` ({})",
                                 json.where(), config.num_heads, config.num_kv_heads));
  }
  if (json.has("head_dim")) {
    config.head_dim = size(json, "head_dim", kMaxWidth);
  } else if (config.hidden_size % config.num_heads == 0) {
    config.head_dim = config.hidden_size / config.num_heads;
  } else {
    throw data_error(fmt::format("{}: `hidden_size` ({}) is not a multiple of `num_attention_heads` ({})", json.where(),
                                 config.hidden_size, config.num_heads));
  }
  if (config.head_dim % 2 != 0 || uint64_t{config.head_dim} * config.num_heads > kMaxWidth) {
    throw data_error(
        fmt::format("{}: {} heads of {} are not supported; a head's size must be even, all together at most {}",
                    json.where(), config.num_heads, config.head_dim, kMaxWidth));
  }
  config.rope_theta = read_rope_theta(json, config.architecture);
  if (mixtral) {
    if (json.has("sliding_window")) config.window = size(json, "sliding_window", kMaxPositions);
    return;
  }
  const bool olmoe = config.architecture == Architecture::olmoe;
  config.output_bias = olmoe && json.boolean_or("attention_bias", false);
  config.qkv_bias = olmoe ? config.output_bias : json.boolean_or("qkv_bias", true);
  if (olmoe && json.has("clip_qkv")) config.clip_qkv = static_cast<float>(json.number("clip_qkv", 1e-6, 1e6));
}

// A Qwen2-MoE layer has experts if it is not listed as dense and is a multiple of the step, counted from 1.
void read_dense_layers(const JsonObject& json, Config& config) {
  const uint64_t step = json.integer_or("decoder_sparse_step", 1, 1, kMaxLayers);
  for (uint32_t layer = 0; layer < config.num_layers; ++layer) config.is_moe[layer] = (layer + 1) % step == 0;
  if (json.has("mlp_only_layers")) {
    const nlohmann::json& dense = json.at("mlp_only_layers");
    if (!dense.is_array()) throw data_error(json.where() + ": `mlp_only_layers` must be an array");
    for (const nlohmann::json& layer : dense) {
      config.is_moe[to_integer(layer, 0, config.num_layers - 1, json.where() + ": a layer of `mlp_only_layers`")] =
          false;
    }
  }
  if (config.num_moe_layers() == 0)
    throw data_error(json.where() + ": no layer has experts; this engine runs MoE models");
  if (config.num_moe_layers() < config.num_layers) config.dense_width = size(json, "intermediate_size", kMaxWidth);
}

void read_experts(const JsonObject& json, Config& config) {
  const bool mixtral = config.architecture == Architecture::mixtral;
  const char* key = mixtral && !json.has("num_experts") ? "num_local_experts" : "num_experts";
  config.num_experts = static_cast<uint32_t>(json.integer(key, 1, kMaxExperts));
  if (mixtral && json.has("num_local_experts"))
    json.integer("num_local_experts", config.num_experts, config.num_experts);
  config.top_k = static_cast<uint32_t>(json.integer("num_experts_per_tok", 1, config.num_experts));
  config.norm_topk_prob = mixtral || json.boolean_or("norm_topk_prob", false);
  config.is_moe.assign(config.num_layers, true);
  if (mixtral || config.architecture == Architecture::olmoe) {
    config.expert_width = size(json, "intermediate_size", kMaxWidth);
    return;
  }
  config.expert_width = size(json, "moe_intermediate_size", kMaxWidth);
  config.shared_width = size(json, "shared_expert_intermediate_size", kMaxWidth);
  read_dense_layers(json, config);
}

// One id, a list of ids, or nothing.
std::vector<int32_t> read_eos(const JsonObject& json, uint32_t vocab_size) {
  std::vector<int32_t> ids;
  if (!json.has("eos_token_id")) return ids;
  const nlohmann::json& value = json.at("eos_token_id");
  for (const nlohmann::json& id : value.is_array() ? value : nlohmann::json::array({value})) {
    ids.push_back(static_cast<int32_t>(to_integer(id, 0, vocab_size - 1, json.where() + ": `eos_token_id`")));
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

uint32_t Config::num_moe_layers() const {
  return static_cast<uint32_t>(std::count(is_moe.begin(), is_moe.end(), true));
}

Config parse_config(std::string_view text, const std::string& where) {
  const nlohmann::json object = parse_json_object(text, where);
  const JsonObject json(object, where);
  Config config;
  config.architecture = read_architecture(json);
  refuse_unsupported(json, config.architecture);
  config.vocab_size = size(json, "vocab_size", kMaxVocab);
  config.max_positions = size(json, "max_position_embeddings", kMaxPositions);
  config.hidden_size = size(json, "hidden_size", kMaxWidth);
  config.num_layers = size(json, "num_hidden_layers", kMaxLayers);
  config.rms_norm_eps = static_cast<float>(json.number("rms_norm_eps", 0, 1));
  config.tie_embeddings = json.boolean_or("tie_word_embeddings", false);
  read_attention(json, config);
  read_experts(json, config);
  config.eos_ids = read_eos(json, config.vocab_size);
  return config;
}

Config read_config(const std::filesystem::path& model_dir) {
  std::error_code failure;
  if (!std::filesystem::exists(model_dir, failure)) {
    throw machine_error(model_dir.string() + ": no such folder; give a model in the Hugging Face layout");
  }
  if (!std::filesystem::is_directory(model_dir, failure)) {
    throw machine_error(model_dir.string() + ": not a folder; give a model in the Hugging Face layout");
  }
  for (const char* map : {"quanto_qmap.json", "moe_qmap.json"}) {
    if (!std::filesystem::exists(model_dir / map, failure)) continue;
    throw data_error(
        fmt::format("{}: it says that the weights are quantized, and this engine computes with F32, F16 or "
                    "BF16; run the model that they were made from, from a store with copies in fewer bits "
                    "(`moec pack MODEL -o STORE --precision qint4`)",
                    (model_dir / map).string()));
  }
  const std::filesystem::path path = model_dir / "config.json";
  Config config = parse_config(read_file(path, kMaxFileBytes), path.string());
  // generation_config.json wins where it speaks, as in transformers.
  const std::filesystem::path generation = model_dir / "generation_config.json";
  if (std::filesystem::exists(generation, failure)) {
    const nlohmann::json object = parse_json_object(read_file(generation, kMaxFileBytes), generation.string());
    const JsonObject json(object, generation.string());
    if (json.has("eos_token_id")) config.eos_ids = read_eos(json, config.vocab_size);
  }
  return config;
}

}  // namespace engine
