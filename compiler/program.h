// SPDX-License-Identifier: Apache-2.0
// How a policy was made, as one text: what the decision log carries, so that it can be explained without asking.
#pragma once
#include <string>

#include "compiler/driver.h"

namespace moe::compiler {

struct Program {
  ir::SourceFile source{"", ""};
  Target target;  ///< without a profile: the policy names its own
};

/// One JSON object: {"file", "source", "policy", "settings", "num_layers", "num_experts", "top_k", "expert_bytes",
/// "slots", "streaming_slots", "fast_bytes", "seed"}.
std::string print_program(const ir::SourceFile& source, const Target& target);

/// Reads it back; the text may come from anywhere. Errors: format.
Result<Program> read_program(const std::string& text);

}  // namespace moe::compiler
