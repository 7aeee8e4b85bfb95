// SPDX-License-Identifier: Apache-2.0
// A folder that is written beside its place and moved there when it is complete.
#pragma once
#include <string>

#include "runtime/base/result.h"
#include "runtime/store/extent_store.h"

namespace moe::pack {

inline constexpr const char* kPlanName = ".plan.json";
inline constexpr const char* kJournalName = ".journal";

/// DIR.partial, made if need be and locked against other writers as long as this lives.
class PartialFolder {
 public:
  /// Errors: io; invalid: there is something of that name that no writer of ours has made, or another process has it.
  static Result<PartialFolder> open(const std::string& dir);

  const std::string& path() const { return path_; }

  /// Takes everything out, what marks it as ours last.
  Result<void> clear();

  /// Moves the folder to its place, in one step. What was there is removed afterwards, if it is a store or empty.
  /// Errors: io; invalid: something else is there; unsupported: the file system cannot exchange two folders.
  Result<void> publish();

 private:
  PartialFolder(std::string dir, std::string path, store::FileHandle lock)
      : dir_(std::move(dir)), path_(std::move(path)), lock_(std::move(lock)) {}
  std::string dir_;
  std::string path_;
  store::FileHandle lock_;
};

/// Without the slashes at its end.
std::string plain_path(std::string dir);

/// What stands where a folder is to be put.
enum class Place { free, store, taken };
Place look_at(const std::string& dir);

}  // namespace moe::pack
