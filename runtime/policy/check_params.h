// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/base/result.h"
#include "runtime/decision/abi.h"

namespace moe {

/// Checks what a descriptor says of itself, as if nobody had: every range that memory, loops or arithmetic of the
/// kernels rely on, so that a damaged file makes no absurd allocation and no division by zero.
/// Errors: invalid, with the field.
Result<void> check_params(const decision::Params& params);

}  // namespace moe
