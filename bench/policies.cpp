// SPDX-License-Identifier: Apache-2.0
#include "bench/policies.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bench/falling_profile.h"
#include "compiler/driver.h"
#include "compiler/file_imports.h"

namespace moe::bench {

std::span<const std::string_view> policy_names() {
  static constexpr std::string_view kNames[] = {
      "lru_basic",         "lfu_basic",      "lru_history",       "lfu_history",       "score_affinity",
      "score_history",     "freq_threshold", "lookahead2",        "ttl_only",          "mem_only",
      "fallback",          "composed_full",  "per_layer_uniform", "per_layer_entropy", "composed_full_adapt",
      "lru_adapt_instant", "composed"};
  return kNames;
}

std::string path_of_policy(std::string_view name) { return fmt::format("{}/policies/{}.moe", MOE_BENCH_DIR, name); }

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return Error{Error::Kind::io, path + " cannot be read"};
  return text.str();
}

namespace {

/// Whatever an import names is relative to the file, whose profile too.
Result<ir::BoundPolicy> bind_text(const ir::SourceFile& source, const ir::ModelShape& shape, bool layer_blind,
                                  const std::vector<std::string>& settings) {
  ir::Diagnostics diagnostics;
  std::optional<ir::BoundPolicy> bound;
  if (!layer_blind) {
    compiler::Target target;
    target.shape = shape;
    target.bind.profile = falling_profile(shape);
    for (const std::string& setting : settings) target.settings.push_back(*compiler::parse_setting(setting));
    bound = compiler::compile_to_bound(source, target, diagnostics);
  } else if (auto module = compiler::compile_to_module(source, {}, diagnostics)) {
    ir::Policy& policy = module->policies[0];
    if (!policy.per_layer) policy.cache.scope.value = ir::Scope::layer;
    policy.cache.memory_budget_gb.value *= shape.num_layers;
    bound = ir::bind(policy, shape, {}, diagnostics);
  }
  if (!bound) return Error{Error::Kind::invalid, source.name() + " cannot be bound"};
  return std::move(*bound);
}

}  // namespace

Result<ir::BoundPolicy> bind_file(const std::string& path, const ir::ModelShape& shape, bool layer_blind,
                                  const std::vector<std::string>& settings) {
  Result<std::string> text = read_text(path);
  if (!text) return text.error();
  return bind_text(ir::SourceFile(path, std::move(*text)), shape, layer_blind, settings);
}

ir::BoundPolicy bind_rule(ir::Eviction rule, const ir::ModelShape& shape) {
  ir::BoundPolicy policy;
  policy.name = "bench";
  policy.shape = shape;
  policy.eviction = rule;
  policy.capacity = shape.num_layers * shape.num_experts / 2;
  return policy;
}

std::vector<std::string> standard_library() {
  std::vector<std::string> paths;
  const std::string folder = compiler::find_standard_library();
  if (folder.empty()) return paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".moe") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace moe::bench
