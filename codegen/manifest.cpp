// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "codegen/compiler.h"

namespace moe::codegen {
namespace {

std::string_view mode_of(ir::MissAction miss) {
  switch (miss) {
    case ir::MissAction::load:
      return "load";
    case ir::MissAction::cpu:
      return "cpu";
    case ir::MissAction::cpu_load:
      return "cpu_load";
    default:
      break;
  }
  return "";
}

}  // namespace

std::string make_manifest(const ir::BoundPolicy& policy, std::string_view cpu, std::string_view features) {
  nlohmann::ordered_json j;
  j["abi"] = decision::kAbiVersion;
  j["symbol"] = "moe_policy_" + policy.name;
  j["name"] = policy.name;
  j["cpu"] = cpu;
  j["features"] = features;
  j["num_layers"] = policy.shape.num_layers;
  j["num_experts"] = policy.shape.num_experts;
  j["top_k"] = policy.shape.top_k;
  j["expert_bytes"] = policy.shape.expert_bytes;
  j["eviction"] = ir::to_word(policy.eviction.kind);
  j["scope"] = ir::to_word(policy.scope);
  j["capacity"] = policy.capacity;
  j["total_capacity"] = policy.total_capacity();
  j["pins"] = policy.pins.size();
  j["strategy"] = ir::to_word(policy.strategy.links.front());
  j["miss"] = mode_of(policy.miss);
  j["exactness"] = ir::to_word(policy.exactness);
  j["timing_free"] = policy.timing_free;
  j["metrics"] = policy.metrics;
  j["monitor_window"] = policy.monitor_window;
  j["log_interval"] = policy.log_interval;
  return j.dump();
}

}  // namespace moe::codegen
