// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/weights.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "examples/engine/convert.h"
#include "examples/engine/error.h"
#include "examples/engine/runtime.h"

namespace engine {
namespace {

// Reads tensors by name. Memory is taken only after the shape was compared with config.json's, so a hostile config
// cannot ask for more than the file holds.
class TensorReader {
 public:
  TensorReader(moe_runtime* runtime, std::string where) : runtime_(runtime), where_(std::move(where)) {}

  Matrix matrix(const std::string& name, size_t rows, size_t cols) const {
    const moe_tensor_view tensor = find(name, {rows, cols});
    Matrix result(rows, cols);
    widen(tensor.dtype, tensor.data, rows * cols, result.values.data());
    return result;
  }

  std::vector<float> vector(const std::string& name, size_t size) const {
    const moe_tensor_view tensor = find(name, {size});
    std::vector<float> result(size);
    widen(tensor.dtype, tensor.data, size, result.data());
    return result;
  }

  bool has(const std::string& name) const {
    auto tensor = sized<moe_tensor_view>();
    return moe_store_tensor(runtime_, name.c_str(), &tensor) == MOE_OK;
  }

  Linear linear(const std::string& name, size_t rows, size_t cols, bool has_bias) const {
    return {matrix(name + ".weight", rows, cols), has_bias ? vector(name + ".bias", rows) : std::vector<float>()};
  }

  Mlp mlp(const std::string& name, size_t width, size_t hidden) const {
    return {matrix(name + ".gate_proj.weight", width, hidden), matrix(name + ".up_proj.weight", width, hidden),
            matrix(name + ".down_proj.weight", hidden, width)};
  }

 private:
  moe_tensor_view find(const std::string& name, const std::vector<uint64_t>& shape) const {
    auto tensor = sized<moe_tensor_view>();
    if (moe_store_tensor(runtime_, name.c_str(), &tensor) != MOE_OK) {
      throw data_error(fmt::format("{}: tensor `{}` is missing", where_, name));
    }
    const std::vector<uint64_t> found(tensor.shape, tensor.shape + tensor.rank);
    if (found != shape) {
      throw data_error(fmt::format("{}: tensor `{}` has shape [{}]; config.json makes it [{}]", where_, name,
                                   fmt::join(found, ", "), fmt::join(shape, ", ")));
    }
    if (dtype_bytes(tensor.dtype) == 0) {
      throw data_error(fmt::format("{}: tensor `{}` is neither F32, F16 nor BF16", where_, name));
    }
    return tensor;
  }

