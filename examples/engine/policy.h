// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <cstdint>
#include <string>
#include <vector>

#include "examples/engine/runtime.h"

namespace engine {

/// Which policy the user wants.
struct PolicyOptions {
  std::string file = "none";          ///< a `.moe` text ("-": stdin), a compiled `.so`, or "none": all stays resident
  std::string name;                   ///< of the file's policies; "": its only one
  std::vector<std::string> settings;  ///< "name=value" for the policy's params
  uint32_t slots = 0;                 ///< overrides its capacity; 0: as written
  uint64_t budget_bytes = 0;          ///< what `capacity = auto` fills; 0: unknown
  bool on_host = true;                ///< experts are computed on the host wherever they come from
};

/// A policy and what its manifest says.
struct OpenPolicy {
  Policy handle;
  std::string name;
  bool exact = false;  ///< its output is that of the resident run, bit for bit
};

/// Compiles, loads or makes a policy for `shape`.
///   findings  gets the compiler's warnings and errors as a terminal would show them, also when this throws
/// Errors: data (the policy has errors), usage (an option that only a `.moe` text can take), machine (no such file, or
/// this build has no compiler).
OpenPolicy open_policy(const PolicyOptions& options, const moe_model_shape& shape, std::string& findings);

}  // namespace engine
