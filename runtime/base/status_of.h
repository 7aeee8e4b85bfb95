// SPDX-License-Identifier: Apache-2.0
// What an error is called in the C ABI: in libmoe and in libmoec.
#pragma once
#include "moe/moe.h"
#include "runtime/base/result.h"

namespace moe {

inline moe_status status_of(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::io:
      return MOE_IO;
    case Error::Kind::format:
      return MOE_FORMAT;
    case Error::Kind::invalid:
      return MOE_INVALID;
    case Error::Kind::no_memory:
      return MOE_NO_MEMORY;
    case Error::Kind::unsupported:
      return MOE_UNSUPPORTED;
    case Error::Kind::device:
      return MOE_DEVICE;
    case Error::Kind::internal:
      return MOE_INTERNAL;
  }
  return MOE_INTERNAL;
}

}  // namespace moe
