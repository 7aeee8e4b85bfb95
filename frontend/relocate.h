// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "frontend/ast.h"

namespace moe::frontend {

/// Puts `file` behind `all`: its text and expressions go into all's pools, behind a newline, and its spans and ExprIds
/// are moved to match. Versions and policies are appended; imports are moved and left in `file`.
/// Cost: linear in `file`. Returns the offset of its text.
uint32_t append_file(ast::File& all, ast::File& file);

}  // namespace moe::frontend
