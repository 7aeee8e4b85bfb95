// SPDX-License-Identifier: Apache-2.0
#include "tests/engine/tiny_model.h"

#include <algorithm>

#include "examples/engine/byte_level.h"
#include "examples/engine/sampler.h"
#include "tests/engine/support.h"

namespace engine_test {
namespace {

constexpr uint64_t kLayers = 2, kHidden = 16, kKeyWidth = 8, kExperts = 4, kWidth = 8, kVocab = 256;

nlohmann::json make_tokenizer() {
  nlohmann::json vocab;
  for (size_t byte = 0; byte < 256; ++byte) vocab[engine::byte_characters()[byte]] = byte;
  return {{"version", "1.0"},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
}

std::string safetensors(const std::map<std::string, TinyModel::Tensor>& tensors) {
  nlohmann::json header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
    header[name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + text + data;
}

}  // namespace

TinyModel::TinyModel(const std::vector<int>& dense_layers) {
  config = {{"architectures", {"Qwen2MoeForCausalLM"}},
            {"hidden_act", "silu"},
            {"hidden_size", kHidden},
            {"intermediate_size", kWidth},
            {"max_position_embeddings", 64},
            {"mlp_only_layers", dense_layers},
            {"moe_intermediate_size", kWidth},
            {"norm_topk_prob", true},
            {"num_attention_heads", 4},
            {"num_experts", kExperts},
            {"num_experts_per_tok", 2},
            {"num_hidden_layers", kLayers},
            {"num_key_value_heads", 2},
            {"rms_norm_eps", 1e-6},
            {"rope_theta", 1e4},
            {"shared_expert_intermediate_size", kWidth},
            {"tie_word_embeddings", false},
            {"vocab_size", kVocab}};
  engine::Pcg32 random(20);
  const auto add = [&](const std::string& name, const std::vector<uint64_t>& shape) {
    uint64_t size = 1;
    for (const uint64_t n : shape) size *= n;
    Tensor tensor{shape, {}};
    for (uint64_t i = 0; i < size; ++i) tensor.values.push_back(static_cast<float>(random.uniform() - 0.5));
    tensors[name + ".weight"] = tensor;
  };
  const auto add_mlp = [&](const std::string& name) {
    add(name + ".gate_proj", {kWidth, kHidden});
    add(name + ".up_proj", {kWidth, kHidden});
    add(name + ".down_proj", {kHidden, kWidth});
  };
  add("model.embed_tokens", {kVocab, kHidden});
  add("lm_head", {kVocab, kHidden});
  add("model.norm", {kHidden});
  for (uint64_t layer = 0; layer < kLayers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm", {kHidden});
    add(prefix + "post_attention_layernorm", {kHidden});
    for (const auto& [name, width] : {std::pair{"q", kHidden}, {"k", kKeyWidth}, {"v", kKeyWidth}}) {
      add(prefix + "self_attn." + name + "_proj", {width, kHidden});
      tensors[prefix + "self_attn." + name + "_proj.bias"] = {{width}, std::vector<float>(width, 0.125F)};
    }
    add(prefix + "self_attn.o_proj", {kHidden, kHidden});
    if (std::find(dense_layers.begin(), dense_layers.end(), layer) != dense_layers.end()) {
      add_mlp(prefix + "mlp");
      continue;
    }
    add(prefix + "mlp.gate", {kExperts, kHidden});
    for (uint64_t e = 0; e < kExperts; ++e) add_mlp(prefix + "mlp.experts." + std::to_string(e));
    add_mlp(prefix + "mlp.shared_expert");
    add(prefix + "mlp.shared_expert_gate", {1, kHidden});
  }
}

void TinyModel::write(const std::filesystem::path& folder) const {
  write_text(folder / "config.json", config.dump());
  write_text(folder / "tokenizer.json", make_tokenizer().dump());
  write_text(folder / "model.safetensors", safetensors(tensors));
}

}  // namespace engine_test
