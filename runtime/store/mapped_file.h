// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/result.h"

namespace moe::store {

/// A file mapped read-only. A file that another process shortens while it is mapped is out of scope: reading it then is
/// SIGBUS, as for every program that maps files.
class MappedFile {
 public:
  /// Errors: io, also for what is no regular file. `follow_link`: whether `path` may be a symbolic link.
  static Result<MappedFile> open(const std::string& path, bool follow_link = true);

  MappedFile(MappedFile&& other) noexcept : text_(std::exchange(other.text_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(text_, other.text_);
    return *this;
  }
  ~MappedFile();

  const char* data() const { return text_.data(); }
  size_t size_bytes() const { return text_.size(); }
  std::string_view text() const { return text_; }

  /// Lets the kernel take the pages back; reading them again reads the file again.
  void drop_pages() const;

 private:
  explicit MappedFile(std::string_view text) : text_(text) {}
  std::string_view text_;  ///< the mapping; empty for an empty file
};

}  // namespace moe::store
