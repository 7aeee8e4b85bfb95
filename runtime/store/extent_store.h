// SPDX-License-Identifier: Apache-2.0
// Reading a store (store_index.h): where each expert lies, for who streams it, and checked reads, for who loads it.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/store/mapped_file.h"
#include "runtime/store/safetensors.h"
#include "runtime/store/store_index.h"

namespace moe::store {

/// Whether the folder is a store: it has an index.
bool is_store(const std::string& dir);

/// A file of a store, open for reading; closed with its owner.
class FileHandle {
 public:
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileHandle();
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// What a transfer engine needs to read one extent by itself.
struct ExtentSource {
  int fd;                 ///< the store's own, without O_DIRECT; see open_data_file() for one with
  uint64_t offset_bytes;  ///< a multiple of 4096
  uint64_t size_bytes;    ///< of the expert
  uint64_t read_bytes;  ///< size_bytes rounded up to a multiple of 4096: what O_DIRECT reads; all of it is in the file
  uint32_t crc32c;      ///< of size_bytes
};

/// An opened store.
///
/// Files    every file must be in the folder itself, regular, no symbolic link, and as long as the index says. They
/// stay
///          open; a file that another process shortens later makes reads fail with an error.
/// Threads  all const functions from any.
class ExtentStore {
 public:
  /// Reads and checks the index, opens the data files. Reads no expert.
  /// Errors: io; format, unsupported (what is wrong, in which file, and what to do).
  static Result<ExtentStore> open(const std::string& dir);

  const StoreIndex& index() const { return index_; }

  /// The number of a precision by its name, for the functions below; nullopt: the store has no such copies.
  std::optional<uint32_t> precision(std::string_view name) const;

  /// Requires layer, expert and precision within the index. Valid while the store lives.
  const Extent& extent(uint32_t layer, uint32_t expert, uint32_t precision) const {
    return index_.extents[index_.place(layer, expert, precision)];
  }
  /// At native precision, by layer * num_experts + expert.
  const Extent& native(size_t key) const { return index_.extents[key]; }  // native ones come first
  ExtentSource source(const Extent& extent) const {
    return {files_[extent.file].fd(), extent.offset_bytes, extent.size_bytes, padded(extent.size_bytes), extent.crc32c};
  }

  /// The same data file once more, with further flags of open(2) such as O_DIRECT, after the same checks.
  Result<FileHandle> open_data_file(uint32_t file, int flags) const;

  /// Reads an extent's size_bytes to `into` and compares its checksum. When they differ it is read once more, past the
  /// page cache; `into` is undefined after an error. Errors: io; format, with the file and the extent.
  Result<void> read(const Extent& extent, std::span<std::byte> into) const;

  /// Compares an extent that somebody else read with its checksum. Errors: format, with the file and the extent.
  Result<void> compare(const Extent& extent, const void* bytes) const;

  /// "FILE: layer 3 expert 7 (native) at byte 8192": for messages of who reads by itself.
  std::string describe(const Extent& extent) const;

  /// Maps a data file; its contents are not compared with anything.
  Result<MappedFile> map_data_file(uint32_t file) const;
  /// Maps the file of the other tensors, after comparing its checksum. Nothing when the store has none.
  Result<std::optional<MappedFile>> map_tensors() const;
  std::string path_of(const std::string& file_name) const { return dir_ + "/" + file_name; }

 private:
  ExtentStore(std::string dir, StoreIndex index) : dir_(std::move(dir)), index_(std::move(index)) {}
  std::string dir_;
  StoreIndex index_;
  std::vector<FileHandle> files_;
};

/// Maps a file of a folder that is to hold exactly what `mark` says. Errors: io, format.
Result<MappedFile> map_marked(const std::string& dir, const FileMark& mark);

/// Reads exactly into.size() bytes. Errors: io, also when the file ends before.
Result<void> read_fully(int fd, uint64_t offset_bytes, std::span<std::byte> into, const std::string& path);

}  // namespace moe::store
