// SPDX-License-Identifier: Apache-2.0
// Params and lets of a policy.
#pragma once
#include <string>
#include <vector>

#include "frontend/eval.h"
#include "frontend/frontend.h"

namespace moe::frontend {

/// A Setting taken apart; `used` once some policy had the param.
struct ParsedSetting {
  const Setting* setting = nullptr;
  Typed value;
  std::string text;  ///< the literal alone
  bool used = false;
};

/// Reports settings that are no literals; they are left out. The result borrows from `settings`.
std::vector<ParsedSetting> parse_settings(const std::vector<Setting>& settings, ir::Diagnostics& diagnostics);

/// Checks the policy's params and lets, in order of text, and gives each its value: the setting's, if there is one. A
/// let sees the params and the lets before it, so there is no recursion. `nodes_left`: as in CheckContext.
Scope build_scope(const ast::Policy& policy, const ast::Expressions& exprs, std::vector<ParsedSetting>& settings,
                  ir::Diagnostics& diagnostics, size_t* nodes_left = nullptr);

}  // namespace moe::frontend
