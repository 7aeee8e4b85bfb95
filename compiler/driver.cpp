// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver.h"

namespace moe::compiler {

std::optional<frontend::Setting> parse_setting(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) return std::nullopt;
  return frontend::Setting{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

const ir::Policy* select_policy(const ir::Module& module, std::string_view name, ir::Diagnostics& diagnostics) {
  if (name.empty() && module.policies.size() == 1) return &module.policies.front();
  std::vector<std::string_view> names;
  std::string list;
  for (const ir::Policy& policy : module.policies) {
    if (policy.name.value == name) return &policy;
    names.push_back(policy.name.value);
    if (!list.empty()) list += ", ";
    list += "`" + policy.name.value + "`";
  }
  if (name.empty()) {
    diagnostics.error("MOE2801", module.policies[1].name.span,
                      "the file has " + std::to_string(module.policies.size()) + " policies and none was chosen",
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
  const frontend::LowerOptions options{target.settings};
  const std::optional<ir::Module> module = frontend::compile_to_ir(source, options, diagnostics);
  if (!module) return std::nullopt;
  const ir::Policy* policy = select_policy(*module, target.policy_name, diagnostics);
  if (policy == nullptr) return std::nullopt;
  std::optional<ir::BoundPolicy> bound = ir::bind(*policy, target.shape, target.bind, diagnostics);
  diagnostics.sort();
  return bound;
}

}  // namespace moe::compiler
