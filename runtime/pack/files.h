// SPDX-License-Identifier: Apache-2.0
// Files that are there as a whole or not at all: writes, syncs and renames, whose errors say path and reason.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/store/extent_store.h"
#include "runtime/store/write_error.h"

namespace moe::pack {

using store::write_error;

/// A file open for reading and writing.
class OutFile {
 public:
  /// Makes the file when it is not there; refuses symbolic links.
  static Result<OutFile> open(const std::string& path);
  int fd() const { return handle_.fd(); }
  const std::string& path() const { return path_; }
  Result<void> write_at(uint64_t offset_bytes, std::span<const std::byte> bytes);
  /// Gives the file that length and takes the room for it on the disk where the file system can.
  Result<void> reserve(uint64_t size_bytes);
  Result<uint64_t> size_bytes() const;
  Result<void> sync();

 private:
  OutFile(store::FileHandle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {}
  store::FileHandle handle_;
  std::string path_;
};

/// Makes a file with that text, on the disk when it returns.
Result<void> write_whole(const std::string& path, std::string_view text);

/// Makes a folder's entries last.
Result<void> sync_folder(const std::string& path);

/// Called with bytes that have been worked through since the last call.
using Count = std::function<void(uint64_t)>;

/// Size and checksum of a file; reads it through, so what cannot be read is an error here and no signal later.
Result<store::FileMark> mark_file(const std::string& dir, const std::string& name, const Count& count);

/// Copies a file of `from` into `to`, and syncs it. What it held.
Result<store::FileMark> copy_file(const std::string& from, const std::string& to, const std::string& name);

}  // namespace moe::pack
