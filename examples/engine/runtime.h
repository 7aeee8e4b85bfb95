// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <memory>
#include <string>

namespace engine {

/// Throws what the library's last error says unless `status` is MOE_OK. `what` begins the message: the file or the
/// layer.
void check(moe_status status, const std::string& what);

struct RuntimeDeleter {
  void operator()(moe_runtime* runtime) const { moe_runtime_destroy(runtime); }
};
struct PolicyDeleter {
  void operator()(moe_policy* policy) const { moe_policy_destroy(policy); }
};
using Runtime = std::unique_ptr<moe_runtime, RuntimeDeleter>;
using Policy = std::unique_ptr<moe_policy, PolicyDeleter>;

/// A zeroed struct of the C interface with its struct_size set.
template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}

}  // namespace engine
