// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files, good ones and bad ones.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace moe::test {

inline std::string with_header(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + data;
}

struct FileTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
};

inline std::string safetensors(const std::vector<FileTensor>& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const FileTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  return with_header(header.dump(), data);
}

/// A tensor of F32 whose bytes depend on its name.
inline FileTensor f32(const std::string& name, const std::vector<uint64_t>& shape) {
  uint64_t count = 1;
  for (const uint64_t dimension : shape) count *= dimension;
  std::string bytes(count * 4, '\0');
  uint32_t x = 17;
  for (const char c : name) x = x * 31 + static_cast<uint8_t>(c);
  for (char& c : bytes) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return {name, "F32", shape, bytes};
}

inline std::string expert_name(uint32_t layer, uint32_t expert, const std::string& part) {
  return "model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(expert) + "." + part;
}

/// Layers 1, 3, ... (the others are dense) of `experts` with two parts of odd sizes, and an embedding.
inline std::vector<FileTensor> small_model(uint32_t layers, uint32_t experts) {
  std::vector<FileTensor> tensors{f32("model.embed_tokens.weight", {3, 5})};
  for (uint32_t layer = 0; layer < layers; ++layer) {
    for (uint32_t expert = 0; expert < experts; ++expert) {
      tensors.push_back(f32(expert_name(2 * layer + 1, expert, "up_proj.weight"), {3, 7}));
      tensors.push_back(f32(expert_name(2 * layer + 1, expert, "down_proj.weight"), {7, 3}));
    }
    tensors.push_back(
        f32("model.layers." + std::to_string(2 * layer + 1) + ".mlp.shared_experts.up_proj.weight", {2, 2}));
    tensors.push_back(f32("model.layers." + std::to_string(2 * layer) + ".mlp.up_proj.weight", {2, 3}));
  }
  return tensors;
}

}  // namespace moe::test
