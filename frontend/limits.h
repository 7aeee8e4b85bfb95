// SPDX-License-Identifier: Apache-2.0
// Bounds on what is read and reported: the input is untrusted.
#pragma once
#include <cstddef>

#include "ir/diagnostics.h"

namespace moe::frontend {

inline constexpr size_t kMaxFileBytes = size_t{1} << 20U;
inline constexpr size_t kMaxNesting = 64;             ///< brackets, prefix operators and `if`s inside one another
inline constexpr size_t kMaxPolicies = 1000;          ///< in a file
inline constexpr size_t kMaxExpressionNodes = 10000;  ///< operators and their operands, in a file
inline constexpr size_t kMaxImports = 256;            ///< `import` lines of a file and of all that it imports
inline constexpr size_t kMaxImportDepth = 64;
inline constexpr size_t kMaxImportedBytes = size_t{4} << 20U;
inline constexpr size_t kMaxCopied = 100000;  ///< entries and parts of expressions that one policy takes from another
inline constexpr size_t kMaxRules = 256;      ///< of adapt, short forms included, in a policy
inline constexpr size_t kMaxVariants = 64;    ///< of code, that the rules of a policy can reach
inline constexpr size_t kMaxInlinedNodes = 10000;   ///< of one expression once its lets are filled in
inline constexpr size_t kMaxInlinedTotal = 500000;  ///< of all expressions of a file, likewise
inline constexpr size_t kMaxFindings = 500;         ///< of a file; nobody reads more

/// Whether checks stop here. Who sees it last says so with report_if_too_many.
inline bool too_many(const ir::Diagnostics& diagnostics) { return diagnostics.items().size() >= kMaxFindings; }

/// An error if too_many: what was not checked is not accepted either.
void report_if_too_many(ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
