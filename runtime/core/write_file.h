// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace moe::core {

/// Writes a file beside the path and renames it, so that a reader sees the old file or the new one; only the user may
/// read it. Errors: io.
Result<void> write_file(const std::string& path, std::string_view contents);

}  // namespace moe::core
