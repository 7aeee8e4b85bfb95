// SPDX-License-Identifier: Apache-2.0
// Whole files: mapped for reading, replaced as a whole when written.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "replay/bytes.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// A file mapped read-only for as long as this lives. Movable. The file must not shrink meanwhile.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile();
  Bytes bytes() const { return {static_cast<const uint8_t*>(data_), size_}; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}
  void* data_;
  size_t size_;
};

/// Writes beside `path` and renames, so that a reader sees the old file or the new one.
Result<void> write_file(const std::string& path, std::string_view contents);

}  // namespace moe::replay
