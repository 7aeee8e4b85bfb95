// SPDX-License-Identifier: Apache-2.0
#include "compiler/code_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "compiler/sha256.h"

namespace moe::compiler {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "MoECode1";
constexpr size_t kTrailer = 32 + 8;  // checksum, magic
constexpr size_t kMostOfEntry = size_t{16} << 20;
constexpr std::chrono::hours kStale{1};  // a temporary file that old was left behind

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string checksum(std::string_view key_name, std::string_view library) {
  std::string text(key_name);
  text += library;
  const auto digest = sha256(text);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Nobody else may write to it, be it through a link.
std::string problem_of(const std::string& folder) {
  struct stat info{};
  if (::lstat(folder.c_str(), &info) != 0) return std::strerror(errno);
  if (S_ISLNK(info.st_mode)) return "it is a symbolic link";
  if (!S_ISDIR(info.st_mode)) return "it is no folder";
  if (info.st_uid != ::geteuid()) return "it belongs to another user";
  if ((info.st_mode & 077) != 0) return "others may use it: its mode must be 0700";
  return "";
}

bool make_folder(const std::string& folder) {
  std::error_code error;
  const fs::path parent = fs::path(folder).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  return ::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST;
}

std::string folder_by_environment() {
  if (::geteuid() != ::getuid()) return "";  // the environment is another user's
  if (const char* const given = std::getenv("MOE_CACHE_DIR")) return given;
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/moe";
  const char* const home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/moe";
  return "";
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

std::optional<std::string> read_all(int file, size_t size) {
  std::string bytes(size, '\0');
  for (size_t at = 0; at < size;) {
    const ssize_t n = ::read(file, bytes.data() + at, size - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    at += static_cast<size_t>(n);
  }
  return bytes;
}

bool is_intact(const std::string& entry, const std::string& key_name) {
  if (entry.size() <= kTrailer || !entry.ends_with(kMagic)) return false;
  const size_t size = entry.size() - kTrailer;
  return std::string_view(entry).substr(size, 32) == checksum(key_name, std::string_view(entry).substr(0, size));
}

}  // namespace

CodeCache CodeCache::open() { return CodeCache(folder_by_environment()); }

CodeCache::CodeCache(std::string folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::string reason;
  if (!make_folder(folder_)) {
    reason = std::strerror(errno);
  } else {
    reason = problem_of(folder_);
  }
  if (reason.empty()) return;
  problem_ = "the code cache `" + folder_ + "` is not used: " + reason;
  folder_.clear();
}

std::string CodeCache::path_of(std::string_view key) const { return folder_ + "/" + to_hex(sha256(key)) + ".so"; }

std::optional<std::string> CodeCache::find(std::string_view key) const {
  if (!on()) return std::nullopt;
  const std::string path = path_of(key);
  const File file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) return std::nullopt;
  const bool usable = S_ISREG(info.st_mode) && info.st_uid == ::geteuid() && (info.st_mode & 022) == 0 &&
                      info.st_size >= 0 && static_cast<size_t>(info.st_size) <= kMostOfEntry;
  if (!usable) return std::nullopt;
  const std::optional<std::string> entry = read_all(file.get(), static_cast<size_t>(info.st_size));
  if (!entry || !is_intact(*entry, fs::path(path).filename())) return std::nullopt;
  ::futimens(file.get(), nullptr);
  return path;
}

bool CodeCache::store(std::string_view key, std::string_view library) const {
  if (!on() || library.size() > kMostOfEntry - kTrailer) return false;
  const std::string path = path_of(key);
  static std::atomic<uint32_t> number{0};
  const std::string partial = folder_ + "/." + std::to_string(::getpid()) + "-" + std::to_string(number++) + ".tmp";
  bool written = false;
  {
    const File file(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0) return false;
    std::string trailer = checksum(fs::path(path).filename().string(), library);
    trailer += kMagic;
    written = write_all(file.get(), library) && write_all(file.get(), trailer);
  }
  if (!written || ::rename(partial.c_str(), path.c_str()) != 0) {
    ::unlink(partial.c_str());
    return false;
  }
  evict();
  return true;
}

void CodeCache::remove(std::string_view key) const {
  if (on()) ::unlink(path_of(key).c_str());
}

void CodeCache::evict() const {
  struct Entry {
    fs::file_time_type used;
    uintmax_t size;
    fs::path path;
  };
  std::vector<Entry> entries;
  uintmax_t total = 0;
  const fs::file_time_type now = fs::file_time_type::clock::now();
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;  // by another process
    const fs::file_time_type used = fs::last_write_time(at->path(), gone);
    const uintmax_t size = gone ? 0 : at->file_size(gone);
    if (gone) continue;
    if (at->path().extension() == ".tmp") {
      if (now - used > kStale) fs::remove(at->path(), gone);
    } else if (at->path().extension() == ".so") {
      entries.push_back({used, size, at->path()});
      total += size;
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (size_t i = 0; i < entries.size() && total > kMostBytes; ++i) {
    std::error_code gone;
    fs::remove(entries[i].path, gone);
    total -= entries[i].size;
  }
}

}  // namespace moe::compiler
