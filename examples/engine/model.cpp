// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/model.h"

#include <fmt/core.h>

#include <algorithm>

#include "examples/engine/error.h"

namespace engine {
namespace {

void append_rows(Matrix& target, const Matrix& rows) {
  target.rows += rows.rows;
  target.cols = rows.cols;
  target.values.insert(target.values.end(), rows.values.begin(), rows.values.end());
}

std::vector<float> last_row(const Matrix& x) { return {x.row(x.rows - 1), x.row(x.rows - 1) + x.cols}; }

}  // namespace

Model::Model(moe_runtime* runtime, const Config& config, const Options& options, const std::string& where)
    : config_(config),
      options_(options),
      weights_(read_weights(runtime, config, where)),
      expert_layout_(read_expert_layout(runtime, config, where)),
      experts_(runtime, expert_layout_, {options.on_device, options.max_batch, config.top_k}) {
  uint32_t num_moe = 0;
  for (const bool is_moe : config_.is_moe) moe_index_.push_back(is_moe ? num_moe++ : num_moe);
}

Matrix Model::forward(std::span<const int32_t> tokens, moe_phase phase, KvCache& cache, Probe* probe) {
  if (cache.length + tokens.size() > config_.max_positions) {
    throw data_error(fmt::format("{} tokens are more than the model's {} positions", cache.length + tokens.size(),
                                 config_.max_positions));
  }
  cache.layers.resize(config_.num_layers);
  Matrix result;
  while (!tokens.empty()) {
    const size_t n = std::min<size_t>(tokens.size(), options_.max_batch);
    append_rows(result, forward_batch(tokens.first(n), phase, cache, probe));
    tokens = tokens.subspan(n);
  }
  return result;
}

Matrix Model::forward_batch(std::span<const int32_t> tokens, moe_phase phase, KvCache& cache, Probe* probe) {
  if (probe) *probe = {};
  const RopeTable rope = make_rope_table(cache.length, tokens.size(), config_.head_dim, config_.rope_theta);
  Matrix residual = embed(tokens);
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const Layer& layer = weights_.layers[i];
    if (probe) probe->hidden.push_back(last_row(residual));
    add(residual, attention(layer, rms_norm(residual, layer.input_norm, config_.rms_norm_eps), rope, cache.layers[i]));
    const Matrix x = rms_norm(residual, layer.post_attention_norm, config_.rms_norm_eps);
    add(residual, config_.is_moe[i] ? mixture(i, phase, residual, x, probe) : apply(layer.dense, x));
  }
  cache.length += tokens.size();
  Matrix result = rms_norm(residual, weights_.final_norm, config_.rms_norm_eps);
  if (probe) probe->hidden.push_back(last_row(result));
  return result;
}

Matrix Model::embed(std::span<const int32_t> tokens) const {
  Matrix result(tokens.size(), config_.hidden_size);
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || static_cast<uint32_t>(tokens[t]) >= config_.vocab_size) {
      throw data_error(
          fmt::format("token {} is outside of the model's vocabulary of {}", tokens[t], config_.vocab_size));
    }
    std::copy_n(weights_.embedding.row(static_cast<size_t>(tokens[t])), result.cols, result.row(t));
  }
  return result;
}

Matrix Model::attention(const Layer& layer, const Matrix& x, const RopeTable& rope, KvCache::LayerCache& cache) const {
  Matrix q = linear(x, layer.q.weight, layer.q.bias);
  Matrix k = linear(x, layer.k.weight, layer.k.bias);
  Matrix v = linear(x, layer.v.weight, layer.v.bias);
  if (config_.has_qk_norm()) {
    q = rms_norm(q, layer.q_norm, config_.rms_norm_eps);
    k = rms_norm(k, layer.k_norm, config_.rms_norm_eps);
  }
  if (config_.clip_qkv) {
    for (Matrix* m : {&q, &k, &v}) clamp(*m, *config_.clip_qkv);
  }
  rotate(q, config_.num_heads, rope);
  rotate(k, config_.num_kv_heads, rope);
  append_rows(cache.keys, k);
  append_rows(cache.values, v);
  const AttentionShape shape{config_.num_heads, config_.num_kv_heads, config_.window.value_or(UINT32_MAX)};
  const Matrix context = attend(q, cache.keys, cache.values, shape);
  return linear(context, layer.o.weight, layer.o.bias);
}

/// What the shared expert adds to each token.
Matrix Model::gated_shared(const Layer& layer, const Matrix& x) const {
  Matrix shared = apply(layer.shared, x);
  for (size_t t = 0; t < x.rows; ++t) {
    const float gate = sigmoid(dot(x.row(t), layer.shared_gate.data(), x.cols));
    std::transform(shared.row(t), shared.row(t) + x.cols, shared.row(t), [gate](float value) { return gate * value; });
  }
  return shared;
}

Matrix Model::mixture(size_t index, moe_phase phase, const Matrix& residual, const Matrix& x, Probe* probe) {
  const Layer& layer = weights_.layers[index];
  Matrix router_logits = linear(x, layer.router);
  if (probe) probe->router_logits.push_back(last_row(router_logits));
  const Routing routing = route(std::move(router_logits), config_.top_k, config_.norm_topk_prob);
  // Before the dispatch, so that the transfers it queues for the next layer run beside this layer's arithmetic.
  if (options_.hints) hint_next_layer(index, residual);
  if (layer.shared_gate.empty()) return experts_.run(moe_index_[index], phase, x, routing, nullptr);
  const Matrix shared = gated_shared(layer, x);
  Matrix result = experts_.run(moe_index_[index], phase, x, routing, &shared);
  add(result, shared);
  return result;
}

// The residual stream changes little from layer to layer, so the next router, applied to this layer's, mostly chooses
// what it will choose in its turn. Twice top-k, because a wrong guess costs a transfer and a missing one costs a stall.
void Model::hint_next_layer(size_t index, const Matrix& residual) {
  const auto next = std::find(config_.is_moe.begin() + static_cast<ptrdiff_t>(index) + 1, config_.is_moe.end(), true);
  if (next == config_.is_moe.end()) return;
  const auto next_index = static_cast<size_t>(next - config_.is_moe.begin());
  const Layer& layer = weights_.layers[next_index];
  const Matrix x = rms_norm(residual, layer.post_attention_norm, config_.rms_norm_eps);
  experts_.hint(moe_index_[next_index], forecast(linear(x, layer.router), size_t{2} * config_.top_k));
}

Matrix Model::logits(const Matrix& hidden) const {
  return linear(hidden, config_.tie_embeddings ? weights_.embedding : weights_.head);
}

}  // namespace engine
