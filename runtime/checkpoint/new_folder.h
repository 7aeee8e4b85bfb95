// SPDX-License-Identifier: Apache-2.0
// A folder that appears as a whole or not at all.
#pragma once
#include <filesystem>
#include <string>
#include <utility>

#include "runtime/base/result.h"

namespace moe::checkpoint {

/// Written under a name of its own beside the final one; removed again when it goes unpublished.
class NewFolder {
 public:
  /// Errors: invalid: `out` is there and is no empty folder; io.
  static Result<NewFolder> create(const std::string& out);
  NewFolder(NewFolder&& other) noexcept
      : out_(std::move(other.out_)), partial_(std::exchange(other.partial_, std::filesystem::path())) {}
  NewFolder& operator=(NewFolder&&) = delete;
  ~NewFolder();

  const std::filesystem::path& path() const { return partial_; }
  /// Gives it its name. Errors: io.
  Result<void> publish();

 private:
  NewFolder(std::filesystem::path out, std::filesystem::path partial)
      : out_(std::move(out)), partial_(std::move(partial)) {}
  std::filesystem::path out_;
  std::filesystem::path partial_;  ///< empty: published, or moved from
};

/// Copies what a model is loaded with beside its weights, but for maps of quantization and indexes of shards.
Result<void> copy_small_files(const std::string& dir, const std::filesystem::path& to);

}  // namespace moe::checkpoint
