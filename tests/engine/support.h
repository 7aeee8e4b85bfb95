// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/engine/error.h"

namespace engine_test {

// Tests run in the repository's root.
inline const std::filesystem::path kQwen = "examples/models/qwen-moe-tiny";
inline const std::filesystem::path kOlmoe = "../shared/data/models/olmoe-tiny";

nlohmann::json read_json(const std::filesystem::path& path);
std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

/// Every tensor of a safetensors file that holds F32 only.
std::map<std::string, std::vector<float>> read_f32_tensors(const std::filesystem::path& path);

/// A folder that is gone at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The largest difference; infinite when the sizes differ or a number is NaN.
double largest_difference(const std::vector<float>& a, const std::vector<float>& b);

/// The text of the engine::Error that `action` throws; "" when it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const engine::Error& error) {
    return error.what();
  }
  return "";
}

/// House style: one line, not empty, lower case unless it begins with a name or path, no final period.
bool is_one_line(const std::string& message);

}  // namespace engine_test
