// SPDX-License-Identifier: Apache-2.0
// The compiler as one piece: source text in, checked, bound and native policies out. libmoec and the moec tool are thin
// layers over this.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/compiler.h"
#include "frontend/frontend.h"
#include "ir/bind.h"
#include "ir/diagnostics.h"
#include "ir/policy.h"

namespace moe::compiler {

/// What to compile a file's policy for.
struct Target {
  ir::ModelShape shape;
  ir::BindOptions bind;
  std::string policy_name;                  ///< "": the file's only policy
  std::vector<frontend::Setting> settings;  ///< values of its params
  bool replay = false;                      ///< as in frontend::LowerOptions
};

struct Identity {
  std::string text;             ///< the checked module with its imports and settings, and all that it is bound to
  bool self_contained = false;  ///< no file but the source was read: no import, no profile
};

/// Splits "NAME=VALUE"; nullopt when there is no name or no `=`.
std::optional<frontend::Setting> parse_setting(std::string_view text);

/// frontend::compile_to_ir with imports from the file system. `replay`: as in LowerOptions.
std::optional<ir::Module> compile_to_module(const ir::SourceFile& source,
                                            const std::vector<frontend::Setting>& settings,
                                            ir::Diagnostics& diagnostics, bool replay = false);

/// Of the file's own policies, the one called `name`, or the only one when `name` is empty; nullptr with a diagnostic
/// otherwise.
const ir::Policy* select_policy(const ir::Module& module, std::string_view name, ir::Diagnostics& diagnostics);

/// Reads the routing profile at `path`. Errors: io, format.
Result<std::shared_ptr<const ir::Profile>> load_profile(const std::string& path);

/// parse, check, select, bind. nullopt when one of them found an error. A profile that the policy names (`profile` of
/// prefetch or learn, beside the policy's file) is read unless `target.bind` brings one.
///   identity  if given: a text that is another one whenever the bound policy is: the checked module with its imports
///   and
///             settings, and all that it is bound to
std::optional<ir::BoundPolicy> compile_to_bound(const ir::SourceFile& source, const Target& target,
                                                ir::Diagnostics& diagnostics, Identity* identity = nullptr);

}  // namespace moe::compiler
