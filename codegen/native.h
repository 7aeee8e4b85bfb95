// SPDX-License-Identifier: Apache-2.0
// What the decision kernels can carry out today; the rest of the language is decided by the reference interpreter.
#pragma once
#include <string>
#include <vector>

#include "codegen/program.h"
#include "runtime/base/result.h"

namespace moe::codegen {

/// The parts of the policy that no kernel has: "`eviction = a | b`", "`learn`", ... Empty: native code can be made.
std::vector<std::string> beyond_kernels(const Program& program);
std::vector<std::string> beyond_kernels(const ir::BoundPolicy& policy);

/// Error::unsupported that lists them.
Result<void> check_native(const Program& program);

}  // namespace moe::codegen
