// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "runtime/base/result.h"

namespace moe::device {

/// A file that has no name, so that nothing of it is left however the process ends. Its bytes do not compress, and they
/// are on the disk.
class ScratchFile {
 public:
  using Clock = std::chrono::steady_clock;

  /// Writes until it has `size_bytes` or the time has come, at least 16 MiB; never more than a quarter of the free
  /// space. `folder` must be there. Errors: io, naming the folder and what to do.
  static Result<ScratchFile> make(const std::string& folder, uint64_t size_bytes, Clock::time_point until);

  ScratchFile(ScratchFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  /// Opens it, in this process. Needs /proc.
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  /// A multiple of 4 MiB.
  uint64_t size_bytes() const { return size_bytes_; }
  /// "ext", "xfs", ...; the magic number in hexadecimal for others.
  std::string file_system() const;
  /// Lets the next reads ask the disk, if the page cache had it.
  void drop_cache() const;

 private:
  explicit ScratchFile(int fd) : fd_(fd) {}
  Result<void> write(const std::string& folder, uint64_t size_bytes, Clock::time_point until);

  int fd_ = -1;
  uint64_t size_bytes_ = 0;
};

}  // namespace moe::device
