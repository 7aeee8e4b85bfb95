// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "frontend/imports.h"

namespace moe::test {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Imports from a list of texts by path, as if all lay in one folder; with a folder, from its files.
class Imports : public frontend::ImportResolver {
 public:
  explicit Imports(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  explicit Imports(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Location main_file(std::string_view name) override { return {std::string(name), std::string(name)}; }
  Result<Location> locate(std::string_view path, const Location& importer) override {
    ++num_located;
    const std::filesystem::path beside = std::filesystem::path(importer.name).parent_path() / path;
    const std::string id = beside.lexically_normal().string();
    const bool known = folder_.empty() ? files_.contains(id) : std::filesystem::exists(folder_ / id);
    if (!known) return Error{Error::Kind::io, "there is no file `" + id + "`"};
    return Location{id, id};
  }
  Result<std::string> read(const Location& file) override {
    ++num_read;
    return folder_.empty() ? files_.at(file.id) : read_file(folder_ / file.id);
  }

  size_t num_located = 0;
  size_t num_read = 0;

 private:
  std::map<std::string, std::string> files_;
  std::filesystem::path folder_;
};

/// The texts of all policies under tests/golden/check and stdlib-policies, in order of path.
std::vector<std::string> golden_texts();

}  // namespace moe::test
