// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/new_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace moe::checkpoint {
namespace fs = std::filesystem;

Result<NewFolder> NewFolder::create(const std::string& out) {
  std::error_code error;
  fs::path path = fs::path(out).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // `out/`
  if (path.empty()) return Error{Error::Kind::invalid, "`" + out + "` names no folder to write"};
  if (fs::exists(path, error) && !(fs::is_directory(path, error) && fs::is_empty(path, error))) {
    return Error{Error::Kind::invalid, "`" + path.string() + "` is there already; name a new folder"};
  }
  std::string name = path.string() + ".partial.XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    return Error{Error::Kind::io, "cannot make a folder beside `" + path.string() + "`: " + std::strerror(errno)};
  }
  const mode_t mask = umask(0);  // mkdtemp's folder is the user's alone
  umask(mask);
  (void)chmod(name.c_str(), 0777 & ~mask);
  return NewFolder(std::move(path), name);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!partial_.empty()) fs::remove_all(partial_, ignored);
}

Result<void> NewFolder::publish() {
  std::error_code error;
  fs::rename(partial_, out_, error);
  if (error) return Error{Error::Kind::io, "cannot write `" + out_.string() + "`: " + error.message()};
  partial_.clear();
  return {};
}

Result<void> copy_small_files(const std::string& dir, const fs::path& to) {
  std::error_code error;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const std::string ending = entry->path().extension().string();
    const bool wanted = ending == ".json" || ending == ".txt" || ending == ".model" || ending == ".jinja" ||
                        ending == ".md" || name.starts_with("LICENSE");
    if (!wanted || name == "model.safetensors.index.json" || !entry->is_regular_file(error)) continue;
    fs::copy_file(entry->path(), to / name, error);
    if (error) return Error{Error::Kind::io, "cannot copy `" + entry->path().string() + "`: " + error.message()};
  }
  if (error) return Error{Error::Kind::io, "cannot read `" + dir + "`: " + error.message()};
  return {};
}

}  // namespace moe::checkpoint
