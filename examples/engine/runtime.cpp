// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/runtime.h"

#include <fmt/core.h>

#include "examples/engine/error.h"

namespace engine {
namespace {

Exit exit_code(moe_status status) {
  switch (status) {
    case MOE_BUSY:
    case MOE_NO_MEMORY:
    case MOE_IO:
    case MOE_DEVICE:
    case MOE_INTERNAL:
    case MOE_WOULD_DEADLOCK:
      return Exit::machine;
    default:  // a file or a policy is not what it should be, or does not fit the model
      return Exit::data;
  }
}

}  // namespace

void check(moe_status status, const std::string& what) {
  if (status == MOE_OK) return;
  std::string detail = moe_last_error();
  if (detail.empty()) detail = moe_status_text(status);
  // What is wrong with a file says so already, more precisely.
  throw Error(exit_code(status), detail.starts_with(what) ? detail : fmt::format("{}: {}", what, detail));
}

}  // namespace engine
