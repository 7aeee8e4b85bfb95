// SPDX-License-Identifier: Apache-2.0
// Models to pack, and what a folder of weights holds, read without the code that packs.
#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "runtime/pack/pack.h"
#include "runtime/store/model_files.h"
#include "tests/runtime/safetensors_files.h"
#include "tests/runtime/support.h"

namespace moe::test {

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// name -> dtype, shape and bytes of every tensor of a model folder.
inline std::map<std::string, std::string> tensors_of(const std::string& dir) {
  Result<store::ModelFiles> model = store::open_model_files(dir);
  if (!model) return {{"", model.error().message}};
  std::map<std::string, std::string> all;
  for (const store::Tensor& tensor : model->tensors) {
    std::string& text = all[tensor.name];
    text = tensor.dtype_word;
    for (const uint64_t dimension : tensor.shape) text += " " + std::to_string(dimension);
    text += ":" + std::string(tensor.data, tensor.size_bytes);
  }
  return all;
}

/// name -> bytes of every file of a folder.
inline std::map<std::string, std::string> files_of(const std::filesystem::path& dir) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    all[entry.path().filename().string()] = slurp(entry.path());
  }
  return all;
}

/// The small model in one file, with files beside it.
inline void write_small_model(const TempDir& dir, uint32_t layers = 2, uint32_t experts = 3) {
  write_file(dir / "model.safetensors", safetensors(small_model(layers, experts)));
  write_file(dir / "config.json", R"({"num_experts": 3})");
  write_file(dir / "tokenizer.json", "{}");
  write_file(dir / "notes.bin", "not copied");
}

inline Result<pack::PackReport> pack_model(const std::string& model, const std::string& store,
                                           const pack::PackOptions& options = {}) {
  Result<pack::Source> source = pack::open_source(model);
  if (!source) return source.error();
  return pack::pack(*source, store, options);
}

}  // namespace moe::test
