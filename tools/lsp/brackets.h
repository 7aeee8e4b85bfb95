// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "tools/lsp/snapshot.h"

namespace moe::lsp {

/// The name of the braces of a rule, which have none of their own.
inline constexpr std::string_view kRuleBraces = "rule";

/// A bracket that is open at a place.
struct OpenBracket {
  uint32_t token = 0;
  std::string_view name;  ///< of braces: the block's, kRuleBraces, or the event of `on`; of the policy's body ""
};

/// Brackets of the body of a policy, up to a place.
struct Brackets {
  std::vector<OpenBracket> open;    ///< outermost first, which is the policy's body; empty when that is closed
  std::vector<uint32_t> opener_of;  ///< of each token that closes one: the opener; else 0
  bool too_deep = false;            ///< deeper than the front end takes: nothing is known
};

/// Reads tokens [first, end), where token `first` - 1 is the `{` of the policy. Closers without an opener of their kind
/// are ignored, and one that closes an outer bracket closes those inside it. Linear.
Brackets read_brackets(const Snapshot& snapshot, uint32_t first, uint32_t end);

/// What joins two operands, or stands before one.
bool wants_operand(frontend::TokenKind kind);

}  // namespace moe::lsp
