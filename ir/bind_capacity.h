// SPDX-License-Identifier: Apache-2.0
// The parts of binding that turn sizes and pins into slots and keys. Internal to ir/bind.cpp.
#pragma once
#include <optional>
#include <vector>

#include "ir/bind.h"

namespace moe::ir {

/// per_layer implies scope = layer.
inline Scope scope_of(const Policy& policy) { return policy.per_layer ? Scope::layer : policy.cache.scope.value; }

/// What every part of binding reads, and where its findings go.
struct BindContext {
  const Policy& policy;
  const Rules& rules;  ///< the policy's, or a variant of them
  const ModelShape& shape;
  const BindOptions& options;
  Diagnostics& diagnostics;

  bool per_layer() const { return scope_of(policy) == Scope::layer; }
  /// Experts of one cache instance.
  uint64_t experts_per_instance() const { return uint64_t{shape.num_experts} * (per_layer() ? 1 : shape.num_layers); }
};

/// Slots of one instance, 1..experts_per_instance(); nullopt after an error.
std::optional<uint32_t> bind_capacity(const BindContext& context);

/// Capacity of each instance at start, in order of layers.
using Capacities = std::vector<uint32_t>;

/// Keys of the pinned experts, ascending, no repeats; nullopt after an error. Cost: the number of keys, plus layers
/// times pins; nothing is allocated for pins that do not fit.
std::optional<std::vector<uint32_t>> bind_pins(const BindContext& context, const Capacities& capacities);

/// Keys that are loaded at start, in order, as far as the instances hold them beside the pins; nullopt after an error.
std::optional<std::vector<uint32_t>> bind_preload(const BindContext& context, const Capacities& capacities,
                                                  const std::vector<uint32_t>& pins);

/// The three blocks of `policy` as binding reads them: the first tier's capacity is the cache's.
Rules rules_of(const Policy& policy);

/// Those of a band of layers, in place of the policy's own. Its first tier may leave the capacity as it is.
Rules rules_of(const Policy& policy, const Band& band);

/// Everything of `context.rules` but the capacity, which is given. False after an error.
bool bind_rules(const BindContext& context, uint32_t capacity, BoundRules& out);

/// Warnings about a bound policy as a whole.
void warn_about_policy(const BindContext& context, const BoundPolicy& bound);

}  // namespace moe::ir
