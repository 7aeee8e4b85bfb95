// SPDX-License-Identifier: Apache-2.0
#include "codegen/native.h"

#include "codegen/compiler.h"
#include "codegen/sites.h"

namespace moe::codegen {
namespace {

using ir::Eviction;

bool has_kernel(const ir::EvictionRule& rule) { return rule.kind <= Eviction::random || rule.kind == Eviction::least; }

std::string name_of(const ir::EvictionRule& rule) {
  if (rule.kind == Eviction::least) return "least(E)";
  if (rule.kind == Eviction::segmented) return "a | b";
  return std::string(ir::to_word(rule.kind));
}

}  // namespace

std::vector<std::string> beyond_kernels(const ir::BoundPolicy& policy) {
  std::vector<std::string> parts;
  const auto need = [&](bool beyond, const std::string& what) {
    if (beyond) parts.push_back("`" + what + "`");
  };
  need(!has_kernel(policy.eviction), "eviction = " + name_of(policy.eviction));
  need(policy.prefetch_evict.has_value(), "evict");
  for (const ir::Arm& arm : policy.arms) {
    need(arm.action > ir::MissAction::cpu_load, std::string(ir::to_word(arm.action)) + " of on miss");
  }
  need(policy.balance, "mode = balance");
  need(policy.side_buffer, "side_buffer");
  need(policy.arrival != 0, "arrival");
  need(!policy.drop.empty(), "drop");
  need(policy.per_layer.has_value(), "per_layer");
  need(!policy.adapt.empty(), "adapt");
  if (policy.source != nullptr) {
    need(!policy.source->choose.empty(), "choose");
    need(policy.source->tiers.has_value(), "tiers");
    need(!policy.source->bands.empty(), "layers");
    need(!policy.source->phases.empty(), "phase");
  }
  for (std::string& part : beyond_sites(policy)) parts.push_back(std::move(part));
  return parts;
}

Result<void> check_native(const ir::BoundPolicy& policy) {
  const std::vector<std::string> parts = beyond_kernels(policy);
  if (parts.empty()) return {};
  std::string list;
  for (size_t i = 0; i < parts.size(); ++i) list += (i == 0 ? "" : ", ") + parts[i];
  return Error{Error::Kind::unsupported, "no native code is made for " + list + " of policy `" + policy.name +
                                             "`: the reference interpreter decides it (`moec replay --engine interp`)"};
}

}  // namespace moe::codegen
