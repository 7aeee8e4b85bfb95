// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace moe::disk {
namespace {

Error io_error(const std::string& path, const char* what, int code) {
  return {Error::Kind::io, path + ": cannot " + what + ": " + std::strerror(code)};
}

/// Some file systems take O_DIRECT at open and refuse it, or a block of this size, at the first read.
bool direct_reads_work(int fd) {
  alignas(kBlock) char block[kBlock];
  return ::pread(fd, block, kBlock, 0) >= 0 || errno != EINVAL;
}

void clear_direct(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags & ~O_DIRECT);
}

}  // namespace

Result<FileSet::File> FileSet::open_one(const std::string& path, bool direct) {
  // O_NONBLOCK: a FIFO in the place of a file must not hang the open.
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  File file{path};
  if (direct) file.fd = ::open(path.c_str(), kFlags | O_DIRECT);
  file.direct = file.fd >= 0;
  if (file.fd < 0 && (!direct || errno == EINVAL)) file.fd = ::open(path.c_str(), kFlags);
  if (file.fd < 0) return io_error(path, "open", errno);
  struct stat info{};
  const int code = ::fstat(file.fd, &info) != 0 ? errno : 0;
  if (code != 0 || !S_ISREG(info.st_mode)) {
    ::close(file.fd);
    if (code != 0) return io_error(path, "stat", code);
    return Error{Error::Kind::io, path + ": not a regular file"};
  }
  file.size_bytes = static_cast<uint64_t>(info.st_size);
  if (file.direct && !direct_reads_work(file.fd)) {
    clear_direct(file.fd);
    file.direct = false;
  }
  return file;
}

Result<FileSet> FileSet::open(std::span<const std::string> paths, bool direct) {
  FileSet set;
  set.files_.reserve(paths.size());
  for (const std::string& path : paths) {
    Result<File> file = open_one(path, direct);
    if (!file) return file.error();
    set.files_.push_back(std::move(*file));
  }
  return set;
}

FileSet::~FileSet() {
  for (const File& file : files_) ::close(file.fd);
}

void FileSet::make_buffered(uint32_t file) {
  clear_direct(files_[file].fd);
  files_[file].direct = false;
}

void FileSet::forget(uint32_t file, uint64_t offset, uint64_t length) const {
  if (direct(file)) return;
  ::posix_fadvise(fd(file), static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
}

}  // namespace moe::disk
