// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/extent_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/base/crc32c.h"

namespace moe::store {
namespace {

constexpr size_t kMaxIndexBytes = 1'000'000'000;

Error io_error(const std::string& path, const char* what, int code) {
  const char* reason =
      code == ELOOP ? "it is a symbolic link; the files of a store lie in its folder" : std::strerror(code);
  return {Error::Kind::io, path + ": cannot " + what + ": " + reason};
}

Error damaged(const std::string& path, const std::string& reason) {
  return {Error::Kind::format, path + ": " + reason + "; copy the store again, or pack the model again"};
}

/// Opens a regular file of exactly that size.
Result<FileHandle> open_sized(const std::string& path, uint64_t size_bytes, int flags) {
  FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | flags));
  if (file.fd() < 0) return io_error(path, "open", errno);
  struct stat info{};
  if (::fstat(file.fd(), &info) != 0) return io_error(path, "stat", errno);
  if (!S_ISREG(info.st_mode)) return Error{Error::Kind::io, path + ": not a regular file"};
  if (static_cast<uint64_t>(info.st_size) != size_bytes) {
    return damaged(path,
                   "has " + std::to_string(info.st_size) + " bytes, the index says " + std::to_string(size_bytes));
  }
  return file;
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

bool is_store(const std::string& dir) {
  struct stat info{};
  return ::lstat((dir + "/" + std::string(kIndexName)).c_str(), &info) == 0;
}

Result<void> read_fully(int fd, uint64_t offset_bytes, std::span<std::byte> into, const std::string& path) {
  while (!into.empty()) {
    const ssize_t n = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset_bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(path, "read", errno);
    if (n == 0) return damaged(path, "ends at byte " + std::to_string(offset_bytes) + ", before what is read");
    into = into.subspan(static_cast<size_t>(n));
    offset_bytes += static_cast<uint64_t>(n);
  }
  return {};
}

Result<MappedFile> map_marked(const std::string& dir, const FileMark& mark) {
  const std::string path = dir + "/" + mark.name;
  Result<FileHandle> sized = open_sized(path, mark.size_bytes, 0);
  if (!sized) return sized.error();
  Result<MappedFile> file = MappedFile::open(path, /*follow_link=*/false);
  if (!file) return file;
  const bool same = file->size_bytes() == mark.size_bytes && crc32c(file->data(), mark.size_bytes) == mark.crc32c;
  if (!same) return damaged(path, "its checksum is not the index's");
  return file;
}

Result<ExtentStore> ExtentStore::open(const std::string& dir) {
  const std::string where = dir + "/" + std::string(kIndexName);
  Result<MappedFile> text = MappedFile::open(where, /*follow_link=*/false);
  if (!text) return text.error();
  if (text->size_bytes() > kMaxIndexBytes) {
    return Error{Error::Kind::format,
                 where + ": " + std::to_string(text->size_bytes()) + " bytes is too long an index"};
  }
  Result<StoreIndex> index = read_store_index(text->text(), where);
  if (!index) return index.error();
  ExtentStore store(dir, std::move(*index));
  for (uint32_t file = 0; file < store.index_.files.size(); ++file) {
    Result<FileHandle> handle = store.open_data_file(file, 0);
    if (!handle) return handle.error();
    store.files_.push_back(std::move(*handle));
  }
  return store;
}

std::optional<uint32_t> ExtentStore::precision(std::string_view name) const {
  const auto found = std::find_if(index_.precisions.begin(), index_.precisions.end(),
                                  [&](const Precision& precision) { return precision.name == name; });
  if (found == index_.precisions.end()) return std::nullopt;
  return static_cast<uint32_t>(found - index_.precisions.begin());
}

Result<FileHandle> ExtentStore::open_data_file(uint32_t file, int flags) const {
  const DataFile& data = index_.files[file];
  return open_sized(path_of(data.name), data.size_bytes, flags);
}

Result<MappedFile> ExtentStore::map_data_file(uint32_t file) const {
  const DataFile& data = index_.files[file];
  Result<MappedFile> mapped = MappedFile::open(path_of(data.name), /*follow_link=*/false);
  if (mapped && mapped->size_bytes() != data.size_bytes) {
    return damaged(path_of(data.name), "its size is not the index's");
  }
  return mapped;
}

std::string ExtentStore::describe(const Extent& extent) const {
  return path_of(index_.files[extent.file].name) + ": layer " + std::to_string(extent.layer) + " expert " +
         std::to_string(extent.expert) + " (" + index_.precisions[extent.precision].name + ") at byte " +
         std::to_string(extent.offset_bytes);
}

Result<void> ExtentStore::compare(const Extent& extent, const void* bytes) const {
  if (crc32c(bytes, extent.size_bytes) == extent.crc32c) return {};
  return damaged(describe(extent), "its checksum is not the index's");
}

Result<void> ExtentStore::read(const Extent& extent, std::span<std::byte> into) const {
  const int fd = files_[extent.file].fd();
  into = into.first(extent.size_bytes);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (Result<void> done = read_fully(fd, extent.offset_bytes, into, describe(extent)); !done) return done;
    if (crc32c(into.data(), into.size()) == extent.crc32c) return {};
    // What is wrong may be the copy in memory: the second attempt reads the disk.
    ::posix_fadvise(fd, static_cast<off_t>(extent.offset_bytes), static_cast<off_t>(padded(extent.size_bytes)),
                    POSIX_FADV_DONTNEED);
  }
  return damaged(describe(extent), "its checksum is not the index's, read twice");
}

Result<std::optional<MappedFile>> ExtentStore::map_tensors() const {
  if (index_.tensors.empty()) return std::optional<MappedFile>();
  Result<MappedFile> file = map_marked(dir_, index_.tensors.front());
  if (!file) return file.error();
  return std::optional<MappedFile>(std::move(*file));
}

}  // namespace moe::store
