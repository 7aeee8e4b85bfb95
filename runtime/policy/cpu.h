// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace moe {

/// Whether this machine runs code that LLVM made for processor `cpu` with `features`. The levels x86-64 to x86-64-v4
/// are asked of the processor; for any other name the features decide. Errors: unsupported, with what is missing.
Result<void> check_cpu(const std::string& cpu, const std::vector<std::string>& features);

}  // namespace moe
