// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver.h"

#include <span>

#include "compiler/file_imports.h"

namespace moe::compiler {

std::optional<frontend::Setting> parse_setting(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) return std::nullopt;
  return frontend::Setting{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

std::optional<ir::Module> compile_to_module(const ir::SourceFile& source,
                                            const std::vector<frontend::Setting>& settings,
                                            ir::Diagnostics& diagnostics, bool replay) {
  FileImports imports;
  frontend::LowerOptions options;
  options.settings = settings;
  options.imports = &imports;
  options.replay = replay;
  return frontend::compile_to_ir(source, options, diagnostics);
}

const ir::Policy* select_policy(const ir::Module& module, std::string_view name, ir::Diagnostics& diagnostics) {
  const std::span<const ir::Policy> own(module.policies.data(), module.num_own);
  if (name.empty() && own.size() == 1) return &own.front();
  std::vector<std::string_view> names;
  std::string list;
  for (const ir::Policy& policy : own) {
    if (policy.name.value == name) return &policy;
    names.push_back(policy.name.value);
    if (!list.empty()) list += ", ";
    list += "`" + policy.name.value + "`";
  }
  if (name.empty()) {
    diagnostics.error("MOE2801", own[1].name.span,
                      "the file has " + std::to_string(own.size()) + " policies and none was chosen",
                      "name one of " + list);
    return nullptr;
  }
  const std::string_view nearest = ir::nearest_word(name, names);
  diagnostics.error("MOE2802", {}, "the file has no policy called `" + std::string(name) + "`",
                    nearest.empty() ? "name one of " + list : "did you mean `" + std::string(nearest) + "`?");
  return nullptr;
}

std::optional<ir::BoundPolicy> compile_to_bound(const ir::SourceFile& source, const Target& target,
                                                ir::Diagnostics& diagnostics) {
  const std::optional<ir::Module> module = compile_to_module(source, target.settings, diagnostics);
  if (!module) return std::nullopt;
  const ir::Policy* policy = select_policy(*module, target.policy_name, diagnostics);
  if (policy == nullptr) return std::nullopt;
  std::optional<ir::BoundPolicy> bound = ir::bind(*policy, target.shape, target.bind, diagnostics);
  diagnostics.sort();
  return bound;
}

}  // namespace moe::compiler
