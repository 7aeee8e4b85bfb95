// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <string>
#include <vector>

#include "examples/engine/config.h"
#include "examples/engine/matrix.h"
#include "examples/engine/ops.h"

namespace engine {

struct Linear {
  Matrix weight;
  std::vector<float> bias;  ///< empty: none
};

struct Layer {
  std::vector<float> input_norm, post_attention_norm;
  Linear q, k, v, o;
  std::vector<float> q_norm, k_norm;  ///< empty unless Config::has_qk_norm
  Mlp dense;                          ///< of a layer without experts
  Matrix router;                      ///< [num_experts, hidden]; empty in a layer without experts
  Mlp shared;                         ///< empty: no shared expert
  std::vector<float> shared_gate;     ///< [hidden]
};

/// All weights but the experts': read once, kept as fp32.
struct Weights {
  Matrix embedding;  ///< [vocab, hidden]
  std::vector<Layer> layers;
  std::vector<float> final_norm;
  Matrix head;  ///< [vocab, hidden]; empty when it is the embedding
};

/// Reads every dense tensor of an opened store. `where` is the model's folder, for messages.
/// Errors: data (a tensor is missing, or has another shape or dtype than config.json asks for).
Weights read_weights(moe_runtime* runtime, const Config& config, const std::string& where);

/// Where an expert's three matrices lie in the memory that a plan entry points at.
struct ExpertLayout {
  struct Part {
    uint32_t dtype;
    size_t rows, cols;
    size_t offset;  ///< bytes from moe_plan_entry.data
  };
  Part gate, up, down;
  size_t weight_bytes = 0;  ///< of one expert as stored
  size_t slot_bytes = 0;    ///< the same with the padding between parts
};

/// Errors: data (an expert has other parts, shapes or dtypes than this engine computes with).
ExpertLayout read_expert_layout(moe_runtime* runtime, const Config& config, const std::string& where);

}  // namespace engine
