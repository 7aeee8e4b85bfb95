// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/base/crc32c.h"

namespace moe::pack {
namespace {

constexpr size_t kChunk = size_t{1} << 20;

Error read_error(const std::string& path, int code) {
  return {Error::Kind::io, "cannot read `" + path + "`: " + std::strerror(code)};
}

/// Reads a file from its begin and gives each piece to `take`.
template <class Take>
Result<store::FileMark> for_each_piece(const std::string& path, const std::string& name, Take&& take) {
  const store::FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) return read_error(path, errno);
  struct stat info{};
  if (::fstat(file.fd(), &info) != 0) return read_error(path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Error::Kind::io, "`" + path + "` is not a regular file"};
  store::FileMark mark{name, 0, 0};
  std::vector<std::byte> piece(kChunk);
  for (;;) {
    const ssize_t n = ::pread(file.fd(), piece.data(), piece.size(), static_cast<off_t>(mark.size_bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return read_error(path, errno);
    if (n == 0) return mark;
    const std::span<const std::byte> bytes(piece.data(), static_cast<size_t>(n));
    if (Result<void> taken = take(mark.size_bytes, bytes); !taken) return taken.error();
    mark.crc32c = crc32c(bytes.data(), bytes.size(), mark.crc32c);
    mark.size_bytes += bytes.size();
  }
}

}  // namespace

Result<OutFile> OutFile::open(const std::string& path) {
  store::FileHandle handle(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  if (handle.fd() < 0) return write_error(path, errno);
  return OutFile(std::move(handle), path);
}

Result<void> OutFile::write_at(uint64_t offset_bytes, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return write_error(path_, n < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset_bytes += static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> OutFile::reserve(uint64_t size_bytes) {
  if (::ftruncate(fd(), static_cast<off_t>(size_bytes)) != 0) return write_error(path_, errno);
  if (size_bytes == 0) return {};
  // Learns now that there is no room, and gets the extents side by side; not every file system has it.
  if (::fallocate(fd(), 0, 0, static_cast<off_t>(size_bytes)) == 0) return {};
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR) return {};
  return write_error(path_, errno);
}

Result<uint64_t> OutFile::size_bytes() const {
  struct stat info{};
  if (::fstat(fd(), &info) != 0) return read_error(path_, errno);
  return static_cast<uint64_t>(info.st_size);
}

Result<void> OutFile::sync() {
  if (::fsync(fd()) != 0) return write_error(path_, errno);
  return {};
}

Result<void> write_whole(const std::string& path, std::string_view text) {
  Result<OutFile> file = OutFile::open(path);
  if (!file) return file.error();
  if (::ftruncate(file->fd(), 0) != 0) return write_error(path, errno);
  if (Result<void> done = file->write_at(0, std::as_bytes(std::span(text))); !done) return done;
  return file->sync();
}

Result<void> sync_folder(const std::string& path) {
  const store::FileHandle folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.fd() < 0 || (::fsync(folder.fd()) != 0 && errno != EINVAL)) return write_error(path, errno);
  return {};
}

Result<store::FileMark> mark_file(const std::string& dir, const std::string& name, const Count& count) {
  return for_each_piece(dir + "/" + name, name, [&](uint64_t, std::span<const std::byte> bytes) -> Result<void> {
    count(bytes.size());
    return {};
  });
}

Result<store::FileMark> copy_file(const std::string& from, const std::string& to, const std::string& name) {
  Result<OutFile> file = OutFile::open(to + "/" + name);
  if (!file) return file.error();
  if (::ftruncate(file->fd(), 0) != 0) return write_error(file->path(), errno);
  Result<store::FileMark> mark =
      for_each_piece(from + "/" + name, name,
                     [&](uint64_t offset, std::span<const std::byte> bytes) { return file->write_at(offset, bytes); });
  if (!mark) return mark;
  if (Result<void> synced = file->sync(); !synced) return synced.error();
  return mark;
}

}  // namespace moe::pack
