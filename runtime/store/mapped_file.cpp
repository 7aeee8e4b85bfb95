// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace moe::store {
namespace {

Error io_error(const std::string& path, const char* what, int code) {
  return {Error::Kind::io, path + ": cannot " + what + ": " + std::strerror(code)};
}

Result<std::string_view> map(const std::string& path, int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return io_error(path, "stat", errno);
  if (!S_ISREG(info.st_mode)) return Error{Error::Kind::io, path + ": not a regular file"};
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return std::string_view{};
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return io_error(path, "map", errno);
  return std::string_view(static_cast<const char*>(data), size);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path, bool follow_link) {
  // O_NONBLOCK: a FIFO in the place of a file must not hang the open.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow_link ? 0 : O_NOFOLLOW));
  if (fd < 0) return io_error(path, "open", errno);
  Result<std::string_view> text = map(path, fd);
  ::close(fd);
  if (!text) return text.error();
  return MappedFile(*text);
}

MappedFile::~MappedFile() {
  if (!text_.empty()) ::munmap(const_cast<char*>(text_.data()), text_.size());
}

void MappedFile::drop_pages() const {
  if (!text_.empty()) ::madvise(const_cast<char*>(text_.data()), text_.size(), MADV_DONTNEED);
}

}  // namespace moe::store
