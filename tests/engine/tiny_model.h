// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace engine_test {

/// A random Qwen2-MoE checkpoint in F32, small enough to write in every test: 2 layers, hidden 16, 4 experts, top-2. A
/// test changes config and tensors, then writes it.
struct TinyModel {
  struct Tensor {
    std::vector<uint64_t> shape;
    std::vector<float> values;
    std::string dtype = "F32";  ///< only the label: the bytes written are F32
  };

  /// `dense_layers` have an MLP of the experts' width instead of experts.
  explicit TinyModel(const std::vector<int>& dense_layers = {});

  /// Writes config.json, model.safetensors and a tokenizer.json that knows the 256 bytes.
  void write(const std::filesystem::path& folder) const;

  nlohmann::json config;
  std::map<std::string, Tensor> tensors;
};

}  // namespace engine_test
