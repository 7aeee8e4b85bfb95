// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

enum class Architecture { qwen2_moe, olmoe, mixtral };

/// What config.json says about a model, checked: every size is in a range that cannot overflow, every combination is
/// one that this engine computes. The dtype is not here: each tensor states its own.
struct Config {
  Architecture architecture = Architecture::qwen2_moe;
  uint32_t vocab_size = 0;
  uint32_t max_positions = 0;
  uint32_t hidden_size = 0;
  uint32_t num_layers = 0;

  uint32_t num_heads = 0;
  uint32_t num_kv_heads = 0;  ///< divides num_heads
  uint32_t head_dim = 0;      ///< even
  double rope_theta = 0;
  bool qkv_bias = false;
  bool output_bias = false;
  std::optional<float> clip_qkv;   ///< q, k and v are clamped to +-clip_qkv
  std::optional<uint32_t> window;  ///< a token sees itself and the window - 1 before it; nullopt: all before it
  float rms_norm_eps = 0;

  uint32_t num_experts = 0;
  uint32_t top_k = 0;            ///< 1..num_experts
  uint32_t expert_width = 0;     ///< rows of an expert's gate matrix
  uint32_t shared_width = 0;     ///< the shared expert's; 0: there is none
  uint32_t dense_width = 0;      ///< of the layers that have no experts; 0: all have
  bool norm_topk_prob = false;   ///< the chosen experts' weights are scaled to sum to 1
  std::vector<bool> is_moe;      ///< [num_layers], at least one true
  bool tie_embeddings = false;   ///< the head is the embedding: the file has no lm_head
  std::vector<int32_t> eos_ids;  ///< ascending; may be empty

  uint32_t num_moe_layers() const;
  /// q and k are normed over their full width before they are rotated.
  bool has_qk_norm() const { return architecture == Architecture::olmoe; }

  bool operator==(const Config&) const = default;
};

/// Reads `model_dir`/config.json, and the eos ids of generation_config.json where there is one.
/// Errors: machine (no such folder or file), data (says file and key).
Config read_config(const std::filesystem::path& model_dir);

/// The same from the text of a config.json as transformers 4 or 5 writes it. `where` names it in messages.
Config parse_config(std::string_view text, const std::string& where);

}  // namespace engine