  moe_runtime* runtime_;
  std::string where_;
};

Layer read_layer(const TensorReader& reader, const Config& config, uint32_t index) {
  const size_t hidden = config.hidden_size;
  const size_t q_width = size_t{config.num_heads} * config.head_dim;
  const size_t kv_width = size_t{config.num_kv_heads} * config.head_dim;
  const std::string prefix = fmt::format("model.layers.{}.", index);
  const std::string attention = prefix + "self_attn.";
  Layer layer;
  layer.input_norm = reader.vector(prefix + "input_layernorm.weight", hidden);
  layer.post_attention_norm = reader.vector(prefix + "post_attention_layernorm.weight", hidden);
  layer.q = reader.linear(attention + "q_proj", q_width, hidden, config.qkv_bias);
  layer.k = reader.linear(attention + "k_proj", kv_width, hidden, config.qkv_bias);
  layer.v = reader.linear(attention + "v_proj", kv_width, hidden, config.qkv_bias);
  layer.o = reader.linear(attention + "o_proj", hidden, q_width, config.output_bias);
  if (config.has_qk_norm()) {
    layer.q_norm = reader.vector(attention + "q_norm.weight", q_width);
    layer.k_norm = reader.vector(attention + "k_norm.weight", kv_width);
  }
  if (!config.is_moe[index]) {
    layer.dense = reader.mlp(prefix + "mlp", config.dense_width, hidden);
    return layer;
  }
  // Mixtral's block had a name of its own before transformers 5, and has it in files still.
  const bool own_name = config.architecture == Architecture::mixtral && !reader.has(prefix + "mlp.gate.weight");
  const std::string block = prefix + (own_name ? "block_sparse_moe" : "mlp");
  layer.router = reader.matrix(block + ".gate.weight", config.num_experts, hidden);
  if (config.shared_width > 0) {
    layer.shared = reader.mlp(prefix + "mlp.shared_expert", config.shared_width, hidden);
    layer.shared_gate = reader.matrix(prefix + "mlp.shared_expert_gate.weight", 1, hidden).values;
  }
  return layer;
}

// A part that an expert must have, and where it goes: into one matrix, or its halves into two.
struct ExpectedPart {
  std::string name;
  uint64_t rows, cols;
  ExpertLayout::Part* target;
  ExpertLayout::Part* second_half = nullptr;
};

// In the order of the store: alphabetical.
std::vector<ExpectedPart> expected_parts(const Config& config, bool fused, ExpertLayout& layout) {
  const uint64_t hidden = config.hidden_size, width = config.expert_width;
  if (fused) {  // transformers 5 keeps gate and up in one tensor, gate first
    return {{"down_proj", hidden, width, &layout.down}, {"gate_up_proj", 2 * width, hidden, &layout.gate, &layout.up}};
  }
  if (config.architecture == Architecture::mixtral) {
    return {{"w1.weight", width, hidden, &layout.gate},
            {"w2.weight", hidden, width, &layout.down},
            {"w3.weight", width, hidden, &layout.up}};
  }
  return {{"down_proj.weight", hidden, width, &layout.down},
          {"gate_proj.weight", width, hidden, &layout.gate},
          {"up_proj.weight", width, hidden, &layout.up}};
}

std::vector<moe_expert_part> store_parts(moe_runtime* runtime) {
  std::vector<moe_expert_part> parts;
  auto part = sized<moe_expert_part>();
  for (uint32_t index = 0; moe_store_part(runtime, index, &part) == MOE_OK; ++index) parts.push_back(part);
  return parts;
}

void check_part(const moe_expert_part& part, const ExpectedPart& want, const std::string& where) {
  if (part.rank != 2 || part.shape[0] != want.rows || part.shape[1] != want.cols) {
    throw data_error(fmt::format("{}: the experts' `{}` has shape [{}]; config.json makes it [{}, {}]", where,
                                 part.name, fmt::join(part.shape, part.shape + part.rank, ", "), want.rows, want.cols));
  }
  if (dtype_bytes(part.dtype) == 0) {
    throw data_error(fmt::format("{}: the experts' `{}` is neither F32, F16 nor BF16", where, part.name));
  }
}

}  // namespace

Weights read_weights(moe_runtime* runtime, const Config& config, const std::string& where) {
  const TensorReader reader(runtime, where);
  Weights weights;
  weights.embedding = reader.matrix("model.embed_tokens.weight", config.vocab_size, config.hidden_size);
  for (uint32_t layer = 0; layer < config.num_layers; ++layer) {
    weights.layers.push_back(read_layer(reader, config, layer));
  }
  weights.final_norm = reader.vector("model.norm.weight", config.hidden_size);
  if (!config.tie_embeddings) {
    weights.head = reader.matrix("lm_head.weight", config.vocab_size, config.hidden_size);
  }
  return weights;
}

ExpertLayout read_expert_layout(moe_runtime* runtime, const Config& config, const std::string& where) {
  const std::vector<moe_expert_part> parts = store_parts(runtime);
  const bool fused = std::any_of(parts.begin(), parts.end(), [](const moe_expert_part& part) {
    return std::string_view(part.name) == "gate_up_proj";
  });
  ExpertLayout layout;
  const std::vector<ExpectedPart> expected = expected_parts(config, fused, layout);
  for (size_t i = 0; i < parts.size(); ++i) {
    const moe_expert_part& part = parts[i];
    if (i >= expected.size() || part.name != expected[i].name) {
      throw data_error(fmt::format("{}: an expert's part `{}` is not supported", where, part.name));
    }
    const ExpectedPart& want = expected[i];
    check_part(part, want, where);
    const uint64_t rows = want.second_half ? want.rows / 2 : want.rows;
    *want.target = {part.dtype, rows, want.cols, part.offset};
    if (want.second_half) {
      *want.second_half = {part.dtype, rows, want.cols, part.offset + rows * want.cols * dtype_bytes(part.dtype)};
    }
    layout.weight_bytes += part.size_bytes;
    layout.slot_bytes = part.offset + part.size_bytes;
  }
  if (parts.size() < expected.size()) {
    throw data_error(fmt::format("{}: the experts have no `{}`", where, expected[parts.size()].name));
  }
  return layout;
}

}  // namespace engine
