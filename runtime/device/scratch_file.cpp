// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/scratch_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace moe::device {
namespace {

constexpr uint64_t kMib = 1 << 20;
constexpr uint64_t kStep = 4 * kMib;
constexpr uint64_t kLeast = 16 * kMib;

Error cannot(const std::string& what, const std::string& folder, int code) {
  return {Error::Kind::io, "cannot " + what + " in `" + folder + "`: " + std::strerror(code) +
                               "; name a folder that you may write to with --storage DIR"};
}

/// An open file without a name, or -1 and errno.
int open_nameless(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  // A file system without nameless files, or a kernel. The name is there for an instant only.
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
  std::string name = folder + "/moec-doctor-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

struct Magic {
  uint32_t number;
  const char* name;
};
/// Those not in every linux/magic.h by number.
constexpr Magic kMagics[] = {{EXT4_SUPER_MAGIC, "ext"},    {0x58465342, "xfs"},
                             {BTRFS_SUPER_MAGIC, "btrfs"}, {TMPFS_MAGIC, "tmpfs"},
                             {RAMFS_MAGIC, "ramfs"},       {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
                             {NFS_SUPER_MAGIC, "nfs"},     {F2FS_SUPER_MAGIC, "f2fs"},
                             {0x65735546, "fuse"},         {0x2fc12fc1, "zfs"}};

}  // namespace

Result<ScratchFile> ScratchFile::make(const std::string& folder, uint64_t size_bytes, Clock::time_point until) {
  ScratchFile file(open_nameless(folder));
  if (file.fd_ < 0) return cannot("make a file", folder, errno);
  struct statvfs space{};
  if (::fstatvfs(file.fd_, &space) != 0) return cannot("ask for the free space", folder, errno);
  const uint64_t quarter = uint64_t{space.f_bavail} * space.f_frsize / 4;
  size_bytes = std::min(size_bytes, quarter) / kStep * kStep;
  if (size_bytes < kLeast)
    return cannot("write a file of 16 MiB, a quarter of the free space at most,", folder, ENOSPC);
  if (Result<void> written = file.write(folder, size_bytes, until); !written) return written.error();
  return file;
}

Result<void> ScratchFile::write(const std::string& folder, uint64_t size_bytes, Clock::time_point until) {
  std::vector<uint64_t> words(kStep / sizeof(uint64_t));
  std::mt19937_64 random(1);
  while (size_bytes_ < size_bytes && (size_bytes_ < kLeast || Clock::now() < until)) {
    for (uint64_t& word : words) word = random();
    const char* const bytes = reinterpret_cast<const char*>(words.data());
    for (uint64_t done = 0; done < kStep;) {
      const ssize_t put = ::pwrite(fd_, bytes + done, kStep - done, static_cast<off_t>(size_bytes_ + done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return cannot("write", folder, put < 0 ? errno : ENOSPC);
      done += static_cast<uint64_t>(put);
    }
    size_bytes_ += kStep;
    // Again and again, so that the clock sees the disk and not the page cache.
    if (size_bytes_ % kLeast == 0 && ::fdatasync(fd_) != 0) return cannot("write", folder, errno);
  }
  if (::fdatasync(fd_) != 0) return cannot("write", folder, errno);
  drop_cache();
  return {};
}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::string ScratchFile::file_system() const {
  struct statfs info{};
  if (::fstatfs(fd_, &info) != 0) return "unknown";
  const auto number = static_cast<uint32_t>(info.f_type);
  for (const Magic& known : kMagics) {
    if (known.number == number) return known.name;
  }
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%x", number);
  return text.data();
}

void ScratchFile::drop_cache() const { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

}  // namespace moe::device
