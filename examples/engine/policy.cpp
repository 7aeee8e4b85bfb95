// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/policy.h"

#include <fmt/core.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "examples/engine/error.h"
#include "examples/engine/json_file.h"

namespace engine {
namespace {

#ifdef ENGINE_HAS_COMPILER
constexpr size_t kMaxFileBytes = 1 << 20;  // the language's own limit

std::string read_source(const std::string& file) {
  if (file != "-") return read_file(file, kMaxFileBytes);
  std::string text(kMaxFileBytes + 1, '\0');  // one more than the compiler takes, so that it says so
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::cin.gcount()));
  return text;
}

Policy compile(const PolicyOptions& options, const moe_model_shape& shape, std::string& findings) {
  const std::string source = read_source(options.file);
  std::vector<const char*> settings;
  for (const std::string& setting : options.settings) settings.push_back(setting.c_str());
  auto compile_options = sized<moe_compile_options>();
  compile_options.opt_level = 2;
  compile_options.shape = shape;
  compile_options.policy_name = options.name.empty() ? nullptr : options.name.c_str();
  compile_options.file_name = options.file == "-" ? "<stdin>" : options.file.c_str();
  compile_options.capacity_slots = options.slots;
  compile_options.fast_bytes = options.budget_bytes;
  compile_options.settings = settings.data();
  compile_options.num_settings = static_cast<uint32_t>(settings.size());

  moe_policy* policy = nullptr;
  moe_diagnostics* diagnostics = nullptr;
  const moe_status status = moe_policy_compile(source.data(), source.size(), &compile_options, &policy, &diagnostics);
  const std::unique_ptr<moe_diagnostics, decltype(&moe_diagnostics_destroy)> owner(diagnostics,
                                                                                   moe_diagnostics_destroy);
  if (diagnostics != nullptr) findings = moe_diagnostics_text(diagnostics);
  if (status == MOE_POLICY_ERROR) throw data_error(options.file + ": the policy has errors");
  check(status, options.file);
  return Policy(policy);
}
#else
Policy compile(const PolicyOptions& options, const moe_model_shape&, std::string&) {
  throw machine_error(options.file +
                      ": this build has no policy compiler; give a .so from `moec compile -o`, or `none`");
}
#endif

Policy load(const PolicyOptions& options) {
  moe_policy* policy = nullptr;
  check(moe_policy_load(options.file.c_str(), &policy), options.file);
  return Policy(policy);
}

Policy resident(const moe_model_shape& shape) {
  moe_policy* policy = nullptr;
  check(moe_policy_resident(&shape, &policy), "resident policy");
  return Policy(policy);
}

}  // namespace

OpenPolicy open_policy(const PolicyOptions& options, const moe_model_shape& shape, std::string& findings) {
  const bool none = options.file == "none";
  const bool compiled = std::filesystem::path(options.file).extension() == ".so";
  if ((none || compiled) && (options.slots != 0 || !options.name.empty() || !options.settings.empty())) {
    throw usage_error("--slots, --policy-name and --set need a policy as .moe text; `" + options.file + "` is none");
  }
  OpenPolicy result;
  result.handle = none ? resident(shape) : compiled ? load(options) : compile(options, shape, findings);
  const std::string where = options.file + ": manifest";
  const nlohmann::json object = parse_json_object(moe_policy_manifest(result.handle.get()), where);
  const JsonObject manifest(object, where);
  result.name = none ? "none" : manifest.string("name");
  const std::string exactness = manifest.string_or("exactness", "approximate");
  result.exact = exactness == "exact" || (options.on_host && exactness == "exact_on_host");
  return result;
}

}  // namespace engine
