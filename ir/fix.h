// SPDX-License-Identifier: Apache-2.0
// Hints that a program can apply: for SARIF's `fixes` and for editors.
#pragma once
#include <optional>
#include <string>

#include "ir/diagnostics.h"

namespace moe::ir {

/// Puts `inserted` in place of the bytes of `deleted`.
struct Fix {
  SourceSpan deleted;
  std::string inserted;
};

/// The finding's hint as an edit of `file`, in which the finding's span is: for one in an imported file both are as
/// Diagnostics::place_of says. nullopt where a hint names a choice or an example, or asks for more than
/// one edit: then a person has to apply it. After the edit the finding is gone, and nothing new is a syntax error.
std::optional<Fix> fix_for(const SourceFile& file, const Diagnostic& finding);

}  // namespace moe::ir
