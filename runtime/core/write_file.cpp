// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/write_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace moe::core {
namespace {

Error io_error(const char* what, const std::string& path) {
  return {Error::Kind::io, path + ": cannot " + what + ": " + std::strerror(errno)};
}

}  // namespace

Result<void> write_file(const std::string& path, std::string_view contents) {
  std::string temporary = path + ".XXXXXX";
  const int fd = ::mkstemp(temporary.data());
  if (fd < 0) return io_error("create", path);
  std::FILE* const file = ::fdopen(fd, "wb");
  if (!file) {
    const Error error = io_error("create", path);
    ::close(fd);
    std::remove(temporary.c_str());
    return error;
  }
  const bool written = std::fwrite(contents.data(), 1, contents.size(), file) == contents.size();
  const bool closed = std::fclose(file) == 0;
  if (written && closed && std::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const Error error = io_error("write", path);
  std::remove(temporary.c_str());
  return error;
}

}  // namespace moe::core
