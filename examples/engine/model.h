// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <cstdint>
#include <span>
#include <vector>

#include "examples/engine/config.h"
#include "examples/engine/experts.h"
#include "examples/engine/matrix.h"
#include "examples/engine/ops.h"
#include "examples/engine/weights.h"

namespace engine {

/// Keys and values of the tokens so far. Grows with every forward pass.
struct KvCache {
  struct LayerCache {
    Matrix keys, values;  ///< [length, num_kv_heads * head_dim]
  };
  std::vector<LayerCache> layers;
  size_t length = 0;  ///< tokens
};

/// What a forward pass can be asked to note about its last token, for comparing engines.
struct Probe {
  std::vector<std::vector<float>> hidden;         ///< [num_layers + 1]: the embedding, then after each layer
  std::vector<std::vector<float>> router_logits;  ///< [num_moe_layers]
};

/// A Mixtral, Qwen2-MoE or OLMoE transformer: dense weights here, experts in the runtime.
/// Threads: one at a time, as the runtime wants it.
class Model {
 public:
  struct Options {
    uint32_t max_batch = 512;  ///< tokens in one pass: bounds scratch memory; at most the runtime's max_tokens
    bool hints = true;         ///< predict the next layer's experts for the policy's prefetch
    bool on_device = false;    ///< experts of the fast tier are computed where they are, on a CUDA device
  };
  /// Reads the weights. `runtime` is borrowed; its store is open, and a policy attached before the first forward.
  /// Errors: data (weights and config do not agree; `where` names the folder).
  Model(moe_runtime* runtime, const Config& config, const Options& options, const std::string& where);

  /// Runs `tokens`, which follow those in `cache`, in batches of at most max_batch. Gives the final hidden state of
  /// each token, normed: [n, hidden]. Errors: data (a token outside of the vocabulary, positions beyond the model's),
  /// and those of Experts::run.
  Matrix forward(std::span<const int32_t> tokens, moe_phase phase, KvCache& cache, Probe* probe = nullptr);

  /// Next-token logits of rows of forward's result: [n, vocab].
  Matrix logits(const Matrix& hidden) const;

  const Config& config() const { return config_; }
  const ExpertLayout& expert_layout() const { return expert_layout_; }

 private:
  Matrix forward_batch(std::span<const int32_t> tokens, moe_phase phase, KvCache& cache, Probe* probe);
  Matrix embed(std::span<const int32_t> tokens) const;
  Matrix attention(const Layer& layer, const Matrix& x, const RopeTable& rope, KvCache::LayerCache& cache) const;
  Matrix gated_shared(const Layer& layer, const Matrix& x) const;
  Matrix mixture(size_t index, moe_phase phase, const Matrix& residual, const Matrix& x, Probe* probe);
  void hint_next_layer(size_t index, const Matrix& residual);

  Config config_;
  Options options_;
  Weights weights_;
  ExpertLayout expert_layout_;
  Experts experts_;
  std::vector<uint32_t> moe_index_;  // [num_layers]: its number among the MoE layers
};

}  // namespace engine
