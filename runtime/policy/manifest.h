// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/decision/abi.h"

namespace moe {

/// What the runtime reads of a policy's manifest. A missing key has the value here.
struct Manifest {
  std::string name = "policy";
  uint64_t expert_bytes = 0;
  uint32_t abi = 0;
  std::vector<std::string> metrics;  ///< that its monitor names
  std::string symbol;
  std::string cpu;
  std::vector<std::string> features;  ///< of the processor, as LLVM names them: "avx2"
};

/// `where` begins the message. Errors: format.
Result<Manifest> parse_manifest(std::string_view text, const std::string& where);

/// The manifest of a policy that this library makes itself.
std::string make_manifest(const decision::Params& params, const std::string& name);

}  // namespace moe
