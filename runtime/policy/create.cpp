// SPDX-License-Identifier: Apache-2.0
// Policies from descriptors, and those that need no compiler.
#include <memory>
#include <numeric>

#include "runtime/decision/expression.h"
#include "runtime/policy.h"
#include "runtime/policy/check_params.h"
#include "runtime/policy/manifest.h"

namespace moe {
namespace {

Error invalid(const std::string& reason) { return {Error::Kind::invalid, reason}; }

Result<void> check_descriptor(const decision::Descriptor* descriptor) {
  if (!descriptor) return invalid("the policy's descriptor is NULL");
  if (descriptor->struct_size < sizeof(decision::Descriptor)) {
    return invalid("the policy's descriptor has struct_size " + std::to_string(descriptor->struct_size) +
                   ", expected at least " + std::to_string(sizeof(decision::Descriptor)));
  }
  if (descriptor->abi_version != decision::kAbiVersion) {
    return Error{Error::Kind::unsupported, "the policy was compiled for decision ABI " +
                                               std::to_string(descriptor->abi_version) + ", this runtime has " +
                                               std::to_string(decision::kAbiVersion) + ": compile it again"};
  }
  if (!descriptor->manifest || !descriptor->params || !descriptor->dispatch) {
    return invalid("the policy's descriptor has a NULL field");
  }
  return check_params(*descriptor->params);
}

void describe(moe_policy& policy, Manifest&& manifest, const char* text) {
  policy.name = std::move(manifest.name);
  policy.manifest = text;
  policy.expert_bytes = manifest.expert_bytes;
  policy.metrics = std::move(manifest.metrics);
}

}  // namespace

Result<PolicyRef> policy_from_descriptor(const decision::Descriptor* descriptor, void (*free_fn)(void*), void* user) {
  if (Result<void> good = check_descriptor(descriptor); !good) return good.error();
  Result<Manifest> manifest = parse_manifest(descriptor->manifest, "the policy's manifest");
  if (!manifest) return manifest.error();
  auto policy = std::make_unique<moe_policy>();
  policy->params = *descriptor->params;
  policy->dispatch.store(descriptor->dispatch, std::memory_order_relaxed);
  describe(*policy, std::move(*manifest), descriptor->manifest);
  policy->first = {free_fn, user};  // last: whatever failed before must not free what the caller still owns
  return PolicyRef(policy.release());
}

Result<PolicyRef> policy_from_params(const decision::Params& params, moe_decide_fn decide, const char* manifest_text,
                                     void (*free_fn)(void*), void* user) {
  if (Result<void> good = check_params(params); !good) return good.error();
  if (decide == nullptr && decision::has_sites(params)) {
    return Error{Error::Kind::unsupported, "the policy has expressions: compile it"};
  }
  if (decide == nullptr && decision::is_beyond_static(params)) {
    return Error{Error::Kind::unsupported, "no static kernel has all of the policy: compile it"};
  }
  Result<Manifest> manifest = parse_manifest(manifest_text, "the policy's manifest");
  if (!manifest) return manifest.error();
  auto policy = std::make_unique<moe_policy>();
  policy->params = params;
  policy->decide = decide;
  describe(*policy, std::move(*manifest), manifest_text);
  policy->first = {free_fn, user};
  return PolicyRef(policy.release());
}

Result<PolicyRef> static_policy(const decision::Params& params, const std::string& name) {
  if (Result<void> good = check_params(params); !good) return good.error();
  if (decision::has_sites(params)) return Error{Error::Kind::unsupported, "the policy has expressions: compile it"};
  if (params.changes != nullptr) return Error{Error::Kind::unsupported, "the policy's rules change: compile it"};
  if (decision::is_beyond_static(params)) {
    return Error{Error::Kind::unsupported, "no static kernel has all of the policy: compile it"};
  }
  auto policy = std::make_unique<moe_policy>();
  policy->params = params;
  if (params.num_pins != 0) policy->pins.assign(params.pins, params.pins + params.num_pins);
  policy->params.pins = policy->pins.data();
  if (params.num_preload != 0) policy->preload.assign(params.preload, params.preload + params.num_preload);
  policy->params.preload = policy->preload.data();
  policy->params.keeps = policy->params.num_rates = 0;  // nothing reads them
  policy->params.num_remembered = policy->params.num_remembered_values = 0;
  policy->params.rates = nullptr;
  policy->params.remembered = nullptr;
  policy->params.arms = nullptr;
  policy->name = name;
  policy->manifest = make_manifest(params, name);
  policy->metrics = {"hit_rate"};
  return PolicyRef(policy.release());
}

Result<PolicyRef> resident_policy(const moe_model_shape& shape) {
  decision::Params params{};
  params.num_layers = shape.num_layers;
  params.num_experts = shape.num_experts;
  params.top_k = shape.top_k;
  params.eviction = static_cast<uint32_t>(decision::Eviction::lru);
  params.admit = 1;
  params.protect_selected = 1;
  params.bandwidth = 1;
  params.cancel_stale = 1;
  params.overlap = 1;
  params.monitor_window = 100;
  params.log_interval = 50;
  params.capacity = params.num_pins = params.num_keys();
  std::vector<uint32_t> pins(params.num_pins);
  std::iota(pins.begin(), pins.end(), 0u);
  params.pins = pins.data();
  return static_policy(params, "resident");
}

}  // namespace moe
