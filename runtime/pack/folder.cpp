// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "runtime/pack/files.h"

namespace moe::pack {
namespace {

namespace fs = std::filesystem;

bool is_mark(const fs::path& name) { return name == kPlanName || name == fs::path(store::kIndexName); }

Result<void> remove_all(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return Error{Error::Kind::io, "cannot remove `" + path + "`: " + error.message()};
  return {};
}

std::string parent_of(const std::string& dir) {
  const fs::path parent = fs::path(dir).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

std::string plain_path(std::string dir) {
  while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
  return dir;
}

Place look_at(const std::string& dir) {
  struct stat info{};
  if (::lstat(dir.c_str(), &info) != 0) return errno == ENOENT ? Place::free : Place::taken;
  if (!S_ISDIR(info.st_mode)) return Place::taken;
  if (store::is_store(dir)) return Place::store;
  std::error_code error;
  return fs::is_empty(dir, error) && !error ? Place::free : Place::taken;
}

Result<PartialFolder> PartialFolder::open(const std::string& dir) {
  const std::string path = dir + ".partial";
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return write_error(path, errno);
  store::FileHandle lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (lock.fd() < 0) return write_error(path, errno);
  if (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0) {
    return Error{Error::Kind::invalid, "another process writes `" + path + "`; wait until it is done"};
  }
  std::error_code error;
  const bool ours = fs::is_empty(path, error) || fs::exists(path + "/" + kPlanName, error) || store::is_store(path);
  if (!ours) return Error{Error::Kind::invalid, "`" + path + "` is in the way and no partial store; move it away"};
  return PartialFolder(dir, path, std::move(lock));
}

Result<void> PartialFolder::clear() {
  std::error_code error;
  for (const bool marks : {false, true}) {
    for (fs::directory_iterator entry(path_, error), end; !error && entry != end; entry.increment(error)) {
      if (is_mark(entry->path().filename()) != marks) continue;
      if (Result<void> gone = remove_all(entry->path().string()); !gone) return gone;
    }
  }
  if (error) return Error{Error::Kind::io, "cannot list `" + path_ + "`: " + error.message()};
  return {};
}

Result<void> PartialFolder::publish() {
  const Place place = look_at(dir_);
  if (place == Place::taken) {
    return Error{Error::Kind::invalid, "`" + dir_ + "` is there and is no store; choose another name"};
  }
  if (place == Place::free) {
    if (::rename(path_.c_str(), dir_.c_str()) != 0) return write_error(dir_, errno);
    return sync_folder(parent_of(dir_));
  }
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, dir_.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return write_error(dir_, errno);
    return Error{Error::Kind::unsupported,
                 "the file system cannot replace `" + dir_ + "` in one step; remove it and run the same command again"};
  }
  if (Result<void> synced = sync_folder(parent_of(dir_)); !synced) return synced;
  return remove_all(path_);  // the store that was there before
}

}  // namespace moe::pack
