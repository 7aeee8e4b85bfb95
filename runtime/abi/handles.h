// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/core/runtime.h"
#include "runtime/last_error.h"
#include "runtime/policy.h"

namespace moe::abi {

/// The first word of a handle says what it is: catches NULL and handles of the other kind, not freed memory.
inline moe_status check_runtime(const moe_runtime* runtime) {
  if (!runtime) return fail(MOE_INVALID, "`runtime` is NULL");
  if (runtime->magic != moe_runtime::kMagic) return fail(MOE_INVALID, "`runtime` is not a runtime");
  return MOE_OK;
}

inline moe_status check_policy(const moe_policy* policy) {
  if (!policy) return fail(MOE_INVALID, "`policy` is NULL");
  if (policy->magic != moe_policy::kMagic) return fail(MOE_INVALID, "`policy` is not a policy");
  return MOE_OK;
}

}  // namespace moe::abi
