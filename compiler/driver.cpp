// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver.h"

#include <filesystem>
#include <fstream>
#include <span>

#include "compiler/file_imports.h"

namespace moe::compiler {
namespace {

// The profile that the policy names, beside its file. False after an error.
bool read_profile(const ir::SourceFile& source, const ir::Policy& policy, ir::BindOptions& options,
                  ir::Diagnostics& diagnostics) {
  const bool in_learn = policy.prefetch.profile.value.empty() && policy.learn;
  const ir::Sourced<std::string>& name = in_learn ? policy.learn->profile : policy.prefetch.profile;
  if (name.value.empty()) return true;
  const std::filesystem::path beside = std::filesystem::path(source.name()).parent_path() / name.value;
  Result<std::shared_ptr<const ir::Profile>> profile = load_profile(beside.string());
  if (profile) {
    options.profile = std::move(profile).value();
    return true;
  }
  diagnostics.error("MOE2803", name.span, profile.error().message, "make one with `moec profile`");
  return false;
}

// The bound policy's printed form leaves out what only the unbound one has, and the other way round.
std::string identity_of(const ir::Module& module, const ir::BoundPolicy& bound) {
  const ir::BindOptions& options = bound.options;
  std::string text = ir::print_json(module) + '\n' + ir::print_json(bound) + '\n';
  text += std::to_string(options.capacity_slots.value_or(0)) + ' ' + std::to_string(options.fast_bytes) + ' ' +
          std::to_string(options.streaming_slots) + ' ' + std::to_string(options.seed) + '\n';
  if (options.profile != nullptr) text += ir::print_profile(*options.profile);
  return text;
}

}  // namespace

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

Result<std::shared_ptr<const ir::Profile>> load_profile(const std::string& path) {
  constexpr uintmax_t kMostBytes = uintmax_t{1} << 30;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return Error{Error::Kind::io, "there is no profile `" + path + "`"};
  }
  if (std::filesystem::file_size(path, error) > kMostBytes) {
    return Error{Error::Kind::io, "the profile `" + path + "` is over 1 GiB"};
  }
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return Error{Error::Kind::io, "cannot read the profile `" + path + "`"};
  Result<ir::Profile> profile = ir::parse_profile(text);
  if (!profile) return Error{profile.error().kind, "`" + path + "`: " + profile.error().message};
  return std::make_shared<const ir::Profile>(std::move(profile).value());
}

std::optional<ir::BoundPolicy> compile_to_bound(const ir::SourceFile& source, const Target& target,
                                                ir::Diagnostics& diagnostics, Identity* identity) {
  const std::optional<ir::Module> module = compile_to_module(source, target.settings, diagnostics, target.replay);
  if (!module) return std::nullopt;
  const ir::Policy* policy = select_policy(*module, target.policy_name, diagnostics);
  if (policy == nullptr) return std::nullopt;
  ir::BindOptions options = target.bind;
  std::optional<ir::BoundPolicy> bound;
  if (options.profile != nullptr || read_profile(source, *policy, options, diagnostics)) {
    bound = ir::bind(*policy, target.shape, options, diagnostics);
  }
  if (bound && identity != nullptr) {
    // An import without policies leaves no trace in the module, but the word that asked for it does in the source.
    const bool imports =
        module->policies.size() != module->num_own || source.text().find("import") != std::string::npos;
    *identity = {identity_of(*module, *bound), !imports && options.profile == nullptr};
  }
  diagnostics.sort();
  return bound;
}

}  // namespace moe::compiler
