// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace moe::disk {

/// What O_DIRECT asks of offsets, lengths and addresses: enough for every file system and device that takes 4096 at
/// all; a file on another one is read buffered.
inline constexpr uint64_t kBlock = 4096;

constexpr uint64_t round_down(uint64_t n) { return n & ~(kBlock - 1); }
constexpr uint64_t round_up(uint64_t n) { return round_down(n + kBlock - 1); }

/// Files opened for reading, with O_DIRECT where it works.
///
/// Threads  none: the reader's owner, after open.
class FileSet {
 public:
  /// `direct`: whether to try O_DIRECT at all. Errors: io, naming the file.
  static Result<FileSet> open(std::span<const std::string> paths, bool direct);

  FileSet() = default;
  FileSet(FileSet&& other) noexcept { files_.swap(other.files_); }
  FileSet& operator=(FileSet&& other) noexcept {
    files_.swap(other.files_);
    return *this;
  }
  ~FileSet();

  size_t size() const { return files_.size(); }
  int fd(uint32_t file) const { return files_[file].fd; }
  bool direct(uint32_t file) const { return files_[file].direct; }
  /// As it was at open.
  uint64_t size_bytes(uint32_t file) const { return files_[file].size_bytes; }
  const std::string& path(uint32_t file) const { return files_[file].path; }

  /// O_DIRECT turned out not to work after all.
  void make_buffered(uint32_t file);
  /// Lets the next read of the extent ask the disk, if the page cache had it.
  void forget(uint32_t file, uint64_t offset, uint64_t length) const;

 private:
  struct File {
    std::string path;
    int fd = -1;
    bool direct = false;
    uint64_t size_bytes = 0;
  };
  static Result<File> open_one(const std::string& path, bool direct);

  std::vector<File> files_;
};

}  // namespace moe::disk
