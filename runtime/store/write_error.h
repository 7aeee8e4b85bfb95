// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cerrno>
#include <cstring>
#include <string>

#include "runtime/base/result.h"

namespace moe::store {

/// "cannot write `PATH`: REASON", with what to do when the disk is full. `code` is an errno.
inline Error write_error(const std::string& path, int code) {
  std::string message = "cannot write `" + path + "`: " + std::strerror(code);
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) message += "; make room and run the same command again";
  return {Error::Kind::io, message};
}

}  // namespace moe::store
