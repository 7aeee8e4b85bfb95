// SPDX-License-Identifier: Apache-2.0
#include "compiler/file_imports.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "frontend/limits.h"

namespace moe::compiler {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStandardPrefix = "std/";

std::string ticked(std::string_view text) { return "`" + std::string(text) + "`"; }

// The program or shared library that this code is in. dladdr alone gives a program's argv[0], which need not be a path.
fs::path own_file() {
  Dl_info info{};
  link_map* map = nullptr;
  const auto* address = reinterpret_cast<const void*>(&find_standard_library);
  const bool found = dladdr1(address, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) != 0;
  const bool is_library = found && map != nullptr && map->l_name != nullptr && map->l_name[0] != '\0';
  std::error_code error;
  return fs::canonical(is_library ? map->l_name : "/proc/self/exe", error);
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end() && rest != path.end();
}

}  // namespace

std::string find_standard_library() {
  if (const char* chosen = std::getenv("MOE_STD")) return chosen;
  constexpr int kMostLevels = 5;  // lib/x86_64-linux-gnu and build/release/tools are deep
  fs::path folder = own_file().parent_path();
  std::error_code error;
  for (int level = 0; level < kMostLevels && !folder.empty(); ++level) {
    for (const char* place : {"share/moe/std", "stdlib-policies"}) {
      if (fs::is_directory(folder / place, error)) return (folder / place).string();
    }
    if (folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  return {};
}

FileImports::FileImports(std::string standard_library) {
  std::error_code error;
  if (!standard_library.empty()) standard_library_ = fs::canonical(standard_library, error).string();
}

frontend::ImportResolver::Location FileImports::main_file(std::string_view name) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(fs::absolute(fs::path(name), error), error);
  return {error ? std::string(name) : canonical.string(), std::string(name)};
}

Result<frontend::ImportResolver::Location> FileImports::locate(std::string_view path, const Location& importer) {
  if (!path.ends_with(".moe")) {
    return Error{Error::Kind::invalid, "cannot import " + ticked(path) + ": its name does not end in .moe"};
  }
  const bool standard = path.starts_with(kStandardPrefix);
  if (standard && standard_library_.empty()) {
    return Error{Error::Kind::io,
                 "cannot import " + ticked(path) + ": the standard library was not found, MOE_STD says where it is"};
  }
  const fs::path wanted = standard ? fs::path(standard_library_) / path.substr(kStandardPrefix.size())
                                   : fs::path(importer.name).parent_path() / path;
  std::error_code error;
  const fs::path canonical = fs::canonical(wanted, error);
  if (error) {
    return Error{Error::Kind::io, "cannot import " + ticked(path) + ": " + ticked(wanted.lexically_normal().string()) +
                                      ": " + error.message()};
  }
  const bool bound = standard || (!standard_library_.empty() && is_inside(importer.id, standard_library_));
  if (bound && !is_inside(canonical, standard_library_)) {
    return Error{Error::Kind::invalid, "cannot import " + ticked(path) + ": it leads out of the standard library"};
  }
  return Location{canonical.string(), wanted.lexically_normal().string()};
}

Result<std::string> FileImports::read(const Location& file) {
  const auto failure = [&](const std::string& why) {
    return Error{Error::Kind::io, "cannot read " + ticked(file.name) + ": " + why};
  };
  // Opening a pipe would wait for its other end.
  const int descriptor = open(file.id.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return failure(std::strerror(errno));
  struct stat status{};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    return failure("it is no regular file");
  }
  std::string text(frontend::kMaxFileBytes + 1, '\0');
  size_t size = 0;
  ssize_t got = 0;
  do {
    got = ::read(descriptor, text.data() + size, text.size() - size);
    if (got > 0) size += static_cast<size_t>(got);
  } while ((got > 0 && size < text.size()) || (got < 0 && errno == EINTR));
  const int problem = errno;
  close(descriptor);
  if (got < 0) return failure(std::strerror(problem));
  text.resize(size);
  return text;
}

}  // namespace moe::compiler
